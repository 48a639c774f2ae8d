//! Makes and opens files for what a run writes: with safe modes, never over what is there unless
//! told to, and where others can put links never through one.
//!
//! Such a folder (`/tmp`, one of another user) lets somebody put a link where we are about to write,
//! to a file that only we may change.

mod outlet;
mod place;

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FileType, OFlags, Stat};
use rustix::io::Errno;

pub(crate) use outlet::Outlet;
use place::Place;

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
pub(crate) struct Opened {
    /// Before the file: what is removed is still ours.
    pub(crate) new: New,
    pub(crate) file: File,
    /// Whether it is a file that keeps what is written, and no pipe or device.
    pub(crate) regular: bool,
}

/// A file that was made just now, and is removed again when this is dropped, unless it is kept or
/// something was written.
#[derive(Debug, Default)]
pub(crate) struct New(Option<Place>);

impl New {
    /// Leaves it there.
    pub(crate) fn keep(&mut self) {
        self.0 = None;
    }

    /// Removes the file if it was made and is empty still; whether it did.
    pub(crate) fn undo(&mut self) -> bool {
        let Some(place) = self.0.take() else { return false };
        place.status().is_ok_and(|status| status.st_size == 0) && place.remove().is_ok()
    }
}

impl Drop for New {
    fn drop(&mut self) {
        self.undo();
    }
}

/// Opens a file for writing, and for reading where it is to be continued; makes it where it is not
/// there, and empties it where it is to be written over. It is this process's alone for as long as
/// it is open. Pipes and devices are opened as they are.
///
/// # Errors
///
/// `AlreadyExists` as `existing` says, another run writes it, or what the system says.
pub(crate) fn open(path: &Path, existing: Existing) -> io::Result<Opened> {
    let mut opened = hold(path, existing)?;
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
pub(crate) fn hold(path: &Path, existing: Existing) -> io::Result<Opened> {
    let place = Place::find(path)?;
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
                let (file, regular) = take(&place, true)?;
                if regular && existing == Existing::Refuse {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                (file, regular, false)
            }
        };
        if let Some(file) = locked(file, regular)? {
            return Ok(Opened { new: New(new.then_some(place)), file, regular });
        }
    }
}

/// Opens a file that stands beside one of ours, if it is there; never through a link. Nothing is
/// changed in it.
///
/// # Errors
///
/// As for [`open`]; or it is no file.
pub(crate) fn hold_beside(path: &Path) -> io::Result<Option<Opened>> {
    let place = Place::find(path)?;
    loop {
        let (file, regular) = match take(&place, false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            taken => taken?,
        };
        if !regular {
            return Err(io::Error::other("it is no file"));
        }
        if let Some(file) = locked(file, true)? {
            return Ok(Some(Opened { new: New::default(), file, regular }));
        }
    }
}

/// Makes a file, which must not be there, not even as a link.
///
/// # Errors
///
/// It is there, or what the system says.
pub(crate) fn make(path: &Path) -> io::Result<Opened> {
    let place = Place::find(path)?;
    let file = place.make(OFlags::RDWR)?;
    place.sync();
    Ok(Opened { new: New::default(), file: file.into(), regular: true })
}

/// Opens what is there, and says whether it is a file.
fn take(place: &Place, links: bool) -> io::Result<(OwnedFd, bool)> {
    let is_file = place.status().is_ok_and(|status| is_regular(&status));
    let access = if is_file { OFlags::RDWR } else { OFlags::WRONLY };
    let file = place.open(access, links)?;
    let status = rustix::fs::fstat(&file)?;
    let regular = is_regular(&status);
    // Another name for a file that only we may change does the same as a link; systems differ in
    // who may make one (fs.protected_hardlinks).
    if regular && place.shared && status.st_nlink > 1 {
        return Err(io::Error::other(
            "it has a second name, and is where others could have given it that: remove it, or \
             name the other one",
        ));
    }
    Ok((file, regular))
}

