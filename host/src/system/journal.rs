//! The journal of a run: how to undo each change, on the disk before the change is made.
//!
//! A file of JSON lines: a head, then entries. A line that is torn tells of a change that was not
//! made. The file goes when all is undone.

use std::fs::File;
use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use super::change::{Changes, Entry};
use super::identity::{self, Namespace, Process};
use super::place::Place;

/// How the files' names end.
pub(super) const ENDING: &str = ".journal";

/// The first line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Head {
    /// What was measured.
    pub(super) plugin: String,
    /// The program's version.
    version: String,
    /// When it began.
    pub(super) time: String,
    /// The boot that the settings last for.
    pub(super) boot: String,
    /// The network namespace that they are of.
    pub(super) namespace: Namespace,
    /// Who makes the changes.
    pub(super) process: Process,
}

impl Head {
    /// The head of a journal that begins here and now.
    ///
    /// # Errors
    ///
    /// There is no `/proc`.
    pub(super) fn here(plugin: &str) -> io::Result<Head> {
        let now = std::time::SystemTime::now();
        Ok(Head {
            plugin: plugin.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            time: humantime::format_rfc3339_seconds(now).to_string(),
            boot: identity::boot()?,
            namespace: Namespace::here()?,
            process: Process::this(),
        })
    }
}

/// A journal that is being written.
pub(super) struct Journal {
    place: Place,
    name: String,
    file: File,
}

impl Journal {
    /// Begins one.
    ///
    /// # Errors
    ///
    /// There is no place for it, or the disk is full.
    pub(super) fn begin(head: &Head) -> io::Result<Journal> {
        let place = Place::to_write().ok_or(io::ErrorKind::NotFound)?;
        let name = format!("{}-{}{ENDING}", head.namespace.name(), head.process.pid);
        // One of the same name is left over from another boot or an earlier process.
        let name = match place.create(&name) {
            Ok(file) => return Journal { place, name, file }.with_head(head),
            Err(_) => format!("{}-{name}", head.boot),
        };
        let file = place.create(&name)?;
        Journal { place, name, file }.with_head(head)
    }

    fn with_head(mut self, head: &Head) -> io::Result<Journal> {
        self.write(&line(head)?)?;
        Ok(self)
    }

    /// Writes a line, and waits until the disk has it.
    ///
    /// # Errors
    ///
    /// It does not get there.
    pub(super) fn write(&mut self, line: &[u8]) -> io::Result<()> {
        self.file.write_all(line)?;
        self.file.sync_data()
    }

    /// Removes it: all was undone.
    pub(super) fn remove(self) -> io::Result<()> {
        self.place.remove(&self.name)
    }

    pub(super) fn path(&self) -> std::path::PathBuf {
        self.place.path.join(&self.name)
    }
}

/// A journal's line.
pub(super) fn line(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

/// What stands in whole lines; a torn last one is left out, and so is what is no entry.
pub(super) fn entries(text: &[u8]) -> Changes {
    let mut changes = Changes::default();
    let whole = text.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n"));
    for entry in whole.filter_map(|line| serde_json::from_slice::<Entry>(line).ok()) {
        changes.note(entry);
    }
    changes
}

/// Reads a journal; `None` where its head cannot be read, so that no change was made.
pub(super) fn read(text: &[u8]) -> Option<(Head, Changes)> {
    let end = text.iter().position(|&byte| byte == b'\n')?;
    let head = serde_json::from_slice(&text[..end]).ok()?;
    Some((head, entries(&text[end + 1..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_was_not_done() {
        let head = line(&Head::here("ecn").unwrap()).unwrap();
        let entry =
            |key: &str| line(&Entry::Sysctl { key: key.into(), before: "0".into() }).unwrap();
        let text = [head, entry("a"), entry("b")].concat();
        let (head, changes) = read(&text).unwrap();
        assert!(head.process.is_alive());
        assert_eq!(changes.describe().len(), 2);
        for length in 0..text.len() {
            if let Some((_, changes)) = read(&text[..length]) {
                assert!(changes.describe().len() < 2, "cut at {length}");
            }
        }
    }
}
