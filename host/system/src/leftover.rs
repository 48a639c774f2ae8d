//! What runs left behind that could not undo their changes: after SIGKILL of all their processes,
//! or a power cut.

use std::io;

use super::change::{Changes, Restoration};
use super::identity::{self, Namespace};
use super::journal::{self, ENDING, Head};
use super::leash;
use super::lock::{Holder, Lock};
use super::place::Place;
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
    let places = Place::all();
    let found = find(&places);
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
            elsewhere: vec![format!("{} configures this network namespace now", Holder::find())],
            ..Restored::default()
        },
        Err(error) => Restored {
            failed: vec![format!("cannot lock this network namespace: {error}")],
            ..Restored::default()
        },
    }
}

/// The same, for one who has the lock: what was read before may have been undone since.
pub(super) fn restore_locked(_lock: &Lock, forget: bool) -> Restored {
    let places = Place::all();
    let found = find(&places);
    restore_all(&places, found, forget)
}

fn find(places: &[Place]) -> Found {
    let boot = identity::boot().ok();
    let mut found = Found::default();
    for (place, folder) in places.iter().enumerate() {
        for name in folder.names(ENDING) {
            let why = match folder.read(&name) {
                Ok(text) => match journal::read(&text) {
                    Some((head, changes)) => {
                        let at_work = boot.as_ref() == Some(&head.boot) && head.process.is_alive();
                        found.leftovers.push(Leftover { place, name, head, changes, at_work });
                        continue;
                    }
                    None => "it does not begin as this version's do".to_owned(),
                },
                // Its run has just ended.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => error.to_string(),
            };
            found.unreadable.push(format!(
                "cannot read the journal {} ({why}), so what it may tell of is not restored; it \
                 stays: delete it when no run of pathspider is under way",
                folder.path.join(name).display()
            ));
        }
    }
    found
}

fn restore_all(places: &[Place], found: Found, forget: bool) -> Restored {
    let mut restored = Restored { failed: found.unreadable, ..Restored::default() };
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
    let all = failed.is_empty();
    restored.done.extend(done.iter().map(|what| format!("restored after {run}: {what}")));
    restored.done.extend(left.iter().map(|what| format!("after {run}: {what}")));
    restored.failed.extend(failed.iter().map(|what| format!("after {run}: {what}")));
    if commands.is_ok_and(|commands| leash::is_held(&commands)) {
        restored.done.push(format!("after {run}: {}", leash::STILL_WORKS));
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
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
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
                    let Found { leftovers, unreadable } = find(&places);
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
}
