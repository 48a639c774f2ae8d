//! Owns the lab's scratch directory, the one thing that outlives a killed lab: the next one finds
//! that nobody holds its lock any more and removes it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use crate::error::{Context, Result};

const PREFIX: &str = "pathspider-lab-";
const LOCK: &str = "lock";

/// A directory for jobs and records, removed on drop.
#[derive(Debug)]
pub struct WorkDir {
    path: PathBuf,
    _lock: Flock<File>,
}

impl WorkDir {
    /// Makes one, and removes those of labs that were killed.
    ///
    /// # Errors
    /// When the system's temporary directory cannot be written.
    pub fn new() -> Result<Self> {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);

        let base = std::env::temp_dir();
        remove_abandoned(&base);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = base.join(format!("{PREFIX}{}-{number}", std::process::id()));
            fs::create_dir(&path).context(|| format!("make {}", path.display()))?;
            // Another lab may take it for abandoned before it is locked, and remove it.
            let Ok(lock) = File::create(path.join(LOCK)) else { continue };
            let Ok(lock) = Flock::lock(lock, FlockArg::LockExclusiveNonblock) else { continue };
            if path.join(LOCK).exists() {
                return Ok(Self { path, _lock: lock });
            }
        }
    }

    /// Its own path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes directories whose lock is free. One just being made has no lock file yet and is left.
fn remove_abandoned(base: &Path) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let Ok(lock) = File::open(entry.path().join(LOCK)) else {
            continue;
        };
        // Held until it is gone, for its maker may be about to lock it.
        if let Ok(_held) = Flock::lock(lock, FlockArg::LockExclusiveNonblock) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_in_use_stays_and_an_abandoned_one_goes() {
        let abandoned = std::env::temp_dir().join(format!("{PREFIX}abandoned-test"));
        fs::create_dir_all(&abandoned).unwrap();
        File::create(abandoned.join(LOCK)).unwrap();

        let used = WorkDir::new().unwrap();
        let _other = WorkDir::new().unwrap();

        assert!(used.file(LOCK).exists());
        assert!(!abandoned.exists());
    }
}
