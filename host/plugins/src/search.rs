//! Where plugins are looked for, in which order.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::trust::Trust;
use pathspider_runtime::privileges::Privileges;
use pathspider_runtime::say;

/// The environment variable that names more folders, separated by colons.
const VARIABLE: &str = "PATHSPIDER_PLUGIN_PATH";

/// Folders, in the order in which they are searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchPath {
    folders: Vec<PathBuf>,
    trust: Trust,
}

impl SearchPath {
    /// The folders that the command line names, then those of the environment, those beside this
    /// program (`plugins`, and `../lib/pathspider` for one installed anywhere), and the system's.
    ///
    /// A program that has more privileges than its user (file capabilities) does not let the user
    /// choose what code it loads: then the first two are left out.
    ///
    /// `insecure` waives the check of the files' owners and modes, which such a program does not
    /// let its user do either.
    pub fn resolve(named: &[PathBuf], insecure: bool) -> SearchPath {
        let privileges = Privileges::own();
        let user = rustix::process::geteuid().as_raw();
        let mut path = SearchPath { folders: Vec::new(), trust: Trust::of(privileges, user) };
        let variable = env::var_os(VARIABLE);
        if privileges == Privileges::OfItsFile {
            if !named.is_empty() || variable.is_some() || insecure {
                say!(
                    "--plugin-dir, --insecure-plugins and {VARIABLE} are ignored, for this \
                     program has privileges that its user has not"
                );
            }
        } else {
            if insecure && path.trust != Trust::Anyone {
                path.trust = Trust::Anyone;
                say!(
                    "WARNING: --insecure-plugins: whoever can write a plugin's file, or a folder \
                     above it, gets the privileges of this program"
                );
            }
            for folder in named {
                if let Err(error) = folder.read_dir() {
                    say!("--plugin-dir {}: {error}; no plugin is found there", folder.display());
                }
                path.push(folder);
            }
            for folder in variable.iter().flat_map(env::split_paths) {
                path.push(&folder);
            }
        }
        if let Ok(program) = env::current_exe()
            && let Some(folder) = program.parent()
        {
            path.push(&folder.join("plugins"));
            if let Some(prefix) = folder.parent() {
                path.push(&prefix.join("lib/pathspider"));
            }
        }
        path.push(Path::new("/usr/local/lib/pathspider"));
        path.push(Path::new("/usr/lib/pathspider"));
        path
    }

    /// Appends a folder, unless it is there already under this or another name.
    fn push(&mut self, folder: &Path) {
        if folder.as_os_str().is_empty() {
            return;
        }
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        if !self.folders.contains(&folder) {
            self.folders.push(folder);
        }
    }

    /// Whose files are accepted.
    pub fn trust(&self) -> Trust {
        self.trust
    }

    /// The folders.
    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }
}

/// The files of a folder that could be plugins: those named `*.so`, sorted by name. A folder that
/// does not exist has none.
pub fn candidates(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = folder.read_dir() else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension() == Some(OsStr::new("so")))
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_folders_come_first_and_once() {
        let temp = env::temp_dir().canonicalize().unwrap();
        let path = SearchPath::resolve(&[temp.clone(), temp.join("."), PathBuf::new()], false);
        assert_eq!(path.folders()[0], temp);
        assert_eq!(path.folders().iter().filter(|f| **f == temp).count(), 1);
        assert_eq!(path.folders().last().unwrap(), Path::new("/usr/lib/pathspider"));
    }
}
