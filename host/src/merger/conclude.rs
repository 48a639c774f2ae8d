//! Turns a complete job into its record: the driver's conclusion, and the host's own keys.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use pathspider_plugin_api::driver::{self, Conclusion, Driver, Ended, Fault, Sighting};
use pathspider_plugin_api::{Condition, Error, Job, Record, Value};

use super::Merger;
use super::answered::Neighbours;
use super::asking::Ready;
use super::evidence::{failures, round_trips};
use super::nat64::Translators;
use super::pending::{Complete, Connection};
use super::theirs::Theirs;
use crate::engine::{Report, Work};
use crate::forward;
use crate::job::Verbatim;
use crate::locating::{self, Found, Wanted};
use crate::output::{JobId, Summary, Told};
use crate::rounds::Turn;
use pathspider_observer::{JobNumber, hops};
use pathspider_records::names;
use pathspider_runtime::say;
use pathspider_runtime::text::visible;

/// Characters of a reason that a message shows.
const SHOWN: usize = 200;

/// The plugin's functions of the merger, and what is checked of their answers.
pub(super) struct Conclude<'a> {
    merger: &'a Merger,
    translators: RefCell<Translators>,
    neighbours: RefCell<Neighbours>,
    /// The configurations that this machine was reported not to support.
    reported: RefCell<BTreeSet<usize>>,
}

/// What came of a job.
pub(super) enum Drawn {
    /// All that is to be written is known.
    Concluded(Concluded),
    /// It is to be located first.
    Open(Box<Open>, Vec<Wanted>),
}

/// A job that is concluded but for where on the path.
pub(super) struct Open {
    work: Arc<Work>,
    hint: Option<Record>,
    forward: Vec<Record>,
    conclusion: Conclusion,
}

/// What is known of a job beside what its measurement concludes.
struct Beside<'a> {
    answered_from: Option<Record>,
    /// What the target says of what came to it.
    forward: Vec<Record>,
    located: &'a [(Wanted, pathspider_locate::Location)],
}

/// What is written of a job.
pub(super) enum Concluded {
    /// One record, unless the plugin makes several.
    Records(Vec<Told>),
    /// The plugin discarded it: what tells which job it was.
    Discarded(Record),
}

