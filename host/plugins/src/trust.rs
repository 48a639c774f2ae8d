//! Whose files may become part of this program.
//!
//! A plugin's code gets all of the program's privileges, so a privileged program only takes files
//! that nobody but their trusted owner could have written. The rules are those by which sudo and
//! OpenSSH judge their own files (`sudo_secure_path`; `StrictModes` of sshd_config(5)): owner and
//! mode of the file, and of every folder on the way to it, after all links are resolved.
//!
//! One difference: a folder that others may write is accepted where its sticky bit is set, as that
//! of `/tmp` is, for then they can neither rename nor remove what is not theirs (inode(7)); what
//! stands in it is judged by its own owner and mode.

use std::fs::{File, Metadata, OpenOptions};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::LoadError;
use pathspider_runtime::privileges::Privileges;

/// Bits of a mode with which others than the owner may write.
const OTHERS_WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// How files are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Files of these owners alone.
    Owners {
        /// Who, beside root.
        beside_root: Option<u32>,
    },
    /// Any file: the program has no privilege to guard, or its user waived the guard.
    Anyone,
}

impl Trust {
    /// The rule for a program with these privileges.
    pub(super) fn of(privileges: Privileges, user: u32) -> Trust {
        match privileges {
            Privileges::None => Trust::Anyone,
            Privileges::OfRoot | Privileges::OfItsFile => Trust::Owners { beside_root: None },
            Privileges::OfItsUser => Trust::Owners { beside_root: Some(user) },
        }
    }

    fn accepts(self, owner: u32) -> bool {
        match self {
            Trust::Anyone => true,
            Trust::Owners { beside_root } => owner == 0 || beside_root == Some(owner),
        }
    }

    fn owners(self) -> String {
        match self {
            Trust::Owners { beside_root: Some(user) } => format!("root or user {user}"),
            _ => "root".to_owned(),
        }
    }

    /// Judges a file or folder by its owner and mode.
    pub(super) fn judge(
        self,
        what: &str,
        path: &Path,
        metadata: &Metadata,
    ) -> Result<(), LoadError> {
        if self == Trust::Anyone {
            return Ok(());
        }
        let shown = path.display();
        let waiver = "(or waive the check with --insecure-plugins, if you trust all who can write \
                      there)";
        if !self.accepts(metadata.uid()) {
            return Err(LoadError::new(
                format_args!(
                    "{what} {shown} belongs to user {}, who would get this program's privileges; \
                     only {} may own it",
                    metadata.uid(),
                    self.owners()
                ),
                format_args!(
                    "copy the plugin to a folder of root's: install -m 644 FILE \
                     /usr/local/lib/pathspider/ {waiver}"
                ),
            ));
        }
        let sticky = metadata.is_dir() && metadata.mode() & STICKY != 0;
        if metadata.mode() & OTHERS_WRITE != 0 && !sticky {
            return Err(LoadError::new(
                format_args!(
                    "{what} {shown} can be written by others than its owner (mode {:o}), who \
                     would get this program's privileges",
                    metadata.mode() & 0o7777
                ),
                format_args!("chmod go-w {shown} {waiver}"),
            ));
        }
        Ok(())
    }

    /// Judges all folders on the way to a path that has no links in it.
    pub(super) fn judge_folders(self, real: &Path) -> Result<(), LoadError> {
        if self == Trust::Anyone {
            return Ok(());
        }
        // From the root on: nobody can change what was judged by a way that is still to judge.
        let mut folders: Vec<&Path> = real.ancestors().skip(1).collect();
        folders.reverse();
        for folder in folders {
            let metadata = folder.symlink_metadata().map_err(|e| LoadError::unreadable(&e))?;
            self.judge("the folder", folder, &metadata)?;
        }
        Ok(())
    }

    /// Opens a plugin's file and judges it: what is loaded later is what was judged here, whatever
    /// becomes of the name. A source beside it is judged too, for it gets the same privileges.
    ///
    /// # Errors
    ///
    /// It is no regular file, cannot be opened, or is not to be trusted.
    pub(super) fn open(self, path: &Path) -> Result<Opened, LoadError> {
        let (file, real, metadata) = self.open_one(path)?;
        let beside = source_beside(&real);
        let source = match beside.symlink_metadata() {
            Ok(_) => {
                let (file, _, metadata) =
                    self.open_one(&beside).map_err(|error| error.of(&beside))?;
                Some((file, metadata))
            }
            Err(_) => None,
        };
        Ok(Opened { file, real, metadata, source })
    }

    fn open_one(self, path: &Path) -> Result<(File, PathBuf, Metadata), LoadError> {
        // Opening a FIFO or a device could block or do something.
        match path.metadata() {
            Ok(metadata) if metadata.is_file() => {}
            Ok(metadata) => return Err(LoadError::not_a_file(kind(&metadata))),
            Err(_) if path.is_symlink() => {
                return Err(LoadError::not_a_file("a link that leads nowhere"));
            }
            Err(error) => return Err(LoadError::unreadable(&error)),
        }
        let unreadable = |error: std::io::Error| LoadError::unreadable(&error);
        let real = path.canonicalize().map_err(unreadable)?;
        self.judge_folders(&real)?;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(&real)
            .map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(LoadError::not_a_file(kind(&metadata)));
        }
        self.judge("the file", &real, &metadata)?;
        Ok((file, real, metadata))
    }

    /// Judges a plugin's file as [`open`](Trust::open) does, and does not keep it open: a folder may
    /// have more of them than a process may open.
    ///
    /// # Errors
    ///
    /// As for `open`.
    pub(super) fn look_at(self, path: &Path) -> Result<Judged, LoadError> {
        let opened = self.open(path)?;
        let identity = opened.identity();
        Ok(Judged { trust: self, path: path.to_owned(), real: opened.real, identity })
    }
}

