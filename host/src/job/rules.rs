//! The user's rules for the feeder: which targets, in which order, how often.

use std::sync::Arc;

use super::courtesy::Courtesy;
use super::done::Done;
use super::shard::Shard;
use crate::rounds::{Schedule, Standings};

/// Which targets are measured, and in which order.
#[derive(Default)]
pub struct Rules {
    /// Whether names are looked up.
    pub resolve: bool,
    /// Whether a name is measured at an address of each version of IP, and not only at the first.
    pub both_families: bool,
    /// Whether a target may come several times.
    pub duplicates: bool,
    /// Who is not to be measured.
    pub courtesy: Arc<Courtesy>,
    /// How many at most.
    pub max_targets: Option<u64>,
    /// The seed of a random order; `None` for the input's.
    pub shuffle: Option<u64>,
    /// How often each is measured, where that was said.
    pub rounds: Option<Schedule>,
    /// Which part of them is measured here, where others measure the rest.
    pub shard: Option<Shard>,
}

/// What the feeder is to do with targets.
pub struct Feeding {
    /// Which of them are measured.
    pub rules: Rules,
    /// Whether the measurement takes names as they are.
    pub names: bool,
    /// The port of targets that name none.
    pub port: u16,
    /// The interface that connections leave by.
    pub interface: Option<String>,
    /// What a run before has measured, when this one goes on after it.
    pub done: Option<Done>,
    /// Where targets stand that are measured in rounds.
    pub standings: Option<Arc<Standings>>,
}
