//! The file that is to take another's place: `NAME.new-PID`, locked for as long as it is written.
//!
//! A process that is killed leaves it. Whoever replaces the same file next removes what is left:
//! a file that nobody has locked.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{FileType, FlockOperation, OFlags, flock, fstat};
use rustix::io::Errno;

use super::MOST_TRIES;
use super::place::Place;

const MARK: &str = ".new-";

/// Makes the file that is to take the place of this one, and locks it.
///
/// # Errors
///
/// What the system says.
pub(super) fn make(old: &Place) -> io::Result<(Place, File)> {
    remove_left(old);
    let new = old.beside(name(old.name(), std::process::id()))?;
    for _ in 0..MOST_TRIES {
        let file = match new.make(OFlags::WRONLY) {
            // Of a process that had our number.
            Err(Errno::EXIST) => {
                new.remove().or_else(gone_is_well)?;
                continue;
            }
            other => other?,
        };
        // A file system without locks does without.
        let _ = flock(&file, FlockOperation::LockExclusive);
        // Another process may have taken it for one that was left, before it was locked.
        if fstat(&file)?.st_nlink > 0 {
            return Ok((new, file.into()));
        }
    }
    Err(io::Error::other("another program removes what is written to replace it"))
}

/// Somebody else has removed it.
fn gone_is_well(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn name(old: &OsStr, process: u32) -> OsString {
    let mut name = old.to_owned();
    name.push(format!("{MARK}{process}"));
    name
}

/// Removes what processes left that were killed while they replaced this file. What cannot be
/// looked at stays.
fn remove_left(old: &Place) {
    for name in old.names().unwrap_or_default() {
        if is_of(old.name(), &name)
            && let Ok(left) = old.beside(name)
            && let Ok(_locked) = lock_left(&left)
        {
            let _ = left.remove();
        }
    }
}

/// Whether this is a name that [`make`] gives to a file which is to replace `old`.
fn is_of(old: &OsStr, name: &OsStr) -> bool {
    replaced_by(name) == Some(old.as_bytes())
}

/// Whether a file of this name is written to take another's place, or was left by a process that
/// was killed meanwhile.
#[must_use]
pub fn is_successor(name: &OsStr) -> bool {
    replaced_by(name).is_some()
}

/// The name of the file whose place the file of this name is to take.
fn replaced_by(name: &OsStr) -> Option<&[u8]> {
    let name = name.as_bytes();
    let digits = name.iter().rev().take_while(|octet| octet.is_ascii_digit()).count();
    let rest = &name[..name.len() - digits];
    rest.strip_suffix(MARK.as_bytes()).filter(|old| digits > 0 && !old.is_empty())
}

/// The lock of a file that no process has locked, and that still has this name.
fn lock_left(left: &Place) -> io::Result<OwnedFd> {
    let file = left.open(OFlags::RDONLY | OFlags::NONBLOCK, false)?;
    let status = fstat(&file)?;
    if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
        return Err(io::Error::other("it is no file"));
    }
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    // Before it was locked, it may have taken the other's place, and a process may write the next of this name.
    let now = left.status()?;
    if (now.st_dev, now.st_ino) != (status.st_dev, status.st_ino) {
        return Err(io::Error::other("another file has its name"));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_is_removed_and_nothing_else() {
        let folder = crate::files::tests::folder("left", 0o700);
        let path = folder.join("x");
        let place = Place::find(&path).unwrap();
        let (_, _locked) = make(&place).unwrap();
        let ours = name("x".as_ref(), std::process::id());
        let kept = ["x", "x.new-", "x.new-7a", "y.new-7", "x.new-7.new-8", "xx.new-7"];
        for name in kept.iter().chain(&["x.new-7", "x.new-4294967295"]) {
            std::fs::write(folder.join(name), "").unwrap();
        }
        std::fs::create_dir(folder.join("x.new-9")).unwrap();
        remove_left(&place);
        let mut names: Vec<_> =
            folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
        let mut expected: Vec<OsString> = kept.iter().map(OsString::from).collect();
        expected.extend([ours, "x.new-9".into()]);
        names.sort();
        expected.sort();
        assert_eq!(names, expected);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn whoever_replaces_at_once_takes_no_file_from_another() {
        let folder = crate::files::tests::folder("at-once", 0o700);
        let path = folder.join("x");
        let place = Place::find(&path).unwrap();
        std::thread::scope(|scope| {
            let look = scope.spawn(|| (0..3000).for_each(|_| remove_left(&place)));
            while !look.is_finished() {
                crate::files::replace(&path, b"whole", 0).unwrap();
            }
        });
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
        assert_eq!(folder.read_dir().unwrap().count(), 1);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
