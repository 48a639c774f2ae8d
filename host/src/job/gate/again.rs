//! The rounds after the first one: whose turn it is, in which order.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use pathspider_observer::Round;

use crate::job::kept::{KeptTarget, KeptTargets};
use crate::rounds::{Place, Standing, Standings};

/// What is kept for the next rounds while the first one's targets are read.
pub(super) struct Again {
    pub(super) standings: Arc<Standings>,
    /// Made with the first target; `None` where there is but one round.
    pub(super) kept: Option<KeptTargets>,
    /// Targets that a run before has measured, and that did not come yet.
    unfound: u64,
}

impl Again {
    /// A run before has measured this many of the targets.
    pub(super) fn new(standings: Arc<Standings>, before: u64) -> Again {
        Again { standings, kept: None, unfound: before }
    }

    /// Whether targets are still to come that a run before has measured.
    pub(super) fn lacks(&self) -> bool {
        self.unfound > 0
    }

    /// One of these has come.
    pub(super) fn found(&mut self) {
        self.unfound = self.unfound.saturating_sub(1);
    }

    /// Keeps a target that stands so; its place.
    ///
    /// # Errors
    ///
    /// The disk is full, and the like.
    pub(super) fn keep(&mut self, target: &KeptTarget, standing: Standing) -> io::Result<Place> {
        let place = self.standings.enter(standing);
        let place = place.ok_or_else(|| io::Error::other("there are too many targets"))?;
        if self.standings.schedule().most() > 1 {
            let kept = match &mut self.kept {
                Some(kept) => kept,
                none => none.insert(KeptTargets::begin()?),
            };
            kept.keep(target)?;
        }
        Ok(place)
    }

    /// A turn is given.
    pub(super) fn begin(&self) {
        self.standings.begin();
    }
}

/// The rounds after the first one.
pub(in crate::job) struct Rest {
    pub(super) standings: Arc<Standings>,
    pub(super) kept: KeptTargets,
}

impl Rest {
    /// The rounds, as far as they are needed.
    pub(in crate::job) fn rounds(&self) -> impl Iterator<Item = Round> + use<> {
        (1..self.standings.schedule().most()).map(Round::new)
    }

    /// How long there is nothing between two rounds.
    pub(in crate::job) fn interval(&self) -> Duration {
        self.standings.schedule().interval
    }

    /// Waits until the former round is over; `false` where the run `is_over` before.
    pub(in crate::job) fn wait(&self, is_over: impl Fn() -> bool) -> bool {
        self.standings.wait(is_over)
    }

    /// Reads a target.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub(in crate::job) fn read(&self, place: Place) -> io::Result<KeptTarget> {
        self.kept.read(place.index())
    }

    /// Whether a round is one that was asked for whatever the former ones come to.
    pub(super) fn is_repeat(&self, round: Round) -> bool {
        round.number() < self.standings.schedule().repeat.into()
    }
}
