//! Makes and opens files for what a run writes: with safe modes, never over what is there unless
//! told to, and where others can put links never through one.
//!
//! Such a folder (`/tmp`, one of another user) lets somebody put a link where we are about to write,
//! to a file that only we may change.

mod lock;
mod ours;
mod outlet;
mod place;
mod room;
mod successor;
mod through;

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::fs::{FileType, OFlags, Stat};
use rustix::io::Errno;
use signal_hook::consts::SIGXFSZ;

use crate::stop::{Asked, is_ignored};
use crate::streams;
use lock::locked;
pub use outlet::Outlet;
use place::Place;
pub use successor::is_successor;
pub use through::{Through, read_through};

/// How often it is looked whether somebody reads a pipe.
const LOOK: Duration = Duration::from_millis(20);

/// How often a file may be removed while it is opened.
const MOST_TRIES: u32 = 10;

/// Has writing beyond the limit of a file's size (setrlimit(2)) fail, as on a full disk, and not end
/// the process.
///
/// # Errors
///
/// The signal's handler cannot be installed.
pub fn fail_at_limit() -> io::Result<()> {
    // What is ignored would be in the programs that are started too; a handler is not (execve(2)).
    if !is_ignored(SIGXFSZ) {
        signal_hook::flag::register(SIGXFSZ, Arc::default())?;
    }
    Ok(())
}

/// What a kill or a power cut tears of a file's end is less than this: a frame, and what is written
/// and read of a file at once.
pub const TORN: u64 = 8 << 20;

/// What to do with a file that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    /// Leave it, and fail.
    #[default]
    Refuse,
    /// Empty it.
    Overwrite,
    /// Go on after what it has.
    Continue,
}

/// A file that was opened for writing.
#[derive(Debug)]
pub struct Opened {
    /// Before the file: what is removed is still ours.
    pub new: New,
    /// The open file.
    pub file: File,
    /// Whether it is a file that keeps what is written, and no pipe or device.
    pub regular: bool,
    /// Where it was found.
    path: PathBuf,
}

/// A file that was made just now, and is removed again when this is dropped, unless it is kept or
/// something was written.
#[derive(Debug, Default)]
pub struct New {
    place: Option<Place>,
    /// Octets that a file has in which nothing was written: those of its header.
    empty: u64,
}

impl New {
    /// Leaves it there.
    pub fn keep(&mut self) {
        self.place = None;
    }

    /// Has it count as empty with this many octets.
    pub fn begins_with(&mut self, header: usize) {
        self.empty = header as u64;
    }

    /// Removes the file if it was made and is empty still; whether it did.
    pub fn undo(&mut self) -> bool {
        let Some(place) = self.place.take() else { return false };
        let is_empty = |status: Stat| u64::try_from(status.st_size).is_ok_and(|n| n <= self.empty);
        place.status().is_ok_and(is_empty) && place.remove().is_ok()
    }
}

impl Drop for New {
    fn drop(&mut self) {
        self.undo();
    }
}

/// Opens a file for writing, and for reading where it is to be continued; makes it where it is not
/// there, and empties it where it is to be written over. It is this process's alone for as long as
/// it is open. Pipes and devices are opened as they are; a named pipe when somebody reads it.
///
/// # Errors
///
/// `AlreadyExists` as `existing` says, another run writes it, or what the system says; `Interrupted`
/// where nobody read the pipe until it was told to stop.
pub fn open(path: &Path, existing: Existing, is_asked: Asked<'_>) -> io::Result<Opened> {
    let mut opened = lock(path, existing, is_asked)?;
    if existing == Existing::Overwrite && opened.regular {
        opened.file.set_len(0)?;
    }
    opened.new.keep();
    Ok(opened)
}