impl<'a> Conclude<'a> {
    pub(super) fn new(merger: &'a Merger) -> Conclude<'a> {
        let (translators, neighbours, reported) = Default::default();
        Conclude { merger, translators, neighbours, reported }
    }

    /// Notes of what targets there will be records.
    pub(super) fn expect(&self, report: &Report) {
        if let Report::Connection { work, .. } = report {
            self.translators.borrow_mut().expect(work.job.target());
        }
    }

    /// Concludes from a job's connections.
    pub(super) fn draw(&self, Ready { complete, forward: said }: Ready) -> Drawn {
        let failed = |target, error| {
            Drawn::Concluded(Concluded::Records(vec![self.error_record(target, error)]))
        };
        let (work, connections) = match complete {
            Complete::Broken { work, error } => return failed(into_target(work), error),
            Complete::Job { work, connections } => (work, connections),
        };
        let ttls = connections.iter().map(|connection| connection.ttls);
        let hint = self.neighbours.borrow_mut().hint(work.job.target(), ttls);
        let when = self.merger.locating;
        let distances: Vec<Option<u8>> = match when {
            Some(_) => connections.iter().map(|one| one.ttls.first().map(hops)).collect(),
            None => Vec::new(),
        };
        let connections = connections.into_iter().map(judged).collect();
        let prepared = work.prepared().map_err(Fault::from);
        let driver = self.driver().in_round(work.round().number());
        let mut conclusion =
            prepared.and_then(|prepared| driver.conclude(&work.job, prepared, connections));
        if let Ok(conclusion) = &mut conclusion {
            let configurations = &self.merger.configurations;
            let info = &self.merger.measurement.info;
            let found = forward::conditions(info, configurations, &said, &conclusion.conditions);
            conclusion.added.extend(found);
        }
        let forward = forward::record(&said);
        let wanted = match (when, &conclusion) {
            (Some(when), Ok(conclusion)) if !conclusion.is_discarded => {
                let info = &self.merger.measurement.info;
                let configurations = &self.merger.configurations;
                locating::wanted((when, info), configurations, &distances, conclusion)
            }
            _ => Vec::new(),
        };
        let conclusion = match conclusion {
            Ok(conclusion) if !wanted.is_empty() => {
                return Drawn::Open(Box::new(Open { work, hint, forward, conclusion }), wanted);
            }
            other => other,
        };
        let target = into_target(work);
        Drawn::Concluded(match conclusion {
            Ok(conclusion) if conclusion.is_discarded => {
                self.merger.count(|summary| summary.discarded += 1);
                self.end_turn(target.turn, &[]);
                let id = self.job_id(&target);
                let (mut record, _) = self.own_keys(target.job);
                push_round(&mut record, target.turn);
                Concluded::Discarded(record.with(names::JOB_ID, id))
            }
            Ok(conclusion) => {
                self.report_not_supported(&conclusion);
                let beside = Beside { answered_from: hint, forward, located: &[] };
                Concluded::Records(self.job_records(target, conclusion, beside))
            }
            Err(fault) => return failed(target, fault.into()),
        })
    }

    /// The records of a job that was to be located: with what was found of it, or without.
    pub(super) fn located(&self, open: Open, found: &Found) -> Concluded {
        let Open { work, hint, forward, mut conclusion } = open;
        self.report_not_supported(&conclusion);
        let driver = self.driver().in_round(work.round().number());
        let mut theirs = Vec::new();
        for location in locating::of_plugin(&found.located) {
            match driver.located(&work.job, &conclusion.flows, &location) {
                Ok(conditions) => theirs.extend(conditions),
                Err(fault) => {
                    let target = into_target(work);
                    return Concluded::Records(vec![self.error_record(target, fault.into())]);
                }
            }
        }
        conclusion.conditions.extend(theirs);
        conclusion.added.extend(locating::conditions(&found.located));
        self.merger.count(|summary| {
            summary.located.targets += u64::from(!found.located.is_empty());
            summary.located.cut_off += u64::from(found.is_cut_off);
            summary.located.packets += found.packets;
            summary.located.at_targets += found.at_target;
        });
        let target = into_target(work);
        let beside = Beside { answered_from: hint, forward, located: &found.located };
        Concluded::Records(self.job_records(target, conclusion, beside))
    }

    /// Says of each configuration that this machine does not support, once in a run, why.
    fn report_not_supported(&self, conclusion: &Conclusion) {
        for config in &conclusion.not_supported {
            if self.reported.borrow_mut().insert(config.index()) {
                let flow = conclusion.flows.get(config.index());
                let reason = flow.and_then(|flow| flow.str(names::ERROR)).unwrap_or_default();
                say!(
                    "configuration {} is not supported here, so nothing is concluded of it: {}",
                    config.index(),
                    visible(reason, SHOWN)
                );
            }
        }
    }

    fn driver(&self) -> Driver<'_> {
        self.merger.measurement.driver().keeping(self.merger.with_flows)
    }

    fn job_id(&self, target: &Target) -> String {
        let (run, job) = (self.merger.run, JobNumber::of(&target.job));
        JobId { run, job, round: target.turn.map(|turn| turn.round) }.to_string()
    }

    /// What a round came to; what all rounds of the target come to, where it was the last one.
    fn end_turn(&self, turn: Option<Turn>, conditions: &[Condition]) -> Vec<Condition> {
        let conditions = conditions.iter().map(|one| (one.as_str(), one.class()));
        let turn = turn.zip(self.merger.standings.as_ref());
        turn.map(|(turn, standings)| standings.end(turn, conditions)).unwrap_or_default()
    }

