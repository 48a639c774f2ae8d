//! What a run holds while it may change the machine: the lock of its network namespace, the
//! journal, and the keeper.

use std::time::Duration;

use pathspider_plugin_api::{Error, Result};

use super::change::Entry;
use super::journal::{self, Head, Journal};
use super::keeper::Keeper;
use super::leftover;
use super::lock::Lock;
use crate::say::say;
use crate::stop::Stop;

/// How often one who waits looks whether the lock is free.
const LOOK: Duration = Duration::from_millis(100);

/// The lock, the journal and the keeper. Either of the two last is enough to undo all changes.
pub(super) struct Guard {
    journal: Option<Journal>,
    keeper: Option<Keeper>,
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
    System(std::io::Error),
    /// Changes cannot be noted.
    #[error("{0}")]
    Journal(Error),
}

/// Takes the lock; waits for it until told to stop, and says for whom.
pub(super) fn wait_for_lock(stop: &Stop) -> std::result::Result<Lock, BeginError> {
    let mut told = false;
    loop {
        match Lock::take().map_err(BeginError::System)? {
            Ok(lock) => return Ok(lock),
            Err(holder) if stop.is_asked() => return Err(BeginError::Stopped(holder.to_string())),
            Err(holder) => {
                if !told {
                    say!("waiting for {holder}, which configures this network namespace");
                    told = true;
                }
                std::thread::sleep(LOOK);
            }
        }
    }
}

impl Guard {
    /// Undoes what is left over, then begins the journal and starts the keeper (`fork`: only
    /// where there are no other threads yet).
    pub(super) fn new(plugin: &str, lock: Lock, fork: bool) -> Result<Guard> {
        let leftovers = leftover::restore_locked();
        for sentence in leftovers.done.iter().chain(&leftovers.failed) {
            say!("{sentence}");
        }
        let head = Head::here(plugin).map_err(|error| cannot(&error))?;
        let (journal, why) = match Journal::begin(&head) {
            Ok(journal) => (Some(journal), None),
            Err(error) => (None, Some(error)),
        };
        let path = journal.as_ref().map(Journal::path);
        let keeper = match fork.then(|| Keeper::start(&head, path.as_deref(), &lock)) {
            Some(Ok(keeper)) => Some(keeper),
            Some(Err(error)) if journal.is_none() => return Err(cannot(&error)),
            _ => None,
        };
        match (keeper.is_some() || journal.is_some(), why) {
            (false, Some(error)) => Err(cannot(&error)),
            _ => Ok(Guard { journal, keeper, _lock: lock }),
        }
    }

    /// Notes what is about to be done.
    pub(super) fn note(&mut self, entry: &Entry) -> Result<()> {
        let line = journal::line(entry).map_err(|error| cannot(&error))?;
        let written = self.journal.as_mut().map(|journal| journal.write(&line));
        let kept = self.keeper.as_mut().map(|keeper| keeper.write(&line));
        match (written, kept) {
            (Some(Ok(())), _) | (_, Some(Ok(()))) => Ok(()),
            (Some(Err(error)), _) | (_, Some(Err(error))) => Err(cannot(&error)),
            (None, None) => Ok(()),
        }
    }

    /// Ends it. Where something could not be undone the journal stays, for the next start.
    pub(super) fn end(self, all_undone: bool) {
        if all_undone && let Some(Err(error)) = self.journal.map(Journal::remove) {
            say!("cannot remove the journal of the changes, which are undone: {error}");
        }
        if let Some(keeper) = self.keeper {
            keeper.dismiss();
        }
    }
}

fn cannot(error: &std::io::Error) -> Error {
    Error::new(format!(
        "cannot note how to undo a change, so it is not made ({error}); PATHSPIDER_STATE_DIR names \
         another folder for the journal"
    ))
}
