//! Finds the files of records: those that are named, and those in folders that are.

use std::collections::HashSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use pathspider_runtime::{decompress, text};

/// What the name of a file in a folder ends in that is read.
const ENDINGS: [&str; 3] = ["ndjson", "jsonl", "json"];

/// What may follow that.
const COMPRESSIONS: [&str; 3] = ["gz", "zst", "xz"];

/// What a campaign's folder has beside records: what it is of, the campaign's file, the targets, and in
/// each run's folder its manifest.
pub const CAMPAIGN: &str = "campaign.json";
/// The campaign's file.
pub const CAMPAIGN_FILE: &str = "campaign.toml";
/// The targets.
pub const TARGETS: &str = "targets.ndjson.zst";
/// A run's manifest.
pub const MANIFEST: &str = "manifest.json";

/// How deep folders are looked into.
const DEEPEST: usize = 16;

/// Where records are read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file; `None` is standard input.
    path: Option<PathBuf>,
}

impl Source {
    /// Standard input.
    pub fn standard_input() -> Source {
        Source { path: None }
    }

    /// A file.
    pub fn file(path: PathBuf) -> Source {
        Source { path: Some(path) }
    }

    /// The file, if it is one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Whether it can be read once more: a file, and no pipe.
    pub(crate) fn is_lasting(&self) -> bool {
        self.path.as_ref().is_some_and(|path| path.metadata().is_ok_and(|file| file.is_file()))
    }

    /// Opens it, decompressed.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(crate) fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        decompress::by_content(match &self.path {
            None => Box::new(io::stdin()),
            Some(path) => Box::new(File::open(path)?),
        })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            None => f.write_str("standard input"),
            Some(path) => f.write_str(&text::path(path)),
        }
    }
}

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// Files of records.
    pub sources: Vec<Source>,
    /// Files in folders that are passed over, for their names are no records'.
    pub passed_over: Vec<PathBuf>,
    /// Files that were named twice.
    pub twice: Vec<PathBuf>,
    /// Folders that cannot be read.
    pub closed: Vec<(PathBuf, io::Error)>,
    /// Folders that were named and have no file of records.
    pub empty: Vec<PathBuf>,
}

/// Finds what these arguments name: `-` is standard input, and so is no argument at all. Files of a
/// folder come in the order of their names.
pub fn find(arguments: &[PathBuf]) -> Found {
    let mut found = Found::default();
    let mut seen = HashSet::new();
    if arguments.is_empty() {
        found.sources.push(Source::standard_input());
    }
    for argument in arguments {
        if argument.as_os_str() == "-" {
            found.sources.push(Source::standard_input());
        } else if argument.is_dir() {
            let known = found.known();
            found.look_into(argument, DEEPEST, &mut seen);
            if found.known() == known {
                found.empty.push(argument.clone());
            }
        } else {
            found.add(argument.clone(), &mut seen);
        }
    }
    found
}

/// A file's identity.
type Identity = (u64, u64);

impl Found {
    /// Files of records so far, also those that cannot be reached.
    fn known(&self) -> usize {
        self.sources.len() + self.twice.len() + self.closed.len()
    }

    fn look_into(&mut self, folder: &Path, depth: usize, seen: &mut HashSet<Identity>) {
        let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => return self.closed.push((folder.to_owned(), error)),
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            // A link may lead to where we come from; nothing of the folder's own is one.
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && depth > 0 => self.look_into(&path, depth - 1, seen),
                Ok(kind) if kind.is_file() && is_of_records(&path) => self.add(path, seen),
                _ if is_beside(&path) => {}
                _ => self.passed_over.push(path),
            }
        }
    }

    fn add(&mut self, path: PathBuf, seen: &mut HashSet<Identity>) {
        let identity = path.metadata().map(|file| (file.dev(), file.ino()));
        match identity {
            Ok(identity) if !seen.insert(identity) => self.twice.push(path),
            _ => self.sources.push(Source::file(path)),
        }
    }
}

fn is_of_records(path: &Path) -> bool {
    if is_beside(path) {
        return false;
    }
    let ending = |path: &Path| path.extension().and_then(|e| e.to_str()).map(str::to_owned);
    match ending(path) {
        Some(last) if COMPRESSIONS.contains(&&*last) => {
            ending(&path.with_extension("")).is_some_and(|before| ENDINGS.contains(&&*before))
        }
        Some(last) => ENDINGS.contains(&&*last),
        None => false,
    }
}

/// Whether a file stands beside one of records, as a run or a campaign writes them.
fn is_beside(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".meta.json")
        || name.ends_with(".without")
        || name.starts_with('.')
        || [CAMPAIGN, CAMPAIGN_FILE, TARGETS, MANIFEST].contains(&&*name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_have_records_and_other_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("b/c")).unwrap();
        for name in [
            "b/c/2.ndjson.zst",
            "a.ndjson",
            "a.ndjson.meta.json",
            "a.ndjson.without",
            "x.pcap",
            "z.json",
            "n.zst",
            CAMPAIGN,
            CAMPAIGN_FILE,
            TARGETS,
            MANIFEST,
        ] {
            fs::write(path(name), "").unwrap();
        }
        std::os::unix::fs::symlink(folder.path(), path("b/loop")).unwrap();
        fs::create_dir(path("empty")).unwrap();
        let found =
            find(&[folder.path().to_owned(), path("a.ndjson"), path("none"), path("empty")]);
        assert_eq!(found.empty, [path("empty")]);
        let names = |paths: &[PathBuf]| -> Vec<String> {
            let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
            paths.iter().map(name).collect()
        };
        let sources: Vec<PathBuf> =
            found.sources.iter().map(|source| source.path().unwrap().to_owned()).collect();
        assert_eq!(names(&sources), ["a.ndjson", "2.ndjson.zst", "z.json", "none"]);
        assert_eq!(names(&found.passed_over), ["loop", "n.zst", "x.pcap"]);
        assert_eq!(names(&found.twice), ["a.ndjson"]);
        assert_eq!(find(&[]).sources, [Source::standard_input()]);
    }
}
