//! What a run holds while it may change the machine: the lock of its network namespace, the
//! journal, and the keeper.

use std::io;
use std::time::Duration;

use pathspider_plugin_api::{Error, Result};

use super::change::Entry;
use super::journal::{self, Head, Journal};
use super::keeper::Keeper;
use super::leash::Leash;
use super::lock::{Holder, Lock};
use super::{leftover, place};
use pathspider_runtime::say;
use pathspider_runtime::stop::Asked;
use pathspider_runtime::threads::SingleThread;

/// How often one who waits looks whether the lock is free.
const LOOK: Duration = Duration::from_millis(100);

/// The lock, the journal and the keeper.
pub(super) struct Guard {
    /// `None` only where there is no place for one (see `place`); then there is a keeper.
    journal: Option<Journal>,
    /// `None` where there were threads already, or when it is gone; then there is a journal.
    keeper: Option<Keeper>,
    leash: Leash,
    /// How long what was noted is.
    noted: u64,
    // Last: it is free when the others are gone.
    _lock: Lock,
}

/// Why the machine cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// The run was told to stop while it waited for another one.
    #[error("told to stop while waiting for {0}, which configures this network namespace")]
    Stopped(String),
    /// The system refuses.
    #[error("cannot lock this network namespace: {0}")]
    System(io::Error),
    /// Changes cannot be noted.
    #[error("{0}")]
    Journal(Error),
}

/// Takes the lock; waits for it until told to stop, and says for whom.
pub(super) fn wait_for_lock(is_asked: Asked<'_>) -> std::result::Result<Lock, BeginError> {
    let take = || Lock::take().map_err(BeginError::System);
    if let Some(lock) = take()? {
        return Ok(lock);
    }
    let holder = Holder::find();
    say!("waiting for {holder}, which configures this network namespace");
    loop {
        if is_asked() {
            return Err(BeginError::Stopped(holder.to_string()));
        }
        std::thread::sleep(LOOK);
        if let Some(lock) = take()? {
            return Ok(lock);
        }
    }
}

impl Guard {
    /// Undoes what is left over, then begins the journal, and forks the keeper where there are no
    /// other threads yet (`single`).
    ///
    /// # Errors
    ///
    /// Changes cannot be noted: no journal can be written; or, where there is to be none, no
    /// keeper be started.
    pub(super) fn new(plugin: &str, lock: Lock, single: Option<&SingleThread>) -> Result<Guard> {
        let leftovers = leftover::restore_locked(&lock, false);
        for sentence in leftovers.done.iter().chain(&leftovers.failed) {
            say!("{sentence}");
        }
        let head = Head::here(plugin).map_err(|error| cannot(&error))?;
        let journal = if place::is_possible() {
            Some(Journal::begin(&head).map_err(|error| cannot(&error))?)
        } else {
            say!(
                "no journal of the changes is kept on the disk, for the program has \
                     privileges of its own: should SIGKILL end both this process and its keeper, \
                     the settings stay changed"
            );
            None
        };
        let file = journal.as_ref().map(Journal::as_fd);
        let leash = Leash::new(file).map_err(|error| cannot(&error))?;
        let start = |single| Keeper::start(single, &head, journal.as_ref(), &leash, &lock);
        let started = single.map(start);
        let keeper = match started {
            Some(Ok(keeper)) => Some(keeper),
            Some(Err(error)) if journal.is_none() => return Err(cannot(&error)),
            None if journal.is_none() => return Err(cannot(&io::ErrorKind::Unsupported.into())),
            _ => None,
        };
        Ok(Guard { journal, keeper, leash, noted: 0, _lock: lock })
    }

    /// For commands that make the run's changes.
    pub(super) fn leash(&self) -> &Leash {
        &self.leash
    }

    /// Notes what is about to be done: on the disk, where there is a journal, and with the keeper.
    ///
    /// # Errors
    ///
    /// It is not noted, and must not be done.
    pub(super) fn note(&mut self, entry: &Entry) -> Result<()> {
        let line = journal::line(entry).map_err(|error| cannot(&error))?;
        let noted = self.noted + line.len() as u64;
        // What needs no undoing any more is no change, and there is place for it.
        if noted > place::LONGEST && entry.is_change() {
            return Err(Error::new(
                "the run has made so many changes to the system that no more can be noted, so this \
                 one is not made",
            ));
        }
        self.noted = noted;
        if let Some(journal) = &mut self.journal {
            journal.write(&line).map_err(|error| cannot(&error))?;
        }
        if let Some(keeper) = &mut self.keeper
            && let Err(error) = keeper.write(&line)
        {
            if self.journal.is_none() {
                return Err(cannot(&error));
            }
            say!(
                "the keeper is gone ({error}): after SIGKILL, the next start restores the settings"
            );
            if let Some(keeper) = self.keeper.take() {
                keeper.abandon();
            }
        }
        Ok(())
    }

    /// Ends it. Where something could not be undone the journal stays, for the next start.
    pub(super) fn end(self, all_undone: bool) {
        if all_undone && let Some(Err(error)) = self.journal.as_ref().map(Journal::remove) {
            say!("cannot remove the journal of the changes, which are undone: {error}");
        }
        if let Some(keeper) = self.keeper {
            keeper.dismiss();
        }
    }
}

fn cannot(error: &io::Error) -> Error {
    Error::new(format!(
        "cannot note how to undo a change, so it is not made ({error}); PATHSPIDER_STATE_DIR names \
         another folder for the journal"
    ))
}

#[cfg(test)]
mod tests {
    use super::place::Place;
    use super::*;
    use crate::namespace_tests::in_namespace;

    #[test]
    fn no_more_is_noted_than_is_read() {
        in_namespace(|| {
            let folder = tempfile::tempdir().unwrap();
            let head = Head::here("ecn").unwrap();
            let place = Place::make(folder.path().join("state")).unwrap();
            let journal = Journal::begin_in(place, &head).unwrap();
            let leash = Leash::new(Some(journal.as_fd())).unwrap();
            let lock = Lock::take().unwrap().unwrap();
            let noted = place::LONGEST;
            let mut guard =
                Guard { journal: Some(journal), keeper: None, leash, noted, _lock: lock };
            let undo = vec!["true".to_owned()];
            let refused = guard.note(&Entry::Command { undo: undo.clone() }).unwrap_err();
            assert!(refused.message().contains("so many changes"), "{}", refused.message());
            guard.note(&Entry::Over { undo }).unwrap();
            guard.end(true);
        });
    }
}
