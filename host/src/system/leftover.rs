//! What runs left behind that could not undo their changes: after SIGKILL of all their processes,
//! or a power cut.

use super::change::{Changes, Undone};
use super::identity::{self, Namespace};
use super::journal::{self, ENDING, Head};
use super::lock::Lock;
use super::place::Place;

/// A journal that was found.
struct Leftover {
    place: usize,
    name: String,
    head: Head,
    changes: Changes,
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
/// of other namespaces.
pub fn restore(forget: bool) -> Restored {
    let places = Place::all();
    let leftovers = find(&places);
    if leftovers.is_empty() {
        return Restored::default();
    }
    match Lock::take() {
        Ok(Ok(lock)) => {
            let restored = restore_all(&places, leftovers, forget);
            drop(lock);
            restored
        }
        Ok(Err(holder)) => Restored {
            elsewhere: vec![format!("{holder} configures this network namespace now")],
            ..Restored::default()
        },
        Err(error) => Restored {
            failed: vec![format!("cannot lock this network namespace: {error}")],
            ..Restored::default()
        },
    }
}

/// The same, for one who has the lock.
pub(super) fn restore_locked() -> Restored {
    let places = Place::all();
    let leftovers = find(&places);
    restore_all(&places, leftovers, false)
}

fn find(places: &[Place]) -> Vec<Leftover> {
    let mut leftovers = Vec::new();
    for (place, folder) in places.iter().enumerate() {
        for name in folder.names(ENDING) {
            let Ok(text) = folder.read(&name) else { continue };
            match journal::read(&text) {
                Some((head, changes)) => leftovers.push(Leftover { place, name, head, changes }),
                // It ended before its first change.
                None => drop(folder.remove(&name)),
            }
        }
    }
    leftovers
}

fn restore_all(places: &[Place], leftovers: Vec<Leftover>, forget: bool) -> Restored {
    let mut restored = Restored::default();
    let (boot, here) = (identity::boot().ok(), Namespace::here().ok());
    for mut leftover in leftovers {
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
        } else if process.is_alive() {
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
            undo(&run, &mut leftover.changes, &mut restored)
        };
        if goes && let Err(error) = places[leftover.place].remove(&leftover.name) {
            let path = places[leftover.place].path.join(&leftover.name);
            restored.failed.push(format!("cannot remove {}: {error}", path.display()));
        }
    }
    restored
}

/// Whether nothing is left to be undone.
fn undo(run: &str, changes: &mut Changes, restored: &mut Restored) -> bool {
    let mut all = true;
    for undone in changes.undo(drop) {
        match undone {
            Undone::Nothing => {}
            Undone::Restored(what) => restored.done.push(format!("restored after {run}: {what}")),
            Undone::Left(what) => restored.done.push(format!("after {run}: {what}")),
            Undone::Failed(what) => {
                all = false;
                restored.failed.push(format!("after {run}: {what}"));
            }
        }
    }
    all
}
