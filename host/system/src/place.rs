//! Where journals are kept: folders that nobody else can write to, and never through a link.

use std::env;
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use pathspider_plugin_api::{Error, Result};
use rustix::fs::{Access, AtFlags, FileType, Mode, OFlags};

use pathspider_runtime::privileges::has_privileges_of_its_own;

/// The environment variable that names the folder.
const VARIABLE: &str = "PATHSPIDER_STATE_DIR";

/// Where root's are.
const ROOTS: [&str; 2] = ["/var/lib/pathspider", "/run/pathspider"];

/// How long what a run notes of its changes may get, in octets: some hundred thousand changes. Who
/// restores them reads the journal whole.
pub(super) const LONGEST: u64 = 16 << 20;

/// The longest journal that is read: with what restoring adds to it.
pub(super) const LONGEST_READ: u64 = 4 * LONGEST;

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
        folders.extend(ROOTS.map(PathBuf::from));
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

/// The first of the candidates that a journal could be made in; none is made. `None` where there may
/// be no journals.
///
/// # Errors
///
/// There is no such folder.
pub(super) fn usable() -> Result<Option<PathBuf>> {
    let candidates = candidates();
    let is_usable = |path: &&PathBuf| match Place::open((*path).clone()) {
        Ok(place) => may_write(&place.path),
        Err(_) if !is_missing(path) => false,
        // It would be made in the nearest folder that is there.
        Err(_) => path.ancestors().skip(1).find(|path| path.exists()).is_some_and(may_write),
    };
    match candidates.iter().find(is_usable) {
        Some(path) => Ok(Some(path.clone())),
        None if candidates.is_empty() => Ok(None),
        None => {
            let all: Vec<String> =
                candidates.iter().map(|path| path.display().to_string()).collect();
            Err(Error::new(format!("a journal can be written to none of {}", all.join(", "))))
        }
    }
}

fn may_write(path: &Path) -> bool {
    rustix::fs::access(path, Access::WRITE_OK | Access::EXEC_OK).is_ok()
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

    /// All folders that are there; and those that may have journals of this user's and cannot be
    /// looked into, with the reason.
    pub(super) fn all() -> (Vec<Place>, Vec<(PathBuf, io::Error)>) {
        let (mut places, mut closed) = (Vec::new(), Vec::new());
        let is_named = env::var_os(VARIABLE).is_some_and(|folder| !folder.is_empty());
        for path in candidates() {
            match Place::open(path.clone()) {
                Ok(place) => places.push(place),
                Err(error) if is_named || may_be_ours(&path) => {
                    // One that is not there has none.
                    if !is_missing(&path) {
                        closed.push((path, error));
                    }
                }
                Err(_) => {}
            }
        }
        (places, closed)
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

    /// Reads a file; one that another user could have written is none, and neither is one that is
    /// longer than a journal.
    pub(super) fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        whole(self.open_existing(name, OFlags::RDONLY)?)
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

    /// Adds lines to a file, and waits until the disk has them. A torn line at its end is cut off:
    /// these would join it.
    pub(super) fn append_lines(&self, name: &str, lines: &[u8]) -> io::Result<()> {
        let mut file = self.open_existing(name, OFlags::RDWR | OFlags::APPEND)?;
        let text = whole(file.try_clone()?)?;
        let end = text.iter().rposition(|&octet| octet == b'\n').map_or(0, |at| at + 1);
        if end < text.len() {
            file.set_len(end as u64)?;
        }
        file.write_all(lines)?;
        file.sync_data()
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.folder, name, AtFlags::empty())?)
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }

    /// The names of its files that end so.
    ///
    /// # Errors
    ///
    /// The folder cannot be read.
    pub(super) fn names(&self, ending: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.folder)? {
            // Ours are text.
            names.extend(entry?.file_name().to_str().ok().map(str::to_owned));
        }
        names.retain(|name| name.ends_with(ending));
        names.sort();
        Ok(names)
    }
}

/// The text of a file, which is no longer than a journal.
fn whole(file: File) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    file.take(LONGEST_READ + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LONGEST_READ {
        let words = format!("it is longer than {} MiB, as no journal is", LONGEST_READ >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, words));
    }
    Ok(text)
}

/// Whether there is nothing of this name, not even a link.
fn is_missing(path: &Path) -> bool {
    let missing = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
    std::fs::symlink_metadata(path).is_err_and(|error| missing.contains(&error.kind()))
}

/// Whether a folder may have been this user's. One that is another user's has none of our journals, and
/// anybody may make one in /tmp. Where it cannot be seen, the folder above it decides.
fn may_be_ours(path: &Path) -> bool {
    let own = rustix::process::geteuid().as_raw();
    let seen = path.ancestors().find_map(|path| std::fs::symlink_metadata(path).ok());
    seen.is_some_and(|status| status.uid() == own)
}

/// The folders of root's journals that are there, and are not this user's to look into.
pub(super) fn of_root() -> Vec<PathBuf> {
    let folders = ROOTS.map(PathBuf::from).into_iter();
    if rustix::process::geteuid().is_root() && is_possible() {
        return Vec::new();
    }
    folders.filter(|folder| folder.is_dir()).collect()
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
        assert_eq!(place.names(".journal").unwrap(), ["x.journal", "y.journal"]);
        symlink(&path, path.join("link")).unwrap();
        assert!(Place::open(path.join("link")).is_err());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(Place::open(path.clone()).is_err());
        std::fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_folder_that_is_closed_is_known_from_one_that_is_not_there() {
        let path = folder("closed");
        assert!(!is_missing(&path) && may_be_ours(&path));
        assert!(is_missing(&path.join("no/such")) && is_missing(Path::new("/dev/null/state")));
        symlink("/nowhere", path.join("link")).unwrap();
        assert!(!is_missing(&path.join("link")));
        std::fs::remove_dir_all(path).unwrap();
    }
}