/// Keeps a file to this process for as long as it is open; `None` where it was removed meanwhile.
fn locked(file: OwnedFd, regular: bool) -> io::Result<Option<File>> {
    if regular {
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Err(io::Error::other("another run is writing it")),
            // A file system without locks does without.
            Ok(()) | Err(_) if rustix::fs::fstat(&file)?.st_nlink == 0 => return Ok(None),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(Some(file.into()))
}

fn is_regular(status: &Stat) -> bool {
    FileType::from_raw_mode(status.st_mode) == FileType::RegularFile
}

/// Replaces a file as a whole: whoever reads it sees what it was or what it is.
///
/// # Errors
///
/// It stays as it was.
pub(crate) fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let place = Place::find(path)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".new-{}", std::process::id()));
    let new = place.beside(name)?;
    let file = match new.make(OFlags::WRONLY) {
        // Of a process that had our number, and was killed in these few lines.
        Err(Errno::EXIST) => {
            new.remove()?;
            new.make(OFlags::WRONLY)?
        }
        other => other?,
    };
    let mut file = File::from(file);
    let written = file.write_all(text).and_then(|()| file.sync_all());
    if let Err(error) = written.and_then(|()| new.take_place_of(&place)) {
        let _ = new.remove();
        return Err(error);
    }
    // The new name, too, is to survive a power cut.
    place.sync();
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    use super::*;

    fn folder(name: &str, mode: u32) -> PathBuf {
        let path = std::env::temp_dir().join(format!("pathspider-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn what_is_there_is_kept_unless_told() {
        let folder = folder("existing", 0o700);
        let path = folder.join("x");
        open(&path, Existing::Refuse).unwrap().file.write_all(b"one").unwrap();
        let refused = open(&path, Existing::Refuse).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        drop(open(&path, Existing::Continue).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        drop(open(&path, Existing::Overwrite).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"");
        replace(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(folder.read_dir().unwrap().count(), 1);
        assert!(!open(Path::new("/dev/null"), Existing::Refuse).unwrap().regular);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn links_are_followed_only_where_nobody_else_can_put_them() {
        for (mode, followed) in [(0o700, true), (0o1777, false)] {
            let folder = folder("links", mode);
            let target = folder.join("target");
            std::fs::write(&target, "kept").unwrap();
            symlink(&target, folder.join("link")).unwrap();
            let opened = open(&folder.join("link"), Existing::Overwrite);
            assert_eq!(opened.is_ok(), followed, "{opened:?}");
            let kept = std::fs::read_to_string(&target).unwrap();
            assert_eq!(kept.is_empty(), followed);
            // A new file is never made behind a link.
            symlink(folder.join("new"), folder.join("dangling")).unwrap();
            assert!(open(&folder.join("dangling"), Existing::Overwrite).is_err());
            std::fs::remove_dir_all(folder).unwrap();
        }
    }

    /// A folder of somebody else's, in which a link leads to a file of ours.
    fn trap(name: &str, mode: u32) -> Option<(PathBuf, PathBuf)> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let outer = folder(name, 0o755);
        let (theirs, target) = (outer.join("theirs"), outer.join("target"));
        std::fs::create_dir(&theirs).unwrap();
        std::fs::set_permissions(&theirs, std::fs::Permissions::from_mode(mode)).unwrap();
        std::os::unix::fs::chown(&theirs, Some(65534), Some(65534)).unwrap();
        std::fs::write(&target, "kept").unwrap();
        Some((theirs, target))
    }

    #[test]
    fn links_in_the_folder_of_another_user_are_not_followed() {
        let Some((theirs, target)) = trap("theirs", 0o755) else { return };
        symlink(&target, theirs.join("out")).unwrap();
        std::fs::hard_link(&target, theirs.join("second")).unwrap();
        let inner = theirs.parent().unwrap().join("inner");
        std::fs::create_dir(&inner).unwrap();
        std::fs::write(inner.join("file"), "kept").unwrap();
        symlink(&inner, theirs.join("way")).unwrap();
        for (name, word) in [("out", "is a link"), ("second", "second name"), ("way/file", "link")]
        {
            for existing in [Existing::Overwrite, Existing::Continue] {
                let error = open(&theirs.join(name), existing).unwrap_err();
                assert!(error.to_string().contains(word), "{name}: {error}");
            }
        }
        assert!(make(&theirs.join("out")).is_err());
        assert!(hold_beside(&theirs.join("out")).is_err());
        assert_eq!(std::fs::read(&target).unwrap(), b"kept");
        assert_eq!(std::fs::read(inner.join("file")).unwrap(), b"kept");
        // What takes a file's place takes a link's, not that of what it leads to.
        replace(&theirs.join("out"), b"new").unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"kept");
        assert_eq!(std::fs::read(theirs.join("out")).unwrap(), b"new");
        // A file of the folder's own, and a new one, are as good as elsewhere.
        assert!(open(&theirs.join("out"), Existing::Overwrite).is_ok());
        assert!(open(&theirs.join("new"), Existing::Refuse).is_ok());
        std::fs::remove_dir_all(theirs.parent().unwrap()).unwrap();
    }

    #[test]
    fn what_stands_beside_is_never_reached_through_a_link() {
        let folder = folder("beside", 0o700);
        let target = folder.join("target");
        std::fs::write(&target, "kept").unwrap();
        symlink(&target, folder.join("link")).unwrap();
        assert!(hold_beside(&folder.join("link")).unwrap_err().to_string().contains("is a link"));
        assert!(hold_beside(&folder.join("none")).unwrap().is_none());
        assert_eq!(make(&folder.join("link")).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert!(hold_beside(&target).unwrap().is_some());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_held_is_not_changed_and_what_is_new_goes_again() {
        let folder = folder("held", 0o700);
        let (old, new) = (folder.join("old"), folder.join("new"));
        std::fs::write(&old, "kept").unwrap();
        for existing in [Existing::Overwrite, Existing::Continue] {
            drop(hold(&old, existing).unwrap());
            assert_eq!(std::fs::read(&old).unwrap(), b"kept");
            drop(hold(&new, existing).unwrap());
            assert!(!new.exists());
        }
        let mut written = hold(&new, Existing::Refuse).unwrap();
        written.file.write_all(b"x").unwrap();
        drop(written);
        assert_eq!(std::fs::read(&new).unwrap(), b"x");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_lock_is_held_once() {
        let folder = folder("lock", 0o700);
        let first = open(&folder.join("x"), Existing::Refuse).unwrap();
        for existing in [Existing::Continue, Existing::Overwrite] {
            let error = open(&folder.join("x"), existing).unwrap_err();
            assert!(error.to_string().contains("another run"));
        }
        drop(first);
        assert!(open(&folder.join("x"), Existing::Continue).is_ok());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
