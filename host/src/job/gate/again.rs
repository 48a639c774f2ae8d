//! The rounds after the first one: whose turn it is, in which order.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pathspider_observer::Round;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;

use super::Gate;
use crate::job::kept::{KeptTarget, KeptTargets};
use crate::rounds::{Place, Standing, Standings, Turn, Wanted};

/// What is kept for the next rounds while the first one's targets are read.
pub(super) struct Again {
    standings: Arc<Standings>,
    /// Made with the first target; `None` where there is but one round.
    kept: Option<KeptTargets>,
    /// Targets that a run before has measured, and that did not come yet.
    unfound: u64,
}

impl Again {
    /// For targets of which a run before has measured so many.
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
    standings: Arc<Standings>,
    kept: KeptTargets,
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
    fn is_repeat(&self, round: Round) -> bool {
        round.number() < self.standings.schedule().repeat.into()
    }
}

impl Gate {
    /// Keeps a target for the next rounds; `None` where that fails.
    pub(super) fn keep(&mut self, target: &KeptTarget, standing: Standing) -> Option<Place> {
        let again = self.again.as_mut().filter(|_| self.failure.is_none())?;
        match again.keep(target, standing) {
            Ok(place) => Some(place),
            Err(error) => {
                self.failure = Some(error);
                None
            }
        }
    }

    /// Why a target could not be kept, if so.
    pub(in crate::job) fn take_failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    /// What is to be done after the first round; `None` where that is nothing.
    ///
    /// # Errors
    ///
    /// As for [`Again::keep`].
    pub(in crate::job) fn rest(&mut self) -> io::Result<Option<Rest>> {
        let Some(again) = &mut self.again else { return Ok(None) };
        let standings = Arc::clone(&again.standings);
        let kept = again.kept.take().map(|mut kept| kept.write().map(|()| kept)).transpose()?;
        self.tally.admitted.fetch_add(standings.to_come(), Ordering::Relaxed);
        self.tally.all_rounds_are_counted();
        Ok(kept.map(|kept| Rest { standings, kept }))
    }

    /// A round begins: whose turn it is, in another order than before. `None` where no more are
    /// needed.
    pub(in crate::job) fn begin_round(&mut self, rest: &Rest, round: Round) -> Option<Vec<Place>> {
        let Wanted { mut places, done } = rest.standings.wanted(round);
        let is_repeat = rest.is_repeat(round);
        if places.is_empty() && done == 0 && !is_repeat {
            return None;
        }
        self.tally.done.fetch_add(done, Ordering::Relaxed);
        if !is_repeat {
            self.tally.admitted.fetch_add(places.len() as u64, Ordering::Relaxed);
        }
        let seed = rest.standings.schedule().seed.wrapping_add(round.number().into());
        places.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        Some(places)
    }

    /// Whether nobody takes targets any more.
    pub(in crate::job) fn is_closed(&self) -> bool {
        self.onward.as_ref().is_none_or(|onward| onward.jobs.is_closed())
    }

    /// Hands a target on once more; `false` when no more can be taken.
    pub(in crate::job) fn send_again(&mut self, target: KeptTarget, turn: Turn) -> bool {
        self.hand_on(target, Some(turn))
    }
}
