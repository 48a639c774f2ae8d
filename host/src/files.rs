//! Makes and opens files for what a run writes: with safe modes, never over what is there unless
//! told to, and in a folder that others can write to never through a link.
//!
//! Such a folder (`/tmp`) lets another user put a link where we are about to write, to a file that
//! only we may change.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags};

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
    pub(crate) file: File,
    /// Whether it is a file that keeps what is written, and no pipe or device.
    pub(crate) regular: bool,
}

/// Opens a file for writing, and for reading where it is to be continued; makes it where it is not
/// there. It is this process's alone for as long as it is open. Pipes and devices are opened as
/// they are.
///
/// # Errors
///
/// `AlreadyExists` as `existing` says, another run writes it, or what the system says.
pub(crate) fn open(path: &Path, existing: Existing) -> io::Result<Opened> {
    let made = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    match rustix::fs::open(path, made, Mode::from_raw_mode(0o644)) {
        Ok(file) => return Opened::locked(file, true),
        Err(rustix::io::Errno::EXIST) => {}
        // A folder whose files may be written, and no more be made.
        Err(error) if path.symlink_metadata().is_err() => return Err(error.into()),
        Err(_) => {}
    }
    let follow = match is_shared(path)? {
        true => OFlags::NOFOLLOW,
        false => OFlags::empty(),
    };
    let is_file = path.metadata().is_ok_and(|metadata| metadata.is_file());
    let access = if is_file { OFlags::RDWR } else { OFlags::WRONLY };
    let file = match rustix::fs::open(path, access | follow | OFlags::CLOEXEC, Mode::empty()) {
        Ok(file) => file,
        Err(rustix::io::Errno::LOOP) => {
            return Err(io::Error::other(
                "it is a link, in a folder that others can write to: remove it, or name the file \
                 that is meant",
            ));
        }
        Err(error) => return Err(error.into()),
    };
    let regular = is_regular(&file)?;
    if existing == Existing::Refuse && regular {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let opened = Opened::locked(file, regular)?;
    if existing == Existing::Overwrite && regular {
        opened.file.set_len(0)?;
    }
    Ok(opened)
}

impl Opened {
    fn locked(file: OwnedFd, regular: bool) -> io::Result<Opened> {
        let file = File::from(file);
        match regular && !lock(&file)? {
            true => Err(io::Error::other("another run is writing it")),
            false => Ok(Opened { file, regular }),
        }
    }
}

fn is_regular(file: &OwnedFd) -> io::Result<bool> {
    let mode = rustix::fs::fstat(file)?.st_mode;
    Ok(FileType::from_raw_mode(mode) == FileType::RegularFile)
}

/// Whether others can write to the folder that a file is in.
fn is_shared(path: &Path) -> io::Result<bool> {
    let status = rustix::fs::stat(folder(path))?;
    Ok(status.st_mode & 0o022 != 0)
}

/// The folder of a file.
fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Keeps a file to this process for as long as it is open; `false` where another one has it.
fn lock(file: &File) -> io::Result<bool> {
    match rustix::fs::flock(file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        // A file system without locks.
        Err(_) => Ok(true),
    }
}

/// Replaces a file as a whole: whoever reads it sees what it was or what it is.
///
/// # Errors
///
/// It stays as it was.
pub(crate) fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    use std::io::Write;
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".new-{}", std::process::id()));
    let new = path.with_file_name(name);
    let made = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let open = || rustix::fs::open(&new, made, Mode::from_raw_mode(0o644));
    let file = match open() {
        // Of a process that had our number, and was killed in these few lines.
        Err(rustix::io::Errno::EXIST) => {
            std::fs::remove_file(&new)?;
            open()?
        }
        other => other?,
    };
    let mut file = File::from(file);
    let written = file.write_all(text).and_then(|()| file.sync_all());
    if let Err(error) = written.and_then(|()| std::fs::rename(&new, path)) {
        let _ = std::fs::remove_file(&new);
        return Err(error);
    }
    let folder =
        rustix::fs::openat(CWD, folder(path), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    // The new name, too, is to survive a power cut; a folder that may not be read has to do without.
    let _ = folder.and_then(rustix::fs::fsync);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
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
