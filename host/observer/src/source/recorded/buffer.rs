//! A sliding window over a reader, which knows where in the file it stands.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::super::SourceError;

/// Octets read at once: large enough that calls cost nothing, small enough to stay in the
/// processor's second cache.
const SIZE: usize = 256 << 10;

/// A window over a reader.
pub(super) struct Buffer {
    reader: Box<dyn Read + Send>,
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
            name: name.into(),
            bytes: vec![0; SIZE],
            start: 0,
            end: 0,
            offset: 0,
            packets: 0,
        }
    }

    /// What is in the window.
    #[inline]
    pub(super) fn window(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Moves the window's start forward by octets that are in it.
    #[inline]
    pub(super) fn consume(&mut self, octets: usize) {
        self.start += octets;
        self.offset += octets as u64;
    }

    /// The next `octets` of the file, fewer at its end.
    pub(super) fn peek(&mut self, octets: usize) -> Result<&[u8], SourceError> {
        while self.end - self.start < octets {
            if !self.fill(octets)? {
                break;
            }
        }
        let end = self.end.min(self.start + octets);
        Ok(&self.bytes[self.start..end])
    }

    /// Reads on, with room for `octets` in the window; `false` at the end of the file.
    fn fill(&mut self, octets: usize) -> Result<bool, SourceError> {
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
