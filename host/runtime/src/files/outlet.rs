//! Where octets go: a stream, or a file that keeps whole pieces only, also on the disk.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, bounded};

use super::Opened;
use crate::privileges;

/// How often the disk is told to keep what it was given.
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
        match opened.regular {
            true => Ok(Outlet { end: End::File(Kept::new(file, length)?) }),
            false => Ok(Outlet::stream(file)),
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
                keep(&file.file)
            }
        }
    }
}

/// A file that keeps what is written.
struct Kept {
    file: File,
    /// Its length as far as it is good.
    good: u64,
    syncer: Syncer,
}

impl Kept {
    fn new(mut file: File, length: u64) -> io::Result<Kept> {
        // What may fail goes before what cannot be undone.
        let syncer = Syncer::start(file.try_clone()?)?;
        file.set_len(length)?;
        let good = file.seek(SeekFrom::End(0))?;
        Ok(Kept { file, good, syncer })
    }

    fn write(&mut self, octets: &[u8], whole: fn(&[u8]) -> usize) -> io::Result<()> {
        self.syncer.check()?;
        let mut written = 0;
        while written < octets.len() {
            let error = match self.file.write(&octets[written..]) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(length) => {
                    written += length;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            self.good += whole(&octets[..written]) as u64;
            self.file.set_len(self.good)?;
            self.file.seek(SeekFrom::Start(self.good))?;
            return Err(error);
        }
        self.good += octets.len() as u64;
        self.syncer.written();
        self.syncer.tick()
    }
}

/// Has the disk keep what a file has. One that was removed keeps nothing for anybody.
fn keep(file: &File) -> io::Result<()> {
    file.sync_data()?;
    match file.metadata()?.nlink() {
        0 => Err(io::Error::other("somebody has removed it")),
        _ => Ok(()),
    }
}

/// Has the disk keep what was written, from a thread of its own: that may take long, and fail.
struct Syncer {
    /// `None` when it has ended.
    wake: Option<Sender<()>>,
    failure: Receiver<io::Error>,
    /// Whether something was written since.
    dirty: bool,
    last: Instant,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    fn start(file: File) -> io::Result<Syncer> {
        let (wake, woken) = bounded::<()>(1);
        let (fail, failure) = bounded(1);
        let thread = thread::Builder::new().name("syncer".into()).spawn(move || {
            privileges::give_up();
            for () in woken {
                if let Err(error) = keep(&file) {
                    let _ = fail.try_send(error);
                }
            }
        })?;
        let (last, thread) = (Instant::now(), Some(thread));
        Ok(Syncer { wake: Some(wake), failure, dirty: false, last, thread })
    }

    fn written(&mut self) {
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

    /// Waits for its last work. A failure is told once by the system, so perhaps to it alone.
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
