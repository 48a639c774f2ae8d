//! Jobs that still wait for something: a connection's end, or the observer's answer.
//!
//! It takes what the engine and the observer say, in whatever order that comes, and gives each job
//! once: when nothing more is to come of it, or when the plugin has failed for it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use foldhash::fast::RandomState;
use pathspider_observer::{ConnectionId, Observation, Ttls, Visit};
use pathspider_plugin_api::{Error, FlowRecord, Outcome};

use super::icmp;
use crate::engine::{Account, Report, Work};

/// A job that waits for nothing more.
#[derive(Debug)]
pub(super) enum Complete<W> {
    /// All its connections, in the order of the configurations.
    Job { work: W, connections: Vec<Connection> },
    /// The plugin failed for it.
    Broken { work: W, error: Error },
}

/// A connection with what was seen of it.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    pub(super) outcome: Outcome,
    /// Whether packets were sent, so that a flow was to be seen.
    pub(super) claimed: bool,
    pub(super) flow: Option<FlowRecord>,
    /// A chain's failure on the flow.
    pub(super) failure: Option<Error>,
    /// From how far its answers came.
    pub(super) ttls: Ttls,
}

/// All such jobs.
pub(super) struct PendingJobs<W> {
    configurations: usize,
    jobs: HashMap<Visit, Pending<W>, RandomState>,
}

struct Pending<W> {
    /// Set by the first report.
    work: Option<W>,
    slots: Vec<Slot>,
    /// Set when the plugin failed: the job waits only for answers that are still under way.
    broken: bool,
}

/// What is known of a connection.
#[derive(Default, Clone)]
struct Slot {
    /// The engine's account, and whether the observer was asked. It is put into words when the job is
    /// complete: until then it is small.
    ended: Option<(Box<Account>, bool)>,
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

impl<W> PendingJobs<W> {
    pub(super) fn new(configurations: usize) -> PendingJobs<W> {
        PendingJobs { configurations, jobs: HashMap::default() }
    }

    /// Takes a word of the engine; gives the job that it completes.
    pub(super) fn report(&mut self, report: Report<W>) -> Option<Complete<W>> {
        match report {
            Report::Broken { job, work, error } => {
                // The engine reports nothing more of it; the observer may.
                if let Some(pending) = self.jobs.get_mut(&job) {
                    pending.broken = true;
                    self.take_if_complete(job);
                }
                Some(Complete::Broken { work, error })
            }
            Report::Connection { id, work, account, claimed } => {
                let job = self.job(id);
                job.work = Some(work);
                job.slot(id)?.ended = Some((account, claimed));
                self.take_if_complete(id.visit())
            }
        }
    }

    /// Takes an answer of the observer; gives the job that it completes.
    pub(super) fn observation(&mut self, observation: Observation) -> Option<Complete<W>> {
        let id = observation.id;
        self.job(id).slot(id)?.answer = Some(observation);
        self.take_if_complete(id.visit())
    }

    /// What came of a connection, where nothing more is to come of it, but of its job.
    pub(super) fn known(&self, id: ConnectionId) -> Option<(&W, Connection)> {
        let job = self.jobs.get(&id.visit()).filter(|job| !job.broken)?;
        let slot = job.slots.get(id.config().index()).filter(|slot| slot.is_complete())?;
        Some((job.work.as_ref()?, slot.clone().into_connection()?))
    }

    fn job(&mut self, id: ConnectionId) -> &mut Pending<W> {
        let configurations = self.configurations;
        self.jobs.entry(id.visit()).or_insert_with(|| Pending {
            work: None,
            slots: (0..configurations).map(|_| Slot::default()).collect(),
            broken: false,
        })
    }

    fn take_if_complete(&mut self, job: Visit) -> Option<Complete<W>> {
        let Entry::Occupied(entry) = self.jobs.entry(job) else {
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

impl Complete<Arc<Work>> {
    /// The job, and its round.
    pub(super) fn visit(&self) -> Visit {
        let (Complete::Job { work, .. } | Complete::Broken { work, .. }) = self;
        work.visit()
    }
}

impl<W> Pending<W> {
    fn slot(&mut self, id: ConnectionId) -> Option<&mut Slot> {
        self.slots.get_mut(id.config().index())
    }
}

impl Slot {
    fn into_connection(self) -> Option<Connection> {
        let (account, claimed) = self.ended?;
        let mut outcome = account.into_outcome();
        let Some(answer) = self.answer else {
            let ttls = Ttls::default();
            return Some(Connection { outcome, claimed, flow: None, failure: None, ttls });
        };
        let Observation { id: _, flow, failure, local, ttls, error } = answer;
        if let Some(local) = local {
            outcome = outcome.with("sip", local.ip()).with("sp", local.port());
        }
        if let Some(error) = &error {
            outcome = icmp::with_error(outcome, error);
        }
        Some(Connection { outcome, claimed, flow, failure, ttls })
    }
}

#[cfg(test)]
mod tests;