    fn job_records(
        &self,
        target: Target,
        conclusion: Conclusion,
        Beside { answered_from, forward, located }: Beside<'_>,
    ) -> Vec<Told> {
        let folded = self.end_turn(target.turn, &conclusion.conditions);
        let id = self.job_id(&target);
        let Target { job, came, turn } = target;
        let failures = failures(&conclusion.flows);
        self.merger.count(|summary| {
            count(&conclusion, &folded, &failures, summary);
            summary.heard += u64::from(answered_from.is_some());
            summary.a_target.get_or_insert(job.target());
        });
        let target = job.target();
        let named = target.is_unspecified();
        let (own, theirs) = self.own_keys(job);
        let Conclusion { flows, conditions, added, mut rows, missed, .. } = conclusion;
        let mut found = Record::with_capacity(19);
        push_round(&mut found, turn);
        // A name has no path.
        if !named {
            let source = flows.iter().find_map(|flow| flow.str(names::SIP)).map(str::to_owned);
            let ends = &self.merger.ends;
            let networks = ends.networks(source.as_deref(), target);
            let between = locating::hops(located);
            let path = ends.path((source.as_deref(), target), &own, &networks, &between);
            found.push(names::SIP, source);
            found.push(names::PATH, path);
            networks.add_to(&mut found);
            if let Some(prefix) = self.translators.borrow_mut().of(target) {
                found.push(names::TRANSLATED, prefix);
            }
        }
        if let Some(hint) = answered_from {
            found.push(names::ANSWERED_FROM, hint);
        }
        let conditions = conditions.into_iter().chain(added).chain(folded);
        found.push(names::CONDITIONS, conditions.map(text).collect::<Value>());
        let time = Record::new()
            .with("from", times(&flows, "spdr_start").min())
            .with("to", times(&flows, "spdr_stop").max());
        found.push(names::TIME, time);
        let round_trips =
            if self.merger.with_round_trips { round_trips(&flows) } else { Vec::new() };
        for (key, list) in [(names::FAILURES, failures), (names::RTT, round_trips)] {
            if !list.is_empty() {
                found.push(key, list.into_iter().collect::<Value>());
            }
        }
        if !located.is_empty() {
            let databases = &self.merger.ends.databases;
            let each = located.iter();
            let each = each.map(|(wanted, one)| locating::record(wanted, one, databases));
            found.push(names::LOCATION, each.collect::<Value>());
        }
        if !forward.is_empty() {
            found.push(names::FORWARD, forward.into_iter().collect::<Value>());
        }
        if self.merger.with_flows {
            found.push(names::MISSED_FLOWS, missed);
            let flows = flows.into_iter().map(Ended::into_record);
            let flows = flows.map(|flow| flow.with(names::JOB_ID, id.as_str()));
            found.push(names::FLOW_RESULTS, flows.collect::<Value>());
        }
        // The host's keys come last, so that no row can say otherwise.
        let join = |mut own: Record, row: Record, found: Record, id: String| {
            let came = came.as_deref().map(|came| beside(came, theirs, named, &[&row, &found]));
            own.extend(row);
            own.extend(found);
            Told { record: own.with(names::JOB_ID, id), came }
        };
        if rows.len() <= 1 {
            return vec![join(own, rows.pop().unwrap_or_default(), found, id)];
        }
        let numbered = rows.into_iter().enumerate();
        numbered
            .map(|(k, row)| join(own.clone(), row, found.clone(), format!("{id}.{k}")))
            .collect()
    }

