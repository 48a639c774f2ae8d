//! Jobs in the order in which their parts may come, and in every other that can be.

use std::collections::VecDeque;
use std::time::SystemTime;

use pathspider_observer::{JobNumber, Round};
use pathspider_plugin_api::chains::basic;
use pathspider_plugin_api::{ConfigId, State};
use proptest::prelude::*;

use super::*;
use crate::engine::Account;

const CONFIGURATIONS: usize = 3;

fn pending() -> PendingJobs<&'static str> {
    PendingJobs::new(CONFIGURATIONS)
}

fn id(job: u64, config: usize) -> ConnectionId {
    ConnectionId::new(JobNumber::new(job), Round::FIRST, ConfigId::new(config))
}

/// Tells what the outcome of a connection was from that of every other.
fn mark(id: ConnectionId) -> u64 {
    id.job().number() * 10 + id.config().index() as u64
}

fn ended<W>(id: ConnectionId, work: W, claimed: bool) -> Report<W> {
    let outcome = Outcome::new(State::Ok).with("mark", mark(id));
    let account = Box::new(Account::new(outcome, SystemTime::UNIX_EPOCH));
    Report::Connection { id, work, account, claimed }
}

fn seen(id: ConnectionId) -> Observation {
    let flow = FlowRecord::of_chains(&[basic::CHAIN.into()]).with(basic::PACKETS_FWD, mark(id));
    Observation { flow: Some(flow), ..Observation::nothing(id) }
}

fn broken<W>(job: u64, work: W) -> Report<W> {
    Report::Broken { job: id(job, 0).visit(), work, error: Error::new("broken") }
}

fn seen_mark(connection: &Connection) -> Option<u64> {
    connection.flow.as_ref()?.get(basic::PACKETS_FWD)
}

/// The marks of a job's outcomes and flows.
fn marks<W>(complete: Option<Complete<W>>) -> Vec<(Option<u64>, Option<u64>)> {
    match complete {
        Some(Complete::Job { connections, .. }) => {
            connections.iter().map(|c| (c.outcome.record().u64("mark"), seen_mark(c))).collect()
        }
        other => panic!("not complete: {}", other.is_some()),
    }
}

#[test]
fn a_job_is_complete_when_each_claim_is_answered() {
    let mut pending = pending();
    assert!(pending.report(ended(id(1, 0), "a", true)).is_none());
    assert!(pending.report(ended(id(1, 1), "a", false)).is_none());
    assert!(pending.observation(seen(id(1, 0))).is_none());
    let complete = pending.report(ended(id(1, 2), "a", false));
    assert_eq!(marks(complete), [(Some(10), Some(10)), (Some(11), None), (Some(12), None)]);
    assert!(pending.jobs.is_empty());
}

#[test]
fn an_answer_may_come_before_the_report_and_connections_in_any_order() {
    let mut pending = pending();
    assert!(pending.observation(seen(id(1, 2))).is_none());
    assert!(pending.report(ended(id(1, 2), "a", true)).is_none());
    assert!(pending.report(ended(id(1, 0), "a", true)).is_none());
    assert!(pending.report(ended(id(1, 1), "a", true)).is_none());
    assert!(pending.observation(seen(id(1, 0))).is_none());
    let complete = pending.observation(seen(id(1, 1)));
    assert_eq!(marks(complete), [(Some(10), Some(10)), (Some(11), Some(11)), (Some(12), Some(12))]);
}

#[test]
fn jobs_do_not_mix() {
    let mut pending = pending();
    for config in 0..2 {
        assert!(pending.report(ended(id(1, config), "a", false)).is_none());
        assert!(pending.report(ended(id(2, config), "b", false)).is_none());
    }
    let complete = pending.report(ended(id(2, 2), "b", false));
    assert!(matches!(complete, Some(Complete::Job { work: "b", .. })));
    assert_eq!(pending.jobs.len(), 1);
}

#[test]
fn a_broken_job_is_given_at_once_and_its_late_answers_leave_nothing() {
    let mut pending = pending();
    assert!(pending.report(ended(id(1, 0), "a", true)).is_none());
    assert!(pending.report(ended(id(1, 1), "a", true)).is_none());
    assert!(pending.observation(seen(id(1, 1))).is_none());
    assert!(matches!(pending.report(broken(1, "a")), Some(Complete::Broken { work: "a", .. })));
    assert_eq!(pending.jobs.len(), 1, "an answer is under way");
    assert!(pending.observation(seen(id(1, 0))).is_none());
    assert!(pending.jobs.is_empty());
}

#[test]
fn a_job_that_is_broken_before_its_first_connection_leaves_nothing() {
    let mut pending = pending();
    assert!(matches!(pending.report(broken(1, "a")), Some(Complete::Broken { .. })));
    assert!(pending.jobs.is_empty());
}

