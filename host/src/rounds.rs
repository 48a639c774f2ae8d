//! Rounds: each target is measured several times, and what its rounds have in common is its fold.
//!
//! A round is a whole comparison of every target. The feeder begins one when the records of the former
//! one are made, so no target is measured twice at a time. What stands here is where each target is
//! ([`Standings`]), which the feeder and the merger share, and what its rounds come to (`fold`). A run
//! without rounds has none of it.

mod fold;
mod standings;

use std::time::Duration;

use pathspider_observer::Round;

pub(crate) use fold::{Folds, is_fold, unfolded};
pub use standings::Standings;
pub(crate) use standings::{Standing, Wanted};

/// How often targets are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// How often each is.
    pub repeat: u16,
    /// How often a target is measured again after that, at the most, while its verdict is impaired.
    pub confirm: u16,
    /// How long there is nothing between two rounds.
    pub interval: Duration,
    /// What decides the order of each round but the first.
    pub seed: u64,
}

impl Schedule {
    /// How many rounds there are at the most.
    pub(crate) fn most(&self) -> u16 {
        self.repeat.saturating_add(self.confirm)
    }
}

/// The place of a target among those of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(u32);

impl Place {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A target's turn: which round it is, and whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) round: Round,
    pub(crate) place: Place,
    /// Whether the kernel is to forget before it what it learned of the target in the former round.
    pub(crate) forgets: bool,
}