fn kind(metadata: &Metadata) -> &'static str {
    let kind = metadata.file_type();
    match () {
        () if kind.is_dir() => "a folder",
        () if kind.is_fifo() => "a FIFO",
        () if kind.is_socket() => "a socket",
        () => "a device",
    }
}

/// A file that was judged and is not open.
#[derive(Debug)]
pub(super) struct Judged {
    trust: Trust,
    pub(super) path: PathBuf,
    /// Its path without links.
    pub(super) real: PathBuf,
    pub(super) identity: Identity,
}

impl Judged {
    /// Opens it, and judges it once more.
    ///
    /// # Errors
    ///
    /// As for [`Trust::open`]; or it is another file by now.
    pub(super) fn open(&self) -> Result<Opened, LoadError> {
        let opened = self.trust.open(&self.path)?;
        if opened.identity() == self.identity {
            Ok(opened)
        } else {
            Err(LoadError::new(
                "it has changed since it was looked at",
                "start the program again when it is in place",
            ))
        }
    }
}

/// Where the source of a plugin stands that needs no compiler: `NAME.py` beside `NAME.so`, whose library
/// runs it.
fn source_beside(library: &Path) -> PathBuf {
    library.with_extension("py")
}

/// What makes a plugin the same as before: its library, and the source beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    library: Stamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<Stamp>,
}

impl Identity {
    /// That of what is at this path now, which has no links in it.
    pub(super) fn at(real: &Path) -> Option<Identity> {
        let library = Stamp::from(&real.metadata().ok()?);
        let source = source_beside(real).metadata().ok();
        Some(Identity { library, source: source.as_ref().map(Stamp::from) })
    }
}

/// What makes a file the same as before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl From<&Metadata> for Stamp {
    fn from(file: &Metadata) -> Stamp {
        Stamp {
            device: file.dev(),
            inode: file.ino(),
            size: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }
}

/// A plugin that was judged.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: File,
    /// Its path without links.
    pub(super) real: PathBuf,
    pub(super) metadata: Metadata,
    /// The source beside it.
    pub(super) source: Option<(File, Metadata)>,
}

impl Opened {
    fn identity(&self) -> Identity {
        let source = self.source.as_ref().map(|(_, metadata)| Stamp::from(metadata));
        Identity { library: Stamp::from(&self.metadata), source }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A folder whose ancestors are as they should be where `/tmp` is.
    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn me() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    fn owners() -> Trust {
        Trust::Owners { beside_root: Some(me()) }
    }

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn reason(trust: Trust, path: &Path) -> String {
        trust.open(path).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn what_others_can_write_is_refused() {
        let top = folder();
        let inner = top.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let file = inner.join("x.so");
        fs::write(&file, "x").unwrap();
        chmod(&inner, 0o755);
        chmod(&file, 0o644);
        assert!(owners().open(&file).is_ok());
        for (path, mode) in [(&file, 0o664), (&file, 0o646), (&inner, 0o775), (&inner, 0o757)] {
            chmod(path, mode);
            let error = reason(owners(), &file);
            let remedy = format!("chmod go-w {}", path.canonicalize().unwrap().display());
            assert!(error.contains(&remedy) && error.contains(&format!("{mode:o}")), "{error}");
            assert!(Trust::Anyone.open(&file).is_ok());
            chmod(path, if path == &file { 0o644 } else { 0o755 });
        }
        chmod(&inner, 0o1777);
        assert!(owners().open(&file).is_ok(), "sticky, and the file is mine");
    }

    #[test]
    fn a_source_is_judged_and_known_as_its_library_is() {
        let top = folder();
        let (library, source) = (top.path().join("x.so"), top.path().join("x.py"));
        fs::write(&library, "x").unwrap();
        chmod(&library, 0o644);
        let alone = owners().look_at(&library).unwrap();
        fs::write(&source, "pass").unwrap();
        chmod(&source, 0o646);
        let error = reason(owners(), &library);
        assert!(error.contains("x.py can be written by others"), "{error}");
        chmod(&source, 0o644);
        assert!(alone.open().is_err(), "it has got a source");
        let both = owners().look_at(&library).unwrap();
        assert_eq!(Identity::at(&both.real), Some(both.identity.clone()));
        assert!(both.open().unwrap().source.is_some());
        fs::write(&source, "pass pass").unwrap();
        assert!(both.open().is_err(), "its source is another");
    }

    #[test]
    fn another_owners_files_are_refused() {
        if me() != 0 {
            pathspider_runtime::say!("SKIPPED: only root can give files away");
            return;
        }
        let top = folder();
        let file = top.path().join("x.so");
        fs::write(&file, "x").unwrap();
        chmod(&file, 0o644);
        let root = Trust::Owners { beside_root: None };
        assert!(root.open(&file).is_ok());
        std::os::unix::fs::chown(&file, Some(1234), None).unwrap();
        assert!(reason(root, &file).contains("belongs to user 1234"));
        assert!(Trust::Owners { beside_root: Some(1234) }.open(&file).is_ok());
        std::os::unix::fs::chown(&file, Some(0), None).unwrap();
        std::os::unix::fs::chown(top.path(), Some(1234), None).unwrap();
        assert!(reason(root, &file).contains("the folder"));
    }

    #[test]
    fn links_are_judged_by_what_they_lead_to() {
        let top = folder();
        let (file, link) = (top.path().join("x.so"), top.path().join("y.so"));
        fs::write(&file, "x").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        chmod(&file, 0o666);
        assert!(reason(owners(), &link).contains("x.so can be written"));
        assert!(reason(owners(), top.path()).contains("a folder"));
        fs::remove_file(&file).unwrap();
        assert!(reason(owners(), &link).contains("leads nowhere"));
    }
}
