//! What runs left behind that could not undo their changes: after SIGKILL of all their processes,
//! or a power cut.

use std::io;
use std::path::{Path, PathBuf};

use super::change::{Changes, Restoration};
use super::identity::{self, Namespace};
use super::journal::{self, ENDING, Entries, Head};
use super::leash;
use super::lock::{Holder, Lock};
use super::place::{self, Place};
use pathspider_runtime::say;

/// What there is in the folders of journals.
#[derive(Default)]
struct Found {
    leftovers: Vec<Leftover>,
    /// Whose journals cannot be known, a sentence each. They may be of runs under way.
    unreadable: Vec<String>,
}

/// A journal that was found.
struct Leftover {
    place: usize,
    name: String,
    head: Head,
    changes: Changes,
    /// How many of its lines are not understood.
    strange: usize,
    /// Its run was under way when it was read.
    at_work: bool,
}

/// What was found and done, a sentence each.
#[derive(Debug, Default)]
pub struct Restored {
    /// What was put right, and what needed nothing.
    pub done: Vec<String>,
    /// What could not be.
    pub failed: Vec<String>,
    /// What is of another network namespace or a run under way, and stays.
    pub elsewhere: Vec<String>,
}

/// Undoes what earlier runs left behind in this network namespace. `forget` removes the journals
/// of other namespaces, and of what cannot be undone.
pub fn restore(forget: bool) -> Restored {
    let (places, closed) = Place::all();
    let found = find(&places, &closed);
    if found.leftovers.iter().all(|leftover| leftover.at_work) {
        // There is nothing to do, and no need to know who has the lock.
        return restore_all(&places, found, false);
    }
    match Lock::take() {
        Ok(Some(lock)) => {
            let restored = restore_locked(&lock, forget);
            drop(lock);
            restored
        }
        Ok(None) => Restored {
            failed: found.unreadable,
            elsewhere: vec![format!("{} configures this network namespace now", Holder::find())],
            ..Restored::default()
        },
        Err(error) => {
            let mut failed = found.unreadable;
            failed.push(format!("cannot lock this network namespace: {error}"));
            Restored { failed, ..Restored::default() }
        }
    }
}

/// What earlier runs left behind, as it is: nothing is undone.
#[derive(Debug, Default)]
pub struct Left {
    /// Changes of killed runs in this network namespace, a sentence each.
    pub pending: Vec<String>,
    /// Journals that cannot be read, a sentence each.
    pub unreadable: Vec<String>,
    /// Runs that are under way.
    pub at_work: usize,
}

/// Looks what earlier runs left behind in this network namespace.
pub fn left() -> Left {
    let (places, closed) = Place::all();
    left_of(find(&places, &closed))
}

fn left_of(found: Found) -> Left {
    let Found { leftovers, unreadable } = found;
    let (boot, here) = (identity::boot().ok(), Namespace::here().ok());
    let mut left = Left { unreadable, ..Left::default() };
    for Leftover { head, changes, at_work, .. } in leftovers {
        let is_here = boot.as_ref() == Some(&head.boot) && here == Some(head.namespace);
        left.at_work += usize::from(at_work);
        if is_here && !at_work && !changes.is_empty() {
            let what = changes.describe().join("; ");
            left.pending.push(format!("the {} run of {} left: {what}", head.plugin, head.time));
        }
    }
    left
}

/// The same, for one who has the lock: what was read before may have been undone since.
pub(super) fn restore_locked(_lock: &Lock, forget: bool) -> Restored {
    let (places, closed) = Place::all();
    let found = find(&places, &closed);
    restore_all(&places, found, forget)
}

fn find(places: &[Place], closed: &[(PathBuf, io::Error)]) -> Found {
    let boot = identity::boot().ok();
    let mut found = Found::default();
    let folder_unread = |path: &Path, error: &io::Error| {
        format!(
            "cannot look for journals in {} ({error}), so changes noted there are not restored",
            path.display()
        )
    };
    found.unreadable.extend(closed.iter().map(|(path, error)| folder_unread(path, error)));
    for (place, folder) in places.iter().enumerate() {
        let names = folder.names(ENDING).unwrap_or_else(|error| {
            found.unreadable.push(folder_unread(&folder.path, &error));
            Vec::new()
        });
        for name in names {
            let why = match folder.read(&name) {
                Ok(text) => match journal::read(&text) {
                    Some((head, Entries { changes, strange })) => {
                        let at_work = boot.as_ref() == Some(&head.boot) && head.process.is_alive();
                        let leftover = Leftover { place, name, head, changes, strange, at_work };
                        found.leftovers.push(leftover);
                        continue;
                    }
                    None => "it does not begin as this version's do".to_owned(),
                },
                // Its run has just ended.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => error.to_string(),
            };
            found.unreadable.push(format!(
                "cannot read the journal {} ({why}), so changes noted in it are not restored; the \
                 file stays: delete it when no run of pathspider is under way",
                folder.path.join(name).display()
            ));
        }
    }
    found
}

