//! Where octets go: a stream, or a file that keeps whole pieces only, also on the disk.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, bounded};

use super::Opened;
use super::ours::Ours;
use crate::privileges;

/// How often written data are synced to the disk.
const SYNC: Duration = Duration::from_secs(1);

/// Takes octets in pieces: lines, frames, packets.
pub struct Outlet {
    end: End,
}

enum End {
    Stream(Box<dyn Write + Send>),
    File(Kept),
}

impl Outlet {
    /// A stream, which is never told to keep anything.
    pub fn stream(stream: impl Write + Send + 'static) -> Outlet {
        Outlet { end: End::Stream(Box::new(stream)) }
    }

    /// A file, or pipe or device. Of a file `length` octets are good, and what follows is cut off.
    ///
    /// # Errors
    ///
    /// It cannot be cut, or a thread not be started.
    pub fn new(opened: &Opened, length: u64) -> io::Result<Outlet> {
        let file = opened.file.try_clone()?;
        if opened.regular {
            let ours = Ours::new(file, opened.path.clone())?;
            Ok(Outlet { end: End::File(Kept::new(ours, length)?) })
        } else {
            Ok(Outlet::stream(file))
        }
    }

    /// Writes octets. Where it fails, a file is left with what it had and as much of them as
    /// `whole` says of those that were written.
    ///
    /// # Errors
    ///
    /// The disk is full, the pipe is closed, and the like; also where the disk could not keep what
    /// was written before.
    pub fn write(&mut self, octets: &[u8], whole: fn(&[u8]) -> usize) -> io::Result<()> {
        match &mut self.end {
            End::Stream(stream) => stream.write_all(octets).and_then(|()| stream.flush()),
            End::File(file) => file.write(octets, whole),
        }
    }

    /// Octets of a file that are good. Of a stream, nobody knows what became of them.
    pub fn good(&self) -> u64 {
        match &self.end {
            End::Stream(_) => 0,
            End::File(file) => file.good,
        }
    }

    /// To be called now and then: tells the disk to keep what was written, when it is time.
    ///
    /// # Errors
    ///
    /// It could not, the last time.
    pub fn tick(&mut self) -> io::Result<()> {
        match &mut self.end {
            End::Stream(_) => Ok(()),
            End::File(file) => file.syncer.tick(),
        }
    }

    /// Has the disk keep what was written, and waits for it.
    ///
    /// # Errors
    ///
    /// It cannot.
    pub fn finish(&mut self) -> io::Result<()> {
        match &mut self.end {
            End::Stream(_) => Ok(()),
            End::File(file) => {
                file.syncer.end()?;
                file.ours.is_as_long_as(file.good)?;
                keep(&file.ours, file.good)
            }
        }
    }
}

/// A file that keeps what is written.
struct Kept {
    ours: Ours,
    /// Its length as far as it is good.
    good: u64,
    syncer: Syncer,
}

impl Kept {
    fn new(ours: Ours, length: u64) -> io::Result<Kept> {
        // What may fail goes before what cannot be undone.
        let syncer = Syncer::start(ours.try_clone()?)?;
        ours.file().set_len(length)?;
        syncer.good.store(length, Ordering::Relaxed);
        Ok(Kept { ours, good: length, syncer })
    }

    fn write(&mut self, octets: &[u8], whole: fn(&[u8]) -> usize) -> io::Result<()> {
        self.syncer.check()?;
        self.ours.is_as_long_as(self.good)?;
        let mut written = 0;
        while written < octets.len() {
            let error = match self.ours.file().write(&octets[written..]) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(length) => {
                    written += length;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            // What somebody else has cut meanwhile is not to be made longer.
            self.ours.is_as_long_as(self.good + written as u64)?;
            self.good += whole(&octets[..written]) as u64;
            self.ours.file().set_len(self.good)?;
            return Err(error);
        }
        self.good += octets.len() as u64;
        self.syncer.written(self.good);
        self.syncer.tick()
    }
}

/// Syncs a file to the disk, and looks that it still has at least `good` octets under its name. A file
/// that was removed or moved is lost to its readers.
fn keep(ours: &Ours, good: u64) -> io::Result<()> {
    ours.file().sync_data()?;
    ours.is_in_place(good)
}

/// Has the disk keep what was written, from a thread of its own: that may take long, and fail.
struct Syncer {
    /// `None` when it has ended.
    wake: Option<Sender<()>>,
    failure: Receiver<io::Error>,
    /// Octets that the file has at least.
    good: Arc<AtomicU64>,
    /// Whether something was written since.
    dirty: bool,
    last: Instant,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    fn start(ours: Ours) -> io::Result<Syncer> {
        let (wake, woken) = bounded::<()>(1);
        let (fail, failure) = bounded(1);
        let good = Arc::<AtomicU64>::default();
        let written = Arc::clone(&good);
        let thread = thread::Builder::new().name("syncer".into()).spawn(move || {
            privileges::give_up();
            for () in woken {
                // What is there is no less than what was written before it is looked at.
                if let Err(error) = keep(&ours, written.load(Ordering::Acquire)) {
                    let _ = fail.try_send(error);
                }
            }
        })?;
        let (last, thread) = (Instant::now(), Some(thread));
        Ok(Syncer { wake: Some(wake), failure, good, dirty: false, last, thread })
    }

    /// The file was written, and has this many octets now.
    fn written(&mut self, good: u64) {
        self.good.store(good, Ordering::Release);
        self.dirty = true;
    }

    fn tick(&mut self) -> io::Result<()> {
        if self.dirty && self.last.elapsed() >= SYNC {
            self.last = Instant::now();
            self.dirty = false;
            // Where one is still at work and the next is asked for, that one does it.
            let _ = self.wake.as_ref().map(|wake| wake.try_send(()));
        }
        self.check()
    }

    fn check(&self) -> io::Result<()> {
        self.failure.try_recv().map_or(Ok(()), Err)
    }

    /// Waits for its last work. The system reports a failure once, so perhaps to it alone.
    fn end(&mut self) -> io::Result<()> {
        drop(self.wake.take());
        let _ = self.thread.take().map(JoinHandle::join);
        self.check()
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        let _ = self.end();
    }
}
