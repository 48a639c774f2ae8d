//! The keeper: a child process that undoes the run's changes when the run cannot.
//!
//! It is forked before the run has threads, holds the journal's lines in memory and the lock, and
//! waits for the run's end. When that comes before it was dismissed (a crash of a plugin, SIGKILL,
//! the kernel short of memory) it undoes them. Why a process, and why forked:
//! `docs/architecture.md`.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use super::change::Restoration;
use super::journal::{self, Head, Journal};
use super::leash::{self, Leash};
use super::lock::Lock;
use super::place::Place;
use pathspider_runtime::survivor::{self, Survivor, Watching};
use pathspider_runtime::threads::SingleThread;
use pathspider_runtime::{privileges, witness};

/// The run's end of it.
pub(super) struct Keeper {
    child: Survivor,
    /// What it reports the end of.
    run: String,
    /// Whether it has something to undo, and so reports in the witness's place.
    reports: bool,
}

impl Keeper {
    /// Forks the keeper: before there are threads.
    ///
    /// # Errors
    ///
    /// See [`Survivor::start`].
    pub(super) fn start(
        single: &SingleThread,
        head: &Head,
        journal: Option<&Journal>,
        leash: &Leash,
        lock: &Lock,
    ) -> io::Result<Keeper> {
        let run = format!("the {} run", head.plugin);
        let (journal, lock) = (journal.map(Journal::place), lock.as_fd());
        let mut kept = vec![lock, leash.as_fd()];
        kept.extend(journal.map(|(place, _)| place.as_fd()));
        let reduce = privileges::reduce_to_restoring;
        let duty = Duty { run: &run, journal, leash, lock };
        let child = Survivor::start(single, c"pathspider-keep", &kept, reduce, |watching| {
            duty.keep(watching);
        })?;
        Ok(Keeper { child, run, reports: false })
    }

    /// Gives it a line to keep. It has it when this returns, whatever becomes of us.
    ///
    /// # Errors
    ///
    /// It is gone.
    pub(super) fn write(&mut self, line: &[u8]) -> io::Result<()> {
        self.child.write(line)?;
        if !self.reports {
            witness::reports(None);
            self.reports = true;
        }
        Ok(())
    }

    /// Ends it, and with it its hold on the lock: the run has undone what could be.
    pub(super) fn dismiss(self) {
        witness::reports(Some(&self.run));
        self.child.dismiss();
    }

    /// It is gone by itself.
    pub(super) fn abandon(self) {
        witness::reports(Some(&self.run));
    }
}

/// What the child works with.
struct Duty<'a> {
    run: &'a str,
    journal: Option<(&'a Place, &'a str)>,
    leash: &'a Leash,
    lock: BorrowedFd<'a>,
}

impl Duty<'_> {
    /// Waits for the run's end, and does what it could not do.
    fn keep(self, mut watching: Watching) {
        let lines = watching.listen();
        let mut changes = journal::entries(&lines).changes;
        if changes.is_empty() {
            let _ = self.journal.map(|(place, name)| place.remove(name));
            return;
        }
        let commands = self.leash.waiting();
        // Not said: whoever reads what we say is not to hold us up before all is undone.
        let _ = commands.as_ref().map(|commands| leash::wait(commands, |_| {}));
        let mut over = Vec::new();
        let Restoration { restored, left, failed } = changes.undo(|entry| over.push(entry));
        if let Some((place, name)) = self.journal {
            let _ = if failed.is_empty() {
                place.remove(name)
            } else {
                journal::amend(place, name, &over)
            };
        }
        // The lock is released before the message is written, so that no run waits for a reader of
        // messages. The process ends whether or not the message could be written.
        // SAFETY: the descriptor is open, and nothing of this process uses it any more.
        unsafe { libc::close(self.lock.as_raw_fd()) };
        let what = if restored.is_empty() {
            "no setting was restored".to_owned()
        } else {
            format!("restored: {}", restored.join("; "))
        };
        let first = format!("{} ended without a word; {what}", self.run);
        let works = commands.is_ok_and(|commands| leash::is_held(&commands));
        let complaints = left.iter().chain(&failed).map(String::as_str);
        let works = works.then_some(leash::STILL_WORKS);
        survivor::say([first.as_str()].into_iter().chain(complaints).chain(works));
    }
}
