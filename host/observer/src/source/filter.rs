//! BPF filters on recorded frames; live ones are filtered in the kernel.
#![allow(unsafe_code)]

use pcap::{BpfProgram, Capture, Linktype};

use super::{Frame, SourceError};
use crate::link::Link;

/// A filter, compiled once for each link type that the file has.
pub(super) struct Filter {
    text: String,
    programs: Vec<(u32, Program)>,
}

struct Program(BpfProgram);

// SAFETY: a compiled program is memory that nothing else refers to and that any thread may free.
unsafe impl Send for Program {}

impl Filter {
    /// Compiles a filter for Ethernet, to find its mistakes before anything is read.
    pub(super) fn new(text: &str) -> Result<Filter, SourceError> {
        let mut filter = Filter { text: text.into(), programs: Vec::new() };
        filter.program(1)?;
        Ok(filter)
    }

    /// Whether a frame is to be looked at. What cannot be read is counted, and passes.
    pub(super) fn matches(&mut self, frame: &Frame<'_>) -> Result<bool, SourceError> {
        if frame.link == Link::Unknown {
            return Ok(true);
        }
        Ok(self.program(frame.link_number)?.0.filter(frame.bytes))
    }

    fn program(&mut self, link: u32) -> Result<&Program, SourceError> {
        let known = self.programs.iter().position(|(of, _)| *of == link);
        let at = match known {
            Some(at) => at,
            None => {
                let program = compile(&self.text, link)?;
                self.programs.push((link, program));
                self.programs.len() - 1
            }
        };
        Ok(&self.programs[at].1)
    }
}

fn compile(text: &str, link: u32) -> Result<Program, SourceError> {
    // libpcap's own number for raw IP differs from the one in files.
    let number = if matches!(link, 14 | 101) { 12 } else { link };
    Capture::dead(Linktype(number as i32))
        .and_then(|capture| capture.compile(text, true))
        .map(Program)
        .map_err(|error| SourceError::Filter { filter: text.into(), reason: error.to_string() })
}
