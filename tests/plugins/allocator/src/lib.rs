//! A measurement whose library has an allocator of its own, which knows what it gave out: memory
//! that crosses the boundary and is freed by the other side's allocator would end the process.
#![allow(unsafe_code)] // An allocator is unsafe by nature.

use std::alloc::{GlobalAlloc, Layout, System};

use pathspider_plugin_api::{
    ChainName, Condition, ConfigId, Configuration, Connect, Host, Info, Job, Measurement,
    OptionValues, Prepared, Record, Result, export_plugin,
};

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
            .condition("allocator.connectivity.online", "the handshake completed")
            .condition("allocator.connectivity.offline", "it did not")
    }

    fn new(_: &OptionValues, _: Host) -> Result<Self> {
        Ok(Allocator)
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![Configuration::new(&"a".repeat(100))]
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list(&["basic", "tcp"])
    }

    fn pre_connect(&self, job: &Job) -> Result<Prepared> {
        Ok(Prepared::new(job.target().to_string()))
    }

    fn connect(&self, _: &Job, prepared: &Prepared, _: ConfigId) -> Result<Connect> {
        let target = prepared.get::<String>().cloned().unwrap_or_default();
        Ok(Connect::tcp().to(target.parse()?))
    }

    fn merge(&self, flow: Option<Record>, mut result: Record) -> Result<Record> {
        // Memory of the host's grows and is freed here, and the other way round.
        result.extend(flow.unwrap_or_default());
        result.set("made_here", "x".repeat(result.len()));
        result.remove("proto");
        Ok(result)
    }

    fn combine(&self, _: &Job, flows: &[Record]) -> Result<Vec<Condition>> {
        Ok(flows.iter().filter_map(|flow| Condition::online("allocator", flow)).collect())
    }

    fn rows(&self, _: &Job, flows: &[Record]) -> Result<Vec<Record>> {
        Ok(vec![
            Record::new()
                .with("copies", flows.iter().cloned().collect::<pathspider_plugin_api::Value>()),
        ])
    }
}

export_plugin!(Allocator);
