//! A measurement whose library has an allocator of its own, which knows what it gave out: memory
//! that crosses the boundary and is freed by the other side's allocator would end the process.
#![allow(unsafe_code)] // An allocator is unsafe by nature.

use std::alloc::{GlobalAlloc, Layout, System};

use pathspider_plugin_api::chains::{basic, tcp};
use pathspider_plugin_api::prelude::*;

conditions! {
    ONLINE: online("allocator");
}

/// Puts a mark before each piece of memory, and looks for it when the piece comes back.
struct Marking;

const MARK: u64 = 0x7061_7468_7370_6472;

/// Octets before the piece: room for the mark, and the piece stays aligned.
fn before(layout: Layout) -> usize {
    layout.align().max(16)
}

fn whole(layout: Layout) -> Layout {
    // No piece is as large as to overflow.
    Layout::from_size_align(layout.size() + before(layout), layout.align().max(16))
        .unwrap_or(layout)
}

#[global_allocator]
static ALLOCATOR: Marking = Marking;

// SAFETY: it gives what the system's allocator gives, at an offset that keeps the alignment.
unsafe impl GlobalAlloc for Marking {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the size is not zero; the mark and the piece lie within what was allocated.
        unsafe {
            let start = System.alloc(whole(layout));
            if start.is_null() {
                return start;
            }
            let piece = start.add(before(layout));
            piece.cast::<u64>().sub(1).write(MARK);
            piece
        }
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        // SAFETY: it was made by `alloc`, so the mark is before it; else this ends the process.
        unsafe {
            let mark = piece.cast::<u64>().sub(1);
            if mark.read() != MARK {
                std::process::abort();
            }
            mark.write(0);
            System.dealloc(piece.sub(before(layout)), whole(layout));
        }
    }
}

/// The measurement.
pub struct Allocator;

impl Measurement for Allocator {
    fn info() -> Info {
        Info::new("allocator", "1.0.0", "Allocates by itself")
            .contact("https://github.com/pathspider/pathspider")
            .conditions(CONDITIONS)
    }

    fn new(_: &OptionValues, _: Host) -> Result<Self> {
        Ok(Allocator)
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![Configuration::new(0, "").labelled("a".repeat(100))]
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list([basic::CHAIN, tcp::CHAIN])
    }

    fn pre_connect(&self, attempt: &Attempt<'_>) -> Result<Prepared> {
        Ok(Prepared::new(attempt.job().target().to_string()))
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        let target = attempt.prepared::<String>().cloned().unwrap_or_default();
        Ok(Connect::tcp().to(target.parse()?))
    }

    fn merge(&self, _: &Attempt<'_>, flow: Flow<'_>, mut result: Record) -> Result<Record> {
        // Memory of the host's grows and is freed here, and the other way round.
        result.extend(flow.fields());
        result.set("made_here", "x".repeat(result.len()));
        result.remove("proto");
        Ok(result)
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        Ok(flows.online(ONLINE).into_iter().collect())
    }

    fn rows(&self, flows: &Flows<'_>) -> Result<Vec<Record>> {
        let copies: Value = flows.iter().map(|flow| flow.outcome().clone()).collect();
        Ok(vec![Record::new().with("copies", copies)])
    }
}

export_plugin!(Allocator);
