//! Where journals are kept: folders that nobody else can write to, and never through a link.

use std::env;
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};

use pathspider_runtime::privileges::has_privileges_of_its_own;

/// The environment variable that names the folder.
const VARIABLE: &str = "PATHSPIDER_STATE_DIR";

/// A folder of journals.
pub(super) struct Place {
    pub(super) path: PathBuf,
    folder: OwnedFd,
}

/// Whether there may be journals.
///
/// Not where the program has more privileges than its user: in a folder that the user can write
/// to, the user could write down changes to be "undone".
pub(super) fn is_possible() -> bool {
    !has_privileges_of_its_own()
}

/// The folders that may hold this user's journals, the preferred one first.
pub(super) fn candidates() -> Vec<PathBuf> {
    if !is_possible() {
        return Vec::new();
    }
    if let Some(folder) = env::var_os(VARIABLE).filter(|folder| !folder.is_empty()) {
        return vec![folder.into()];
    }
    let user = rustix::process::geteuid();
    let mut folders = Vec::new();
    if user.is_root() {
        folders.push("/var/lib/pathspider".into());
        folders.push("/run/pathspider".into());
    }
    let home = |name, below: &str| {
        let folder = env::var_os(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
        folder.map(|folder| folder.join(below))
    };
    folders.extend(home("XDG_STATE_HOME", "pathspider"));
    folders.extend(home("HOME", ".local/state/pathspider"));
    folders.push(format!("/tmp/pathspider-{}", user.as_raw()).into());
    folders
}

impl Place {
    /// A folder, made where it is not there.
    ///
    /// # Errors
    ///
    /// It cannot be, or others may write to it.
    pub(super) fn make(path: PathBuf) -> io::Result<Place> {
        if let Some(parent) = path.parent().filter(|parent| !parent.exists()) {
            DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        }
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Place::open(path),
        }
    }

    /// All folders that are there.
    pub(super) fn all() -> Vec<Place> {
        candidates().into_iter().filter_map(|path| Place::open(path).ok()).collect()
    }

    fn open(path: PathBuf) -> io::Result<Place> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = rustix::fs::open(&path, flags, Mode::empty())?;
        is_ours_alone(&folder)?;
        Ok(Place { path, folder })
    }

    /// Makes a file that was not there.
    pub(super) fn create(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::WRONLY
            | OFlags::APPEND
            | OFlags::CREATE
            | OFlags::EXCL
            | OFlags::NOFOLLOW
            | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.folder, name, flags, Mode::from_raw_mode(0o600))?.into())
    }

    /// Gives a file another name, which nothing has yet.
    pub(super) fn rename(&self, old: &str, new: &str) -> io::Result<()> {
        // A rename that replaces nothing is not known to every file system; a link is.
        rustix::fs::linkat(&self.folder, old, &self.folder, new, AtFlags::empty())?;
        self.remove(old)?;
        // The name has to survive a power cut as well as what will be written.
        Ok(rustix::fs::fsync(&self.folder)?)
    }

    /// Reads a file; one that another user could have written is none.
    pub(super) fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        self.open_existing(name, OFlags::RDONLY)?.read_to_end(&mut text)?;
        Ok(text)
    }

    /// Opens a file to read and write; one that another user could have written is none.
    pub(super) fn open_file(&self, name: &str) -> io::Result<File> {
        self.open_existing(name, OFlags::RDWR)
    }

    fn open_existing(&self, name: &str, mode: OFlags) -> io::Result<File> {
        let flags = mode | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.folder, name, flags, Mode::empty())?;
        is_ours_alone(&file)?;
        Ok(File::from(file))
    }

    /// Adds to a file, and waits until the disk has it.
    pub(super) fn append(&self, name: &str, text: &[u8]) -> io::Result<()> {
        let mut file = self.open_existing(name, OFlags::WRONLY | OFlags::APPEND)?;
        file.write_all(text)?;
        file.sync_data()
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.folder, name, AtFlags::empty())?)
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }

    /// The names of its files that end so.
    pub(super) fn names(&self, ending: &str) -> Vec<String> {
        let Ok(entries) = rustix::fs::Dir::read_from(&self.folder) else { return Vec::new() };
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().to_str().ok().map(str::to_owned))
            .filter(|name| name.ends_with(ending))
            .collect();
        names.sort();
        names
    }
}

/// Whether a file or folder is this user's, and nobody else may write to it.
fn is_ours_alone(file: &OwnedFd) -> io::Result<()> {
    let status = rustix::fs::fstat(file)?;
    let kind = FileType::from_raw_mode(status.st_mode);
    let ours = status.st_uid == rustix::process::geteuid().as_raw() && status.st_mode & 0o022 == 0;
    let plain = matches!(kind, FileType::RegularFile | FileType::Directory);
    if ours && plain {
        return Ok(());
    }
    let words = "it is not this user's, or others may write to it";
    Err(io::Error::new(io::ErrorKind::PermissionDenied, words))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let path = env::temp_dir().join(format!("pathspider-place-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        DirBuilder::new().mode(0o700).create(&path).unwrap();
        path
    }

    #[test]
    fn links_and_folders_of_others_are_not_used() {
        let path = folder("safe");
        let place = Place::open(path.clone()).unwrap();
        symlink("/etc/passwd", path.join("x.journal")).unwrap();
        assert!(place.create("x.journal").is_err() && place.read("x.journal").is_err());
        drop(place.create("y.journal").unwrap());
        assert!(place.create("y.journal").is_err(), "never over another one");
        assert_eq!(place.names(".journal"), ["x.journal", "y.journal"]);
        symlink(&path, path.join("link")).unwrap();
        assert!(Place::open(path.join("link")).is_err());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(Place::open(path.clone()).is_err());
        std::fs::remove_dir_all(path).unwrap();
    }
}
