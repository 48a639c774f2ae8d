//! Which connection of a run: what a claim carries, and what its answer is joined by.

use std::fmt;

use pathspider_plugin_api::{ConfigId, Job};

/// A job of the run, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobNumber(u64);

impl JobNumber {
    /// The job with this number.
    pub const fn new(number: u64) -> JobNumber {
        JobNumber(number)
    }

    /// As a number.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The number of a job.
    pub fn of(job: &Job) -> JobNumber {
        JobNumber(job.number())
    }
}

impl fmt::Display for JobNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A whole A/B comparison of a target. A run may make several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Round(u16);

impl Round {
    /// The first one; in most runs the only one.
    pub const FIRST: Round = Round(0);

    /// The round of this number, from 0.
    pub const fn new(number: u16) -> Round {
        Round(number)
    }

    /// Its number, from 0.
    pub const fn number(self) -> u32 {
        self.0 as u32
    }
}

/// A job in a round: what one record is made of. No two of a run are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Visit {
    job: JobNumber,
    round: Round,
}

impl Visit {
    /// This job in this round.
    pub const fn new(job: JobNumber, round: Round) -> Visit {
        Visit { job, round }
    }

    /// The job.
    pub const fn job(self) -> JobNumber {
        self.job
    }

    /// The round.
    pub const fn round(self) -> Round {
        self.round
    }

    /// Its connection in this configuration.
    pub const fn connection(self, config: ConfigId) -> ConnectionId {
        ConnectionId { job: self.job, round: self.round, config }
    }
}

/// A connection of the run: a job in a round and in a configuration. No two are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId {
    job: JobNumber,
    round: Round,
    config: ConfigId,
}

// Each claim and each answer carries one.
const _: () = assert!(size_of::<ConnectionId>() == 16, "an identity is two words");

impl ConnectionId {
    /// The connection of a job in this round and configuration.
    pub const fn new(job: JobNumber, round: Round, config: ConfigId) -> ConnectionId {
        ConnectionId { job, round, config }
    }

    /// Its job.
    pub const fn job(self) -> JobNumber {
        self.job
    }

    /// Its job and its round.
    pub const fn visit(self) -> Visit {
        Visit { job: self.job, round: self.round }
    }

    /// Its round.
    pub const fn round(self) -> Round {
        self.round
    }

    /// Its configuration.
    pub const fn config(self) -> ConfigId {
        self.config
    }
}
