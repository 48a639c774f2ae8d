//! The journal of a run: how to undo each change, on the disk before the change is made.
//!
//! A file of JSON lines: a head, then entries. A line that is torn tells of a change that was not
//! made. The file goes when all is undone. It has its name only when its head is on the disk, so
//! that nobody ever finds a run's journal without knowing whose it is.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};

use serde::{Deserialize, Serialize};

use super::change::{Changes, Entry};
use super::identity::{self, Namespace, Process};
use super::place::{self, Place};

/// How the files' names end.
pub(super) const ENDING: &str = ".journal";

/// How they end before the head is written.
const BEGUN: &str = ".begun";

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
    /// The length of what was written whole.
    length: u64,
    /// A part of a line is at its end, and could not be cut off.
    torn: bool,
}

impl Journal {
    /// Begins one, in the first folder that takes it. The caller holds the namespace's lock.
    ///
    /// # Errors
    ///
    /// There is no place for it, or the disk is full: the error of the folder that is preferred.
    pub(super) fn begin(head: &Head) -> io::Result<Journal> {
        let mut first = None;
        for path in place::candidates() {
            match Place::make(path.clone()).and_then(|place| Journal::begin_in(place, head)) {
                Ok(journal) => return Ok(journal),
                Err(error) => {
                    let words = format!("{}: {error}", path.display());
                    first.get_or_insert_with(|| io::Error::new(error.kind(), words));
                }
            }
        }
        Err(first.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
    }

    pub(super) fn begin_in(place: Place, head: &Head) -> io::Result<Journal> {
        let namespace = head.namespace.name();
        // With the lock, nobody else begins one of this name; what has it was left by a kill.
        let begun = format!("{}-{namespace}{BEGUN}", head.boot);
        let _ = place.remove(&begun);
        let file = place.create(&begun)?;
        let mut journal = Journal { place, name: begun, file, length: 0, torn: false };
        let named = journal.write(&line(head)?).and_then(|()| {
            let name = format!("{namespace}-{}{ENDING}", head.process.pid);
            match journal.rename(name.clone()) {
                // One of the same name is left over from another boot or an earlier process.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    journal.rename(format!("{}-{name}", head.boot))
                }
                renamed => renamed,
            }
        });
        if let Err(error) = named {
            let _ = journal.remove();
            return Err(error);
        }
        Ok(journal)
    }

    fn rename(&mut self, name: String) -> io::Result<()> {
        self.place.rename(&self.name, &name)?;
        self.name = name;
        Ok(())
    }

    /// Writes a line, and waits until the disk has it.
    ///
    /// # Errors
    ///
    /// It does not get there. Then nothing of it is in the journal, or no more lines are taken:
    /// they would join what is torn.
    pub(super) fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.torn {
            return Err(io::Error::other("the journal is torn"));
        }
        match self.file.write_all(line).and_then(|()| self.file.sync_data()) {
            Ok(()) => {
                self.length += line.len() as u64;
                Ok(())
            }
            Err(error) => {
                self.torn = self.file.set_len(self.length).is_err();
                Err(error)
            }
        }
    }

    /// Removes it: all was undone.
    pub(super) fn remove(&self) -> io::Result<()> {
        self.place.remove(&self.name)
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Where it is.
    pub(super) fn place(&self) -> (&Place, &str) {
        (&self.place, &self.name)
    }
}

/// A journal's line.
pub(super) fn line(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

/// Notes in a journal whose run is gone what needs no undoing any more.
///
/// # Errors
///
/// It cannot be written to.
pub(super) fn amend(place: &Place, name: &str, done: &[Entry]) -> io::Result<()> {
    let mut text = Vec::new();
    for entry in done {
        text.extend(line(entry)?);
    }
    place.append_lines(name, &text)
}

/// What stands in a journal after its head.
#[derive(Debug, Default)]
pub(super) struct Entries {
    pub(super) changes: Changes,
    /// How many whole lines are no entries that this version knows.
    pub(super) strange: usize,
}

/// What stands in whole lines; a torn last one is left out, for its change was not made.
pub(super) fn entries(text: &[u8]) -> Entries {
    let mut entries = Entries::default();
    let whole =
        text.split_inclusive(|&byte| byte == b'\n').filter_map(|line| line.strip_suffix(b"\n"));
    for line in whole.filter(|line| !line.is_empty()) {
        match serde_json::from_slice(line) {
            Ok(entry) => entries.changes.note(entry),
            Err(_) => entries.strange += 1,
        }
    }
    entries
}

/// Reads a journal; `None` where its head cannot be read.
pub(super) fn read(text: &[u8]) -> Option<(Head, Entries)> {
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
        let entry = |key: &str| {
            line(&Entry::Sysctl { key: key.into(), before: "0".into(), interface: None }).unwrap()
        };
        let text = [head, entry("a"), entry("b")].concat();
        let (head, Entries { changes, strange }) = read(&text).unwrap();
        assert!(head.process.is_alive());
        assert_eq!((changes.describe().len(), strange), (2, 0));
        for length in 0..text.len() {
            if let Some((_, Entries { changes, strange })) = read(&text[..length]) {
                assert!(changes.describe().len() < 2, "cut at {length}");
                assert_eq!(strange, 0, "cut at {length}");
            }
        }
        assert_eq!(entries(b"\n{\"another\":1}\nx\n{").strange, 2);
    }

    #[test]
    fn what_is_amended_does_not_join_a_torn_line() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::make(folder.path().join("state")).unwrap();
        let command = |word: &str| Entry::Command { undo: vec![word.into()] };
        let torn = &line(&command("torn")).unwrap()[..9];
        let text = [line(&Head::here("ecn").unwrap()).unwrap(), line(&command("a")).unwrap()];
        let mut file = place.create("x.journal").unwrap();
        file.write_all(&[&text.concat(), torn].concat()).unwrap();
        amend(&place, "x.journal", &[Entry::Over { undo: vec!["a".into()] }]).unwrap();
        let (_, Entries { changes, strange }) = read(&place.read("x.journal").unwrap()).unwrap();
        assert!(changes.is_empty(), "{:?}", changes.describe());
        assert_eq!(strange, 0);
    }

    #[test]
    fn a_line_that_could_not_be_written_leaves_nothing() {
        // A pipe that nobody reads takes a part of what is written, and cannot be cut.
        let (_reader, writer) = io::pipe().unwrap();
        rustix::io::ioctl_fionbio(&writer, true).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let place = Place::make(folder.path().join("state")).unwrap();
        let file = File::from(std::os::fd::OwnedFd::from(writer));
        let mut journal = Journal { place, name: "x".into(), file, length: 0, torn: false };
        assert!(journal.write(&[b'x'; 1 << 20]).is_err());
        assert_eq!(journal.write(b"y\n").unwrap_err().to_string(), "the journal is torn");
    }
}
