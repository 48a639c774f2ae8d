//! What was changed, in the words of the journal, and how it is undone.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;

use serde::{Deserialize, Serialize};

use super::command::{self, Failure};
use super::firewall::{self, Deleted};
use super::interface::Interface;
use super::sysctl::{self, shown, words};

/// One line of a journal: what is about to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Entry {
    /// A kernel parameter is touched for the first time.
    Sysctl {
        key: String,
        before: String,
        /// The interface that it is of.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        interface: Option<Interface>,
    },
    /// Somebody else has set it meanwhile, and is to find that value again.
    Theirs { key: String, value: String },
    /// It gets a value that it had not got from us before.
    Value { key: String, value: String },
    /// The table of firewall rules is made.
    Firewall {
        table: String,
        /// The chain in it that only this run's table has.
        mark: String,
    },
    /// It was not.
    NoFirewall { table: String },
    /// A command is run, and this one undoes it.
    Command { undo: Vec<String> },
    /// It needs no undoing any more: its command failed, or it was undone.
    Over { undo: Vec<String> },
}

impl Entry {
    /// Whether it comes before a change is made.
    pub(super) fn is_change(&self) -> bool {
        !matches!(self, Entry::NoFirewall { .. } | Entry::Over { .. })
    }
}

/// A change that is to be undone.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    /// `ours` are the values that we gave it; what else it has is somebody else's.
    Sysctl {
        key: String,
        before: String,
        interface: Option<Interface>,
        ours: Vec<String>,
    },
    Firewall {
        table: String,
        mark: String,
    },
    Command {
        undo: Vec<String>,
    },
}

/// All changes of a run, in their order.
#[derive(Debug, Default)]
pub(super) struct Changes {
    changes: Vec<Change>,
}

/// What came of undoing all, a sentence each.
#[derive(Debug, Default)]
pub(super) struct Restoration {
    /// What is as it was before, and what was done for it.
    pub(super) restored: Vec<String>,
    /// What is not ours any more, and was left as it was found.
    pub(super) left: Vec<String>,
    /// What could not be undone: the journal is to stay.
    pub(super) failed: Vec<String>,
}

/// What came of undoing a change.
enum Undone {
    Restored(String),
    /// There was nothing to do.
    Nothing,
    Left(String),
    Failed(String),
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Whether the table of firewall rules may be there.
    pub(super) fn has_firewall(&self) -> bool {
        self.changes.iter().any(|change| matches!(change, Change::Firewall { .. }))
    }

    /// Whether this command is to be run.
    pub(super) fn has_command(&self, words: &[String]) -> bool {
        let is = |change: &Change| matches!(change, Change::Command { undo } if undo == words);
        self.changes.iter().any(is)
    }

    /// The kernel parameters: the value before, and ours.
    pub(super) fn sysctls(&self) -> Vec<(String, String, Vec<String>)> {
        let sysctl = |change: &Change| match change {
            Change::Sysctl { key, before, ours, .. } => {
                Some((key.clone(), words(before), ours.iter().map(|value| words(value)).collect()))
            }
            _ => None,
        };
        self.changes.iter().filter_map(sysctl).collect()
    }

    /// Takes a line of the journal.
    pub(super) fn note(&mut self, entry: Entry) {
        match entry {
            Entry::Sysctl { key, before, interface } => {
                self.changes.push(Change::Sysctl { key, before, interface, ours: Vec::new() });
            }
            Entry::Theirs { key: of, value } => {
                for change in &mut self.changes {
                    if let Change::Sysctl { key, before, .. } = change
                        && *key == of
                    {
                        before.clone_from(&value);
                    }
                }
            }
            Entry::Value { key: of, value } => {
                for change in &mut self.changes {
                    if let Change::Sysctl { key, ours, .. } = change
                        && *key == of
                    {
                        ours.push(value.clone());
                    }
                }
            }
            Entry::Firewall { table, mark } => self.changes.push(Change::Firewall { table, mark }),
            Entry::NoFirewall { table: of } => self.changes.retain(|change| match change {
                Change::Firewall { table, .. } => *table != of,
                _ => true,
            }),
            Entry::Command { undo } => self.changes.push(Change::Command { undo }),
            Entry::Over { undo } => self.changes.retain(|change| match change {
                Change::Command { undo: noted } => *noted != undo,
                _ => true,
            }),
        }
    }

    /// Undoes all, the last first. `done` learns what must not be undone twice.
    pub(super) fn undo(&mut self, mut done: impl FnMut(Entry)) -> Restoration {
        let mut restoration = Restoration::default();
        for change in std::mem::take(&mut self.changes).iter().rev() {
            match (change.undo(), change) {
                (Undone::Nothing, _) => {}
                (Undone::Restored(what), Change::Command { undo }) => {
                    done(Entry::Over { undo: undo.clone() });
                    restoration.restored.push(what);
                }
                (Undone::Restored(what), _) => restoration.restored.push(what),
                (Undone::Left(what), _) => restoration.left.push(what),
                (Undone::Failed(what), _) => restoration.failed.push(what),
            }
        }
        restoration
    }

    /// What was changed, for people, a sentence each.
    pub(super) fn describe(&self) -> Vec<String> {
        let sentence = |change: &Change| match change {
            Change::Sysctl { key, before, ours, .. } => {
                format!("{key} was {}, and set to {}", shown(before), all(ours, ", then "))
            }
            Change::Firewall { table, .. } => format!("the firewall table {table} was made"),
            Change::Command { undo } => format!("`{}` undoes a change", undo.join(" ")),
        };
        self.changes.iter().map(sentence).collect()
    }
}

