//! What a child writes, read without ever waiting for it.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};

/// A stream that is read as far as there is something, and kept to a limit.
pub(super) struct Stream<R> {
    source: Option<R>,
    pub(super) kept: Vec<u8>,
    limit: usize,
}

impl<R: Read + AsFd> Stream<R> {
    pub(super) fn new(source: R, limit: usize) -> io::Result<Stream<R>> {
        rustix::io::ioctl_fionbio(&source, true)?;
        Ok(Stream { source: Some(source), kept: Vec::new(), limit })
    }

    pub(super) fn open(&self) -> Option<BorrowedFd<'_>> {
        self.source.as_ref().map(AsFd::as_fd)
    }

    /// Reads some of what is there, and says whether there may be more; a child that never stops to
    /// print must not keep us here.
    pub(super) fn read(&mut self) -> bool {
        const AT_ONCE: usize = 16;
        let mut buffer = [0; 4096];
        for _ in 0..AT_ONCE {
            let Some(source) = &mut self.source else { return false };
            match source.read(&mut buffer) {
                Ok(0) => self.source = None,
                Ok(read) => {
                    let room = self.limit.saturating_sub(self.kept.len());
                    self.kept.extend_from_slice(&buffer[..read.min(room)]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(_) => self.source = None,
            }
        }
        true
    }
}
