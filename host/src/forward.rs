//! Compares what was sent with what came to the target, where that says so itself: `pathspider respond`.
//!
//! A stage of its own, on a thread of its own, beside the run: when a job's connections are over, the merger
//! asks it, and concludes with its answers. `questions` is what is asked and when, `judge` what follows from
//! an answer.

mod condition;
mod judge;
mod questions;
mod record;
mod stage;
#[cfg(test)]
mod tests;

use pathspider_arrivals::Key;
use pathspider_plugin_api::Job;

use crate::job::responds;

pub(crate) use condition::conditions;
pub use condition::declared;
pub(crate) use judge::{OfConfig, Sent, judge};
pub(crate) use questions::Reply;
pub(crate) use record::record;
pub(crate) use stage::{Answered, Ask, Stage};

/// How responders are asked.
#[derive(Debug, Clone)]
pub struct Responders {
    /// The key that they have.
    pub key: Key,
    /// The port that they listen at.
    pub port: u16,
}

/// Whether a job's target is said to respond.
pub(crate) fn is_responder(job: &Job) -> bool {
    // What is neither yes nor no was refused when it was read.
    responds(job.record()).unwrap_or(false)
}