impl Change {
    fn undo(&self) -> Undone {
        match self {
            Change::Sysctl { key, before, interface, ours } => {
                undo_sysctl(key, before, interface.as_ref(), ours).unwrap_or_else(|error| {
                    Undone::Failed(format!("cannot set {key} back to {}: {error}", shown(before)))
                })
            }
            Change::Firewall { table, mark } => match firewall::delete(table, mark) {
                Ok(Deleted::Gone) => {
                    Undone::Restored(format!("the firewall table {table} is gone"))
                }
                Ok(Deleted::Theirs) => Undone::Left(format!(
                    "somebody else has made the firewall table {table} anew: left as it is"
                )),
                Err(error) => {
                    Undone::Failed(format!("could not delete the firewall table {table}: {error}"))
                }
            },
            Change::Command { undo } => {
                let words: Vec<&str> = undo.iter().map(String::as_str).collect();
                match command::undo(&words) {
                    Ok(_) => Undone::Restored(format!("`{}` was run", undo.join(" "))),
                    Err(Failure { error, .. }) => {
                        Undone::Failed(format!("could not undo a change: {error}"))
                    }
                }
            }
        }
    }
}

/// Restores a parameter, unless somebody else has set it since: then theirs stays.
fn undo_sysctl(
    key: &str,
    before: &str,
    interface: Option<&Interface>,
    ours: &[String],
) -> io::Result<Undone> {
    let gone =
        || Undone::Left(format!("{key} does not exist any more, so there is nothing to restore"));
    let Some(file) = open(key, interface)? else { return Ok(gone()) };
    let found = match sysctl::read(&file) {
        // Its interface has gone just now.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(gone()),
        found => found?,
    };
    if sysctl::same(&found, before) {
        return Ok(Undone::Nothing);
    }
    if !ours.iter().any(|value| sysctl::same(&found, value)) {
        return Ok(Undone::Left(format!(
            "{key} is {}, which is not what this run had set ({}): left as it is (it was {} \
             before the run)",
            shown(&found),
            all(ours, " or "),
            shown(before),
        )));
    }
    // The same file whatever its name is by now.
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let written = OpenOptions::new().write(true).open(path);
    let written = written.and_then(|writer| sysctl::write(&writer, before));
    let now = match written.and_then(|()| sysctl::read(&file)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(gone()),
        now => now?,
    };
    Ok(if sysctl::same(&now, before) {
        Undone::Restored(format!("{key} is {} again", shown(before)))
    } else {
        Undone::Failed(format!(
            "cannot set {key} back to {}: it is {} all the same",
            shown(before),
            shown(&now)
        ))
    })
}

/// Opens the file of a parameter; `None` where the parameter is no more. That of an interface is
/// found by the interface's number: another one may have its name by now.
fn open(key: &str, interface: Option<&Interface>) -> io::Result<Option<File>> {
    let path = || match interface {
        Some(interface) => interface.path(key),
        None => Ok(Some(sysctl::path(key))),
    };
    loop {
        let Some(path_now) = path()? else { return Ok(None) };
        match File::open(&path_now) {
            // Still that of the same interface: what is open stays so.
            Ok(file) if path()?.as_ref() == Some(&path_now) => return Ok(Some(file)),
            Ok(_) => {}
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            // Without a /proc, every parameter would be gone.
            Err(error) if !fs::exists("/proc/sys/net")? => return Err(error),
            Err(_) if path()?.as_ref() != Some(&path_now) => {}
            Err(_) => return Ok(None),
        }
    }
}

/// Values for people.
fn all(values: &[String], joint: &str) -> String {
    values.iter().map(|value| shown(value)).collect::<Vec<_>>().join(joint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_is_read_as_it_was_written() {
        let entries = [
            Entry::Sysctl { key: "a.b".into(), before: "1 2".into(), interface: None },
            Entry::Value { key: "a.b".into(), value: "3".into() },
            Entry::Firewall { table: "t".into(), mark: "m".into() },
            Entry::Firewall { table: "not made".into(), mark: "m".into() },
            Entry::NoFirewall { table: "not made".into() },
            Entry::Command { undo: vec!["x".into(), "y z".into()] },
            Entry::Command { undo: vec!["never".into()] },
            Entry::Over { undo: vec!["never".into()] },
        ];
        let mut changes = Changes::default();
        for entry in entries {
            let line = serde_json::to_string(&entry).unwrap();
            let read: Entry = serde_json::from_str(&line).unwrap();
            assert_eq!(read, entry, "{line}");
            changes.note(read);
        }
        assert_eq!(
            changes.describe(),
            [
                "a.b was 1 2, and set to 3",
                "the firewall table t was made",
                "`x y z` undoes a change"
            ]
        );
    }

    #[test]
    fn a_command_that_could_not_undo_its_change_is_not_over() {
        let mut changes = Changes::default();
        for word in ["false", "true"] {
            changes.note(Entry::Command { undo: vec![word.into()] });
        }
        let mut over = Vec::new();
        let restoration = changes.undo(|entry| over.push(entry));
        assert_eq!(over, [Entry::Over { undo: vec!["true".into()] }]);
        assert_eq!((restoration.restored.len(), restoration.failed.len()), (1, 1));
    }

    #[test]
    fn a_command_that_does_not_end_holds_up_no_other() {
        let mut changes = Changes::default();
        let hangs = ["sh", "-c", "trap '' TERM; sleep 1000; true"].map(str::to_owned).to_vec();
        for undo in [vec!["true".to_owned()], hangs] {
            changes.note(Entry::Command { undo });
        }
        let restoration = changes.undo(|_| {});
        assert_eq!(restoration.restored, ["`true` was run"]);
        let [failed] = &restoration.failed[..] else { panic!("{restoration:?}") };
        assert!(failed.contains("did not end in 1 seconds; it was killed"), "{failed}");
    }
}