/// Opens a file as [`open`] does, but changes nothing in it yet.
///
/// # Errors
///
/// As for [`open`].
pub fn lock(path: &Path, existing: Existing, is_asked: Asked<'_>) -> io::Result<Opened> {
    let place = Place::find(&streams::path(path))?;
    let mut tries = Tries(0);
    loop {
        let (file, regular, new) = match place.make(OFlags::RDWR) {
            Ok(file) => {
                place.sync();
                (file, true, true)
            }
            // A folder whose files may be written, and no more be made.
            Err(error) if error != Errno::EXIST && place.status().err() == Some(Errno::NOENT) => {
                return Err(error.into());
            }
            Err(_) => {
                let (file, regular) = match take(&place, true) {
                    Err(error) if is_without_reader(&place, &error) => {
                        if is_asked() {
                            let reason = "stopped while nobody read it";
                            return Err(io::Error::new(io::ErrorKind::Interrupted, reason));
                        }
                        thread::sleep(LOOK);
                        continue;
                    }
                    taken => taken?,
                };
                if regular && existing == Existing::Refuse {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                (file, regular, false)
            }
        };
        if let Some(file) = locked(file, regular)? {
            let new = New { place: new.then_some(place), empty: 0 };
            return Ok(Opened { new, file, regular, path: path.to_owned() });
        }
        tries.fail()?;
    }
}

/// Opens a file that stands beside one of ours, if it is there; never through a link. Nothing is
/// changed in it.
///
/// # Errors
///
/// As for [`open`]; or it is not a file.
pub fn lock_beside(path: &Path) -> io::Result<Option<Opened>> {
    let place = Place::find(path)?;
    let mut tries = Tries(0);
    loop {
        let (file, regular) = match take(&place, false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if is_without_reader(&place, &error) => return Err(no_file()),
            taken => taken?,
        };
        if !regular {
            return Err(no_file());
        }
        if let Some(file) = locked(file, true)? {
            let (new, path) = (New::default(), path.to_owned());
            return Ok(Some(Opened { new, file, regular, path }));
        }
        tries.fail()?;
    }
}

/// How often a file was removed between its opening and its locking. That may be another run that
/// could not start; a file without a name that `/dev/fd` still leads to is so for good.
struct Tries(u32);

impl Tries {
    fn fail(&mut self) -> io::Result<()> {
        self.0 += 1;
        if self.0 < MOST_TRIES {
            Ok(())
        } else {
            Err(io::Error::other("it was removed, and has no name any more"))
        }
    }
}

/// The path from the root on, so that it is the same when a plugin has changed the working directory.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Opens a file to read. Opening a named pipe does not wait for its writer; the first read does.
///
/// # Errors
///
/// What the system says.
pub fn open_to_read(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(streams::path(path))?;
    block_again(&file)?;
    Ok(file)
}

/// Reads a file, and nothing else: what is no file may have one wait.
///
/// # Errors
///
/// It is no file, or what the system says.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = open_to_read(path)?;
    if !file.metadata()?.is_file() {
        return Err(no_file());
    }
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(text)
}

fn no_file() -> io::Error {
    io::Error::other("it is not a file")
}

/// Makes a file, which must not be there, not even as a link.
///
/// # Errors
///
/// It is there, or what the system says.
pub fn make(path: &Path) -> io::Result<Opened> {
    let place = Place::find(path)?;
    let file = place.make(OFlags::RDWR)?;
    place.sync();
    let (new, path) = (New::default(), path.to_owned());
    Ok(Opened { new, file: file.into(), regular: true, path })
}

/// Removes a file, or a link and not what it leads to, from a folder that is found as it was for
/// its making.
///
/// # Errors
///
/// A link on the way that others may have put there, or what the system says.
pub fn remove(path: &Path) -> io::Result<()> {
    Place::find(path)?.remove()
}

/// Opens what is there, and says whether it is a file. It waits for nobody.
fn take(place: &Place, links: bool) -> io::Result<(OwnedFd, bool)> {
    let is_file = place.status().is_ok_and(|status| is(FileType::RegularFile, &status));
    let access = if is_file { OFlags::RDWR } else { OFlags::WRONLY | OFlags::NONBLOCK };
    let file = place.open(access, links)?;
    block_again(&file)?;
    let status = rustix::fs::fstat(&file)?;
    let regular = is(FileType::RegularFile, &status);
    // Another name for a file that only we may change does the same as a link; systems differ in
    // who may make one (fs.protected_hardlinks).
    if regular && place.shared && status.st_nlink > 1 {
        return Err(io::Error::other(
            "it has a second name, in a folder that others can write to: remove it, or name the \
             other one",
        ));
    }
    Ok((file, regular))
}

fn is(kind: FileType, status: &Stat) -> bool {
    FileType::from_raw_mode(status.st_mode) == kind
}

/// Whether a named pipe could not be opened only because nobody reads it (fifo(7)).
fn is_without_reader(place: &Place, error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::NXIO.raw_os_error())
        && place.status().is_ok_and(|status| is(FileType::Fifo, &status))
}

/// Has reading and writing wait, after an opening that did not.
fn block_again(file: impl AsFd) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(&file)?;
    Ok(rustix::fs::fcntl_setfl(&file, flags - OFlags::NONBLOCK)?)
}

/// Replaces a file as a whole: whoever reads it sees what it was or what it is. `room`: for how many
/// octets more it is to have room on the disk.
///
/// # Errors
///
/// It stays as it was.
pub fn replace(path: &Path, text: &[u8], room: u64) -> io::Result<()> {
    let place = Place::find(path)?;
    let (new, mut file) = successor::make(&place)?;
    let reserved = match room {
        0 => Ok(()),
        room => room::reserve(&file, text.len() as u64 + room),
    };
    let written = reserved.and_then(|()| file.write_all(text)).and_then(|()| file.sync_all());
    if let Err(error) = written.and_then(|()| new.take_place_of(&place)) {
        let _ = new.remove();
        return Err(error);
    }
    // The new name, too, is to survive a power cut.
    place.sync();
    Ok(())
}

/// Replaces a file as [`replace`] does, or where the disk is full, in the room that it has.
///
/// # Errors
///
/// As for [`replace`]; in its own room, what was there may be torn.
pub fn replace_at_last(path: &Path, text: &[u8]) -> io::Result<()> {
    match replace(path, text, 0) {
        Err(error) if room::is_full(&error) => room::write_within(path, text),
        other => other,
    }
}

#[cfg(test)]
mod tests;
