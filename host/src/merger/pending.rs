//! Jobs of which something is still to come: a connection's end, or the observer's answer.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use pathspider_plugin_api::{Error, FlowRecord, Job, Outcome};

use crate::engine::{Report, Work, job_and_config};
use pathspider_observer::Observation;

/// A job of which nothing more is to come.
pub(super) enum Complete {
    /// All its connections, in the order of the configurations.
    Job { work: Arc<Work>, connections: Vec<Connection> },
    /// The plugin failed before its first connection.
    Refused { job: Job, error: Error },
    /// The plugin failed in the midst of its connections.
    Broken { work: Arc<Work>, error: Error },
}

/// A connection with what was seen of it.
pub(super) struct Connection {
    pub(super) outcome: Outcome,
    /// Whether packets were sent, so that a flow was to be seen.
    pub(super) claimed: bool,
    pub(super) flow: Option<FlowRecord>,
    /// A chain's failure on the flow.
    pub(super) failure: Option<Error>,
}

pub(super) struct PendingJobs {
    configurations: usize,
    jobs: HashMap<u64, Pending>,
}

struct Pending {
    work: Option<Arc<Work>>,
    slots: Vec<Slot>,
    /// Set when the plugin failed: the job waits only for answers that are still under way.
    broken: bool,
}

#[derive(Default)]
struct Slot {
    ended: Option<(Outcome, bool)>,
    answer: Option<Observation>,
}

impl Slot {
    fn is_complete(&self) -> bool {
        match self.ended {
            Some((_, claimed)) => !claimed || self.answer.is_some(),
            None => false,
        }
    }

    /// Whether an answer is still under way.
    fn awaits_answer(&self) -> bool {
        matches!(self.ended, Some((_, true))) && self.answer.is_none()
    }
}

impl PendingJobs {
    pub(super) fn new(configurations: usize) -> PendingJobs {
        PendingJobs { configurations, jobs: HashMap::new() }
    }

    /// Takes a word of the engine; gives the job that it completes.
    pub(super) fn report(&mut self, report: Report) -> Option<Complete> {
        match report {
            Report::Refused { job, error } => Some(Complete::Refused { job, error }),
            Report::Broken { work, error } => {
                let number = work.job.number();
                if let Some(job) = self.jobs.get_mut(&number) {
                    job.broken = true;
                    self.take_if_complete(number);
                }
                Some(Complete::Broken { work, error })
            }
            Report::Connection { work, config, outcome, claimed } => {
                let number = work.job.number();
                let job = self.entry(number);
                job.slots[config].ended = Some((outcome, claimed));
                job.work = Some(work);
                self.take_if_complete(number)
            }
        }
    }

    /// Takes an answer of the observer; gives the job that it completes.
    pub(super) fn observation(&mut self, observation: Observation) -> Option<Complete> {
        let (number, config) = job_and_config(observation.id, self.configurations);
        self.entry(number).slots[config].answer = Some(observation);
        self.take_if_complete(number)
    }

    fn entry(&mut self, number: u64) -> &mut Pending {
        let configurations = self.configurations;
        self.jobs.entry(number).or_insert_with(|| Pending {
            work: None,
            slots: (0..configurations).map(|_| Slot::default()).collect(),
            broken: false,
        })
    }

    fn take_if_complete(&mut self, number: u64) -> Option<Complete> {
        let Entry::Occupied(entry) = self.jobs.entry(number) else {
            return None;
        };
        let job = entry.get();
        if job.broken {
            if !job.slots.iter().any(Slot::awaits_answer) {
                entry.remove();
            }
            return None;
        }
        if !job.slots.iter().all(Slot::is_complete) {
            return None;
        }
        let job = entry.remove();
        let connections = job.slots.into_iter().filter_map(Slot::into_connection).collect();
        Some(Complete::Job { work: job.work?, connections })
    }
}

impl Slot {
    fn into_connection(self) -> Option<Connection> {
        let (mut outcome, claimed) = self.ended?;
        let Some(answer) = self.answer else {
            return Some(Connection { outcome, claimed, flow: None, failure: None });
        };
        if let Some(local) = answer.local {
            outcome = outcome.with("sip", local.ip()).with("sp", local.port());
        }
        Some(Connection { outcome, claimed, flow: answer.flow, failure: answer.failure })
    }
}
