//! A sliding window over a reader or a mapped file, which knows where in the file it stands.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::super::SourceError;
use super::mapped::Mapped;

/// Octets read at once: large enough that calls cost nothing, small enough to stay in the
/// processor's second cache.
const SIZE: usize = 256 << 10;

/// A window over a reader, or over a mapped file.
pub(super) struct Buffer {
    reader: Box<dyn Read + Send>,
    /// In place of the reader and of `bytes`, as long as it may be mapped; and what stops its reader then.
    mapped: Option<(Mapped, Arc<AtomicBool>)>,
    /// Octets that the window is to have, where a record is longer than it usually is.
    least: usize,
    name: String,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Octets of the file before `start`.
    offset: u64,
    /// Packets given so far.
    pub(super) packets: u64,
}

impl Buffer {
    pub(super) fn new(reader: Box<dyn Read + Send>, name: &str) -> Buffer {
        Buffer {
            reader,
            mapped: None,
            least: 0,
            name: name.into(),
            bytes: vec![0; SIZE],
            start: 0,
            end: 0,
            offset: 0,
            packets: 0,
        }
    }

    /// A window over a file that is mapped; `stop` stops its reading, should it have to be read.
    pub(super) fn mapped(mapped: Mapped, stop: Arc<AtomicBool>, name: &str) -> Buffer {
        let buffer = Buffer::new(Box::new(io::empty()), name);
        Buffer { mapped: Some((mapped, stop)), bytes: Vec::new(), ..buffer }
    }

    /// What is in the window. It is looked at in one go: if the file is mapped, it may be that it cannot be
    /// when the caller comes again.
    #[inline]
    pub(super) fn window(&mut self) -> Result<&[u8], SourceError> {
        if self.mapped.is_some() {
            self.map()?;
        }
        Ok(self.octets())
    }

    #[inline]
    fn octets(&self) -> &[u8] {
        let octets = match &self.mapped {
            Some((mapped, _)) => mapped.octets(),
            None => &self.bytes,
        };
        &octets[self.start..self.end]
    }

    /// Maps the file from the window's start on, or begins to read it there.
    #[cold]
    fn map(&mut self) -> Result<(), SourceError> {
        let Some((mapped, _)) = &mut self.mapped else { return Ok(()) };
        (self.start, self.end) = (0, 0);
        if let Some(window) = mapped.map(self.offset, self.least) {
            self.end = window.len();
        } else if let Some((mapped, stop)) = self.mapped.take() {
            let file = mapped.into_file(self.offset).map_err(|error| self.read_error(&error))?;
            self.reader = Box::new(Interruptible::new(file, stop));
            self.bytes = vec![0; SIZE];
        }
        Ok(())
    }

    /// Moves the window's start forward by octets that are in it.
    #[inline]
    pub(super) fn consume(&mut self, octets: usize) {
        self.start += octets;
        self.offset += octets as u64;
        self.least = 0;
    }

    /// The next `octets` of the file, fewer at its end.
    pub(super) fn peek(&mut self, octets: usize) -> Result<&[u8], SourceError> {
        while self.end - self.start < octets {
            if !self.fill(octets)? {
                break;
            }
        }
        let window = self.octets();
        Ok(&window[..window.len().min(octets)])
    }

    /// Reads on, with room for `octets` in the window; `false` at the end of the file.
    fn fill(&mut self, octets: usize) -> Result<bool, SourceError> {
        if self.mapped.is_some() {
            let before = self.end - self.start;
            self.least = octets;
            self.map()?;
            // Where it is not mapped any more, it goes on by being read.
            return Ok(self.mapped.is_none() || self.end - self.start > before);
        }
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.bytes.len() < octets {
            self.bytes.resize(octets.next_power_of_two(), 0);
        }
        loop {
            match self.reader.read(&mut self.bytes[self.end..]) {
                Ok(0) => return Ok(false),
                Ok(n) => {
                    self.end += n;
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.read_error(&error)),
            }
        }
    }

    /// Decompressors report damage as an error of the reader.
    fn read_error(&self, error: &io::Error) -> SourceError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => self.truncated("compressed data"),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other => {
                self.damaged(format!("the compressed data are wrong: {error}"))
            }
            _ => SourceError::NotReadable { path: self.name.clone(), reason: error.to_string() },
        }
    }

    pub(super) fn not_a_capture(&self) -> SourceError {
        SourceError::NotACapture { path: self.name.clone() }
    }

    pub(super) fn truncated(&self, what: &'static str) -> SourceError {
        SourceError::Truncated {
            path: self.name.clone(),
            what,
            offset: self.offset,
            packet: self.packets + 1,
        }
    }

    pub(super) fn damaged(&self, reason: impl Into<String>) -> SourceError {
        SourceError::Damaged {
            path: self.name.clone(),
            reason: reason.into(),
            offset: self.offset,
            packet: self.packets + 1,
        }
    }

    pub(super) fn unknown_link(&self, number: u32) -> SourceError {
        SourceError::LinkType { path: self.name.clone(), number }
    }

    pub(super) fn not_described(&self) -> SourceError {
        SourceError::NoDescription { path: self.name.clone(), packets: self.packets }
    }
}

/// Fetches the record that probably stands there: it is as far away as it would be if all of them were as
/// long as the last ones. Where each is found by the length of the one before, the processor would wait
/// for each.
#[inline]
pub(super) fn fetch(window: &[u8], at: usize) {
    const CACHE_LINE: usize = 64;
    std::hint::black_box(window.get(at).copied());
    std::hint::black_box(window.get(at + CACHE_LINE).copied());
}

/// How many records ahead `fetch` looks.
pub(super) const AHEAD: usize = 8;

/// A reader that can be stopped while it waits for input.
pub(super) struct Interruptible<R> {
    reader: R,
    stop: Arc<AtomicBool>,
}

impl<R: Read + AsFd> Interruptible<R> {
    pub(super) fn new(reader: R, stop: Arc<AtomicBool>) -> Interruptible<R> {
        Interruptible { reader, stop }
    }
}

impl<R: Read + AsFd> Read for Interruptible<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        const WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(0);
            }
            let fd = self.reader.as_fd();
            match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&WAIT)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                // Also on errors and hang-ups: the read tells what they are.
                _ => return self.reader.read(bytes),
            }
        }
    }
}
