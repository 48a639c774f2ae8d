//! Where a file is: its folder, found without going through links that others may have put there.
//!
//! A folder is shared where others can put files into it: its mode lets them, or it belongs to
//! somebody who is neither we nor root, or others can exchange a folder on the way to it. Others
//! cannot exchange what is ours in a folder with the sticky bit, such as `/tmp` (inode(7)). From
//! the first shared folder on, no link is followed. Links before it are those of root or ours; where
//! they lead is theirs to answer for. The working folder is taken as it is.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Stat};
use rustix::io::Errno;

/// Bits of a mode with which others than the owner may write.
const OTHERS_WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// The place of one file.
#[derive(Debug)]
pub(super) struct Place {
    folder: OwnedFd,
    name: OsString,
    /// Whether others can put links into the folder.
    pub(super) shared: bool,
}

/// A folder on the way.
struct Step {
    folder: OwnedFd,
    shared: bool,
    /// Whether others can exchange what is in it.
    lost: bool,
}

impl Step {
    fn judge(folder: OwnedFd, lost: bool) -> io::Result<Step> {
        let Stat { st_uid, st_mode, .. } = rustix::fs::fstat(&folder)?;
        let foreign = st_uid != 0 && st_uid != rustix::process::geteuid().as_raw();
        let written = st_mode & OTHERS_WRITE != 0;
        let lost = lost || foreign || written && st_mode & STICKY == 0;
        Ok(Step { folder, shared: lost || written, lost })
    }

    fn next(self, name: &OsStr) -> io::Result<Step> {
        let mut flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        flags.set(OFlags::NOFOLLOW, self.shared);
        let folder =
            rustix::fs::openat(&self.folder, name, flags, Mode::empty()).map_err(|error| {
                let status = rustix::fs::statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW);
                let is_link = status.is_ok_and(|status| is_link(&status));
                if self.shared && is_link { link(name) } else { error.into() }
            })?;
        Step::judge(folder, self.lost)
    }
}

impl Place {
    /// # Errors
    ///
    /// There is no such folder, or a link on the way that others may have put there.
    pub(super) fn find(path: &Path) -> io::Result<Place> {
        let Some(name) = path.file_name() else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it is not the name of a file",
            ));
        };
        let begin = if path.is_absolute() { "/" } else { "." };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut step = Step::judge(rustix::fs::openat(CWD, begin, flags, Mode::empty())?, false)?;
        for component in path.parent().into_iter().flat_map(Path::components) {
            step = match component {
                Component::Normal(name) => step.next(name)?,
                Component::ParentDir => step.next(OsStr::new(".."))?,
                Component::RootDir | Component::CurDir | Component::Prefix(_) => step,
            };
        }
        Ok(Place { folder: step.folder, name: name.to_owned(), shared: step.shared })
    }

    /// Another file in the same folder.
    pub(super) fn beside(&self, name: OsString) -> io::Result<Place> {
        Ok(Place { folder: self.folder.try_clone()?, name, shared: self.shared })
    }

    pub(super) fn name(&self) -> &OsStr {
        &self.name
    }

    /// The names of all that is in the folder.
    pub(super) fn names(&self) -> io::Result<Vec<OsString>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(&self.folder, ".", flags, Mode::empty())?;
        let name = |entry: rustix::io::Result<rustix::fs::DirEntry>| {
            Ok(OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned())
        };
        rustix::fs::Dir::read_from(folder)?.map(name).collect()
    }

    /// What is there; what a link leads to, where links are followed.
    pub(super) fn status(&self) -> rustix::io::Result<Stat> {
        let flags = if self.shared { AtFlags::SYMLINK_NOFOLLOW } else { AtFlags::empty() };
        rustix::fs::statat(&self.folder, &self.name, flags)
    }

    /// Makes the file, which must not be there, not even as a link.
    pub(super) fn make(&self, access: OFlags) -> rustix::io::Result<OwnedFd> {
        let flags = access | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        rustix::fs::openat(&self.folder, &self.name, flags, Mode::from_raw_mode(0o644))
    }

    /// Opens the file that is there; `links`: through a link, unless the folder is shared.
    pub(super) fn open(&self, access: OFlags, links: bool) -> io::Result<OwnedFd> {
        let mut flags = access | OFlags::CLOEXEC;
        flags.set(OFlags::NOFOLLOW, self.shared || !links);
        match rustix::fs::openat(&self.folder, &self.name, flags, Mode::empty()) {
            Err(Errno::LOOP) if self.shared || !links => Err(link(&self.name)),
            other => Ok(other?),
        }
    }

    pub(super) fn remove(&self) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.folder, &self.name, AtFlags::empty())?)
    }

    /// Puts this file in the other's place, which is in the same folder.
    pub(super) fn take_place_of(&self, other: &Place) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.folder, &self.name, &other.folder, &other.name)?)
    }

    /// Has the disk keep the names in the folder. One that may not be read has to do without.
    pub(super) fn sync(&self) {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(&self.folder, ".", flags, Mode::empty());
        let _ = folder.and_then(rustix::fs::fsync);
    }
}

fn is_link(status: &Stat) -> bool {
    rustix::fs::FileType::from_raw_mode(status.st_mode) == rustix::fs::FileType::Symlink
}

/// Why a link is not followed.
fn link(name: &OsStr) -> io::Error {
    io::Error::other(format!(
        "{} is a link that others could have put there: remove it, or name the file that is meant",
        name.display()
    ))
}