    /// The record of a job for which the plugin failed: no conditions, and the reason.
    fn error_record(&self, target: Target, error: Error) -> Told {
        let folded = self.end_turn(target.turn, &[]);
        let id = self.job_id(&target);
        let Target { job, came, turn } = target;
        self.merger.count(|summary| {
            summary.targets += 1;
            summary.count_error(&error);
            summary.count_conditions(folded.iter());
        });
        let named = job.target().is_unspecified();
        let (mut record, theirs) = self.own_keys(job);
        let came = came.as_deref().map(|came| beside(came, theirs, named, &[]));
        push_round(&mut record, turn);
        record.set(names::CONDITIONS, folded.into_iter().map(text).collect::<Value>());
        record.set(names::ERROR, format!("plugin: {error}"));
        record.set(names::JOB_ID, id);
        Told { record, came }
    }

    /// The job's own keys, with the port that was used; a name that was given without one has none.
    fn own_keys(&self, job: Job) -> (Record, Theirs) {
        let named = job.target().is_unspecified();
        let line = if named { job.record().clone() } else { job.into_record() };
        let theirs = Theirs::of(&line, self.merger.ends.knows_networks());
        (theirs.keys(line), theirs)
    }
}

/// A target, when its job is over.
struct Target {
    job: Job,
    came: Option<Arc<Verbatim>>,
    turn: Option<Turn>,
}

/// What came, beside what was `found`, which the record has the say of. `named`: of a target without an
/// address, whose port was not used.
fn beside(came: &Verbatim, theirs: Theirs, named: bool, found: &[&Record]) -> Verbatim {
    let mut came = came.clone();
    theirs.to_the_letter(&mut came);
    let found = found.iter().flat_map(|record| record.iter()).map(|(key, _)| key);
    found.chain((!named).then_some("dp")).for_each(|key| came.unsay(key));
    came
}

/// Says which round it is, where there are rounds.
fn push_round(record: &mut Record, turn: Option<Turn>) {
    if let Some(turn) = turn {
        record.push(names::ROUND, turn.round.number());
    }
}

fn count(
    conclusion: &Conclusion,
    folded: &[Condition],
    failures: &[Record],
    summary: &mut Summary,
) {
    summary.targets += 1;
    summary.missed_flows += conclusion.missed;
    let conditions = conclusion.conditions.iter().chain(&conclusion.added).chain(folded);
    summary.count_conditions(conditions);
    summary.connections += conclusion.flows.len() as u64;
    let connections = conclusion.flows.iter();
    summary.carried += connections.clone().filter(|flow| flow.is_carried()).count() as u64;
    summary.chance.count(connections.map(|flow| (flow.is_carried(), flow.str("spdr_start"))));
    for failure in failures {
        let Some(reason) = failure.str(names::ERROR) else { continue };
        let flow = failure.u64("config").and_then(|config| conclusion.flows.get(config as usize));
        summary.count_failure(reason, flow.is_some_and(|flow| flow.is_skipped()));
    }
}

fn into_target(work: Arc<Work>) -> Target {
    match Arc::try_unwrap(work) {
        Ok(Work { job, came, turn, .. }) => Target { job, came, turn },
        Err(shared) => {
            Target { job: shared.job.clone(), came: shared.came.clone(), turn: shared.turn }
        }
    }
}

/// The same as the driver takes it.
pub(super) fn judged(connection: Connection) -> driver::Connection {
    let Connection { outcome, claimed, flow, failure, ttls: _ } = connection;
    let seen = match (failure, flow) {
        (Some(error), _) => Sighting::Failed(error),
        (None, Some(flow)) => Sighting::Flow(flow),
        (None, None) if claimed => Sighting::Nothing,
        (None, None) => Sighting::NotAsked,
    };
    driver::Connection { outcome, seen }
}

fn text(condition: Condition) -> Value {
    match condition.into_text() {
        std::borrow::Cow::Borrowed(text) => Value::text(text),
        std::borrow::Cow::Owned(text) => text.into(),
    }
}

/// The flows' times, which sort as texts: all are RFC 3339 in UTC with the same number of digits.
fn times<'f>(flows: &'f [Ended], key: &str) -> impl Iterator<Item = &'f str> {
    flows.iter().filter_map(move |flow| flow.str(key))
}