fn restore_all(places: &[Place], found: Found, forget: bool) -> Restored {
    let mut restored = Restored { failed: found.unreadable, ..Restored::default() };
    restored.elsewhere.extend(place::of_root().iter().map(|folder| {
        format!(
            "what runs of root left behind is in {}, and is restored by root alone: it was not looked \
             for",
            folder.display()
        )
    }));
    let (boot, here) = (identity::boot().ok(), Namespace::here().ok());
    for mut leftover in found.leftovers {
        let Head { plugin, time, namespace, process, .. } = &leftover.head;
        let run = format!("the {plugin} run of {time} (process {})", process.pid);
        let what = leftover.changes.describe().join("; ");
        let goes = if boot.as_ref() != Some(&leftover.head.boot) {
            if !leftover.changes.is_empty() {
                restored.done.push(format!(
                    "{run} could not restore what it had changed, and the machine was started \
                     anew since, which ended it: {what}"
                ));
            }
            true
        } else if leftover.at_work {
            restored.elsewhere.push(format!("{run} is at work"));
            false
        } else if here != Some(*namespace) {
            let name = namespace.name();
            restored.elsewhere.push(format!(
                "{run} left changes in another network namespace, {name}: {what}{}",
                if forget { " (forgotten)" } else { "" }
            ));
            forget
        } else {
            let place = &places[leftover.place];
            undo(&run, &mut leftover, place, &mut restored) || forget
        };
        // Who has the lock of another namespace may have removed it too.
        if goes
            && let Err(error) = places[leftover.place].remove(&leftover.name)
            && error.kind() != io::ErrorKind::NotFound
        {
            let path = places[leftover.place].path.join(&leftover.name);
            restored.failed.push(format!("cannot remove {}: {error}", path.display()));
        }
    }
    restored
}

/// Whether nothing is left to be undone.
fn undo(run: &str, leftover: &mut Leftover, place: &Place, restored: &mut Restored) -> bool {
    let commands = place.open_file(&leftover.name);
    let _ = commands.as_ref().map(|commands| leash::wait(commands, |words| say!("{words}")));
    let mut over = Vec::new();
    let Restoration { restored: done, left, failed } =
        leftover.changes.undo(|entry| over.push(entry));
    let mut all = failed.is_empty();
    restored.done.extend(done.iter().map(|what| format!("restored after {run}: {what}")));
    restored.done.extend(left.iter().map(|what| format!("after {run}: {what}")));
    restored.failed.extend(failed.iter().map(|what| format!("after {run}: {what}")));
    if commands.is_ok_and(|commands| leash::is_held(&commands)) {
        restored.done.push(format!("after {run}: {}", leash::STILL_WORKS));
    }
    if leftover.strange > 0 {
        all = false;
        restored.failed.push(format!(
            "after {run}: {} lines of its journal {} cannot be read, so changes noted there are not \
             restored; the file stays: `pathspider restore --forget` removes it",
            leftover.strange,
            place.path.join(&leftover.name).display()
        ));
    }
    if !all
        && !over.is_empty()
        && let Err(error) = journal::amend(place, &leftover.name, &over)
    {
        restored.failed.push(format!("after {run}: cannot write to its journal: {error}"));
    }
    all
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::change::Entry;
    use crate::journal::Journal;

    #[test]
    fn a_journal_that_is_begun_belongs_to_its_run() {
        let folder = tempfile::tempdir().unwrap();
        let place = || Place::make(folder.path().join("state")).unwrap();
        let head = Head::here("ecn").unwrap();
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let others = scope.spawn(|| {
                let places = [place()];
                while !over.load(Ordering::Relaxed) {
                    let Found { leftovers, unreadable } = find(&places, &[]);
                    assert!(leftovers.iter().all(|leftover| leftover.at_work), "not the run's own");
                    assert!(unreadable.is_empty(), "{unreadable:?}");
                }
            });
            for _ in 0..500 {
                let journal = Journal::begin_in(place(), &head);
                let removed = journal.and_then(|journal| journal.remove());
                over.store(removed.is_err(), Ordering::Relaxed);
                removed.unwrap();
            }
            over.store(true, Ordering::Relaxed);
            others.join().unwrap();
        });
    }

    /// The head of a run of here that is gone.
    fn head_of_dead() -> Vec<u8> {
        let mut head = serde_json::to_value(Head::here("ecn").unwrap()).unwrap();
        head["process"] = serde_json::json!({ "pid": 1, "start": u64::MAX });
        journal::line(&head).unwrap()
    }

    #[test]
    fn what_cannot_be_read_is_never_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let places = [Place::make(path.clone()).unwrap()];
        let command =
            |word: &str| journal::line(&Entry::Command { undo: vec![word.into()] }).unwrap();
        let damaged = [head_of_dead(), b"damage\n".to_vec(), command("true")].concat();
        let write = |name: &str, text: &[u8]| {
            places[0].create(name).unwrap().write_all(text).unwrap();
        };
        write("damaged.journal", &damaged);
        write("whole.journal", &[head_of_dead(), command("true"), b"{\"torn".to_vec()].concat());
        write("empty.journal", b"");
        // Not 2 GB, but as bad.
        places[0].create("long.journal").unwrap().set_len(place::LONGEST_READ + 1).unwrap();
        let closed = [(path.join("closed"), io::Error::from(io::ErrorKind::PermissionDenied))];
        let left = left_of(find(&places, &closed));
        assert_eq!(
            (left.pending.len(), left.unreadable.len(), left.at_work),
            (2, 3, 0),
            "{left:?}"
        );
        assert!(left.pending[0].contains("`true` undoes a change"), "{left:?}");
        for done in [2, 0] {
            let restored = restore_all(&places, find(&places, &closed), false);
            assert_eq!(restored.done.len(), done, "{restored:?}");
            let all = restored.failed.join("\n");
            let words = [
                "lines of its journal",
                "damaged.journal",
                "empty.journal (",
                "long.journal (it is longer",
                "cannot look for journals in",
                "closed (permission denied)",
            ];
            for word in words {
                assert!(all.contains(word), "{word}: {all}");
            }
            assert_eq!(restored.failed.len(), 4, "{all}");
            assert_eq!(places[0].names(ENDING).unwrap().len(), 3);
        }
        let restored = restore_all(&places, find(&places, &[]), true);
        assert_eq!((restored.done.len(), restored.failed.len()), (0, 3));
        assert_eq!(places[0].names(ENDING).unwrap(), ["empty.journal", "long.journal"]);
    }
}