#[test]
fn a_connection_is_known_when_it_has_ended_and_its_claim_is_answered() {
    let mut pending = pending();
    let mark = |pending: &PendingJobs<&'static str>, config| {
        let (work, connection) = pending.known(id(1, config))?;
        Some((*work, connection.outcome.record().u64("mark"), connection.flow.is_some()))
    };
    pending.report(ended(id(1, 0), "a", true));
    assert_eq!(mark(&pending, 0), None, "it is claimed, and not answered");
    pending.observation(seen(id(1, 0)));
    assert_eq!(mark(&pending, 0), Some(("a", Some(10), true)));
    pending.observation(seen(id(1, 1)));
    assert_eq!(mark(&pending, 1), None, "it has not ended");
    pending.report(ended(id(1, 1), "a", true));
    assert_eq!(mark(&pending, 1), Some(("a", Some(11), true)));
    assert!(pending.report(ended(id(1, 2), "a", false)).is_some());
    assert_eq!(mark(&pending, 2), None, "the job is over");
}

#[test]
fn nothing_is_known_of_a_job_for_which_the_plugin_failed() {
    let mut pending = pending();
    pending.report(ended(id(1, 0), "a", true));
    pending.report(ended(id(1, 1), "a", false));
    pending.report(broken(1, "a"));
    assert!(pending.known(id(1, 1)).is_none());
}

/// What the engine does with a job: which connections end, in which order, which of them are
/// claimed, and whether the plugin fails at the end.
type Life = (Vec<(usize, bool)>, bool);

fn life() -> impl Strategy<Value = Life> {
    let order = Just((0..CONFIGURATIONS).collect::<Vec<_>>()).prop_shuffle();
    let claimed = prop::collection::vec(any::<bool>(), CONFIGURATIONS);
    (order, claimed, 0..=CONFIGURATIONS, any::<bool>()).prop_map(|(order, claimed, ends, fails)| {
        let is_broken = fails || ends < CONFIGURATIONS;
        let ends = if is_broken { ends.min(CONFIGURATIONS - 1) } else { ends };
        (order.into_iter().zip(claimed).take(ends).collect(), is_broken)
    })
}

proptest! {
    /// Reports come in the engine's order, answers in the observer's, which has its own.
    #[test]
    fn each_job_is_given_once_and_nothing_is_left(
        lives in prop::collection::vec(life(), 0..12),
        choices in prop::collection::vec(any::<u16>(), 0..400),
    ) {
        let mut pending: PendingJobs<u64> = PendingJobs::new(CONFIGURATIONS);
        // What each job is still to report, and which answers are under way.
        let mut reports: Vec<VecDeque<Report<u64>>> = Vec::new();
        for (job, (ends, is_broken)) in lives.iter().enumerate() {
            let job = job as u64;
            let ends = ends.iter().map(|&(config, claimed)| ended(id(job, config), job, claimed));
            reports.push(ends.chain(is_broken.then(|| broken(job, job))).collect());
        }
        let mut answers: Vec<Observation> = Vec::new();
        let mut given = vec![0; lives.len()];
        let mut choices = choices.into_iter().cycle();
        while reports.iter().any(|reports| !reports.is_empty()) || !answers.is_empty() {
            let choice = usize::from(choices.next().unwrap_or_default());
            let open: Vec<usize> = (0..reports.len()).filter(|&j| !reports[j].is_empty()).collect();
            let at = choice / 4 % (open.len() + answers.len());
            let mut complete = None;
            if let Some(&job) = open.get(at) {
                let Some(report) = reports[job].pop_front() else { continue };
                let claimed = match &report {
                    Report::Connection { id, claimed: true, .. } => Some(*id),
                    _ => None,
                };
                // The claim goes out first, so that its answer may be here before the report.
                match claimed {
                    Some(id) if choice % 4 == 0 => {
                        prop_assert!(pending.observation(seen(id)).is_none());
                    }
                    claimed => answers.extend(claimed.map(seen)),
                }
                complete = pending.report(report);
            } else if !answers.is_empty() {
                complete = pending.observation(answers.remove(at - open.len()));
            }
            match complete {
                None => {}
                Some(Complete::Broken { work, .. }) => {
                    prop_assert!(lives[work as usize].1);
                    given[work as usize] += 1;
                }
                Some(Complete::Job { work, connections }) => {
                    prop_assert!(!lives[work as usize].1);
                    given[work as usize] += 1;
                    for (config, connection) in connections.iter().enumerate() {
                        let expected = Some(mark(id(work, config)));
                        prop_assert_eq!(connection.outcome.record().u64("mark"), expected);
                        let flow = seen_mark(connection);
                        prop_assert_eq!(flow, expected.filter(|_| connection.claimed));
                    }
                }
            }
        }
        prop_assert!(given.iter().all(|&times| times == 1), "{:?}", given);
        prop_assert!(pending.jobs.is_empty());
    }
}
