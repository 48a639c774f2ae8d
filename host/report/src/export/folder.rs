//! The folder of an export: it has its name only when all is in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What stands behind its name until then.
const UNFINISHED: &str = ".unfinished";

/// A folder that is being filled. Where it is dropped, it is removed.
pub(super) struct Folder {
    path: PathBuf,
    inside: PathBuf,
    is_kept: bool,
}

impl Folder {
    /// A folder that does not exist yet, or is empty.
    pub(super) fn new(path: &Path) -> io::Result<Folder> {
        let path = PathBuf::from_iter(path.components());
        let other = |reason: String| io::Error::new(io::ErrorKind::AlreadyExists, reason);
        match fs::read_dir(&path) {
            Ok(mut entries) => {
                if entries.next().is_some() {
                    return Err(other("something is in it already".to_owned()));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let mut inside = path.clone().into_os_string();
        inside.push(UNFINISHED);
        let inside = PathBuf::from(inside);
        fs::create_dir(&inside).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                let there = pathspider_runtime::text::path(&inside);
                other(format!(
                    "{there} is of an export that goes on, or was killed: remove it then"
                ))
            }
            _ => error,
        })?;
        Ok(Folder { path, inside, is_kept: false })
    }

    /// As it was named.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where it is filled.
    pub(super) fn inside(&self) -> &Path {
        &self.inside
    }

    /// Gives it its name.
    pub(super) fn keep(mut self) -> io::Result<()> {
        fs::rename(&self.inside, &self.path)?;
        self.is_kept = true;
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.is_kept {
            // All in it is of this export, and why it failed was reported.
            let _ = fs::remove_dir_all(&self.inside);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_there_as_a_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let begun = Folder::new(&path).unwrap();
        fs::write(begun.inside().join("x"), "x").unwrap();
        assert!(!path.exists());
        let error = Folder::new(&path).err().unwrap();
        assert!(error.to_string().contains("goes on"), "{error}");
        drop(begun);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        fs::create_dir(&path).unwrap();
        let begun = Folder::new(&path.join(".")).unwrap();
        fs::write(begun.inside().join("x"), "x").unwrap();
        begun.keep().unwrap();
        assert!(path.join("x").exists());
        assert!(Folder::new(&path).err().unwrap().to_string().contains("already"));
    }
}
