//! A child at work on a shard: what it was started with, and when it is to end.

use std::time::{Duration, Instant};

use super::clock::Clock;
use super::sharing::{Share, Turns};
use super::taken::Taken;
use crate::measuring::Running;
use crate::stopping::Passing;
use crate::wire::{Wanted, Work};

/// A child that was told to end has so long for what is in flight, where nothing more is to be sent.
const FINISHING: Duration = Duration::from_secs(3);

/// A child at work.
pub(super) struct Busy<'a> {
    pub(super) name: String,
    pub(super) work: Work,
    pub(super) running: Running,
    pub(super) _passing: Passing<'a>,
    pub(super) obeys: Obeyed,
    /// Whether it was told to end.
    pub(super) told: Told,
}

/// What a child obeys.
pub(super) struct Obeyed {
    pub(super) blocklist: String,
    pub(super) share: Share,
    pub(super) turns: Option<Turns>,
}

/// Whether a child was told to end.
#[derive(Debug, Clone, Copy)]
pub(super) enum Told {
    Nothing,
    Once(Instant),
    Twice,
}

impl Busy<'_> {
    /// Whether it may go on as it is.
    fn may_go_on(&self, taken: &Taken, place: &str, clock: &Clock, now: Instant) -> bool {
        let Obeyed { blocklist, share, turns } = &self.obeys;
        taken.control.wanted == Wanted::Running
            && taken.control.blocklist == *blocklist
            && taken.may_measure()
            && taken.holds(share, place)
            && turns.is_none_or(|turns| {
                taken.is_untimely(place, clock, now).is_none() && turns.hold(clock, now)
            })
    }

    /// Has it end where it is to do otherwise, or nothing: in order, and at once a little later.
    pub(super) fn tell(&mut self, taken: Option<&Taken>, place: &str, clock: &Clock) {
        let now = Instant::now();
        if taken.is_some_and(|taken| self.may_go_on(taken, place, clock, now)) {
            return;
        }
        self.told = match self.told {
            Told::Nothing => {
                self.running.finish();
                Told::Once(now)
            }
            Told::Once(then) if now.duration_since(then) >= FINISHING => {
                self.running.finish();
                Told::Twice
            }
            told => told,
        };
    }

    pub(super) fn was_told(&self) -> bool {
        !matches!(self.told, Told::Nothing)
    }
}
