//! Draws the conclusions of an earlier run again, from its records and the packets that it saved.
//!
//! The records are read twice: first for the claims of all connections, which the observer has to
//! know in the order of their times, then one by one, while the capture answers. What is in memory
//! is a claim for each connection, and the flows whose record is yet to be read.

mod comparison;
mod past;
mod provenance;
mod refold;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use pathspider_observer::{ConnectionId, Observation, Replay, Source, SourceError};
use pathspider_plugin_api::Info;
use pathspider_plugin_api::abi::{ChainSet, MeasurementObject, Slots};
use pathspider_plugin_api::driver::{Conclusion, Connection, Driver, Fault, Restored, Sighting};

use crate::job::ReadError;
use crate::output::{OutputError, RecordWriter};
pub(crate) use comparison::Comparison;
use past::{Past, Pasts};
pub(crate) use provenance::Provenance;
use refold::Refold;

/// Why records cannot be judged again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RejudgeError {
    /// They cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// They are not what is needed.
    #[error("{file}{place} cannot be judged again: {reason}", place = .line.map(|n| format!(":{n}")).unwrap_or_default())]
    Unfit {
        /// The file.
        file: String,
        /// The line's number, where it is about one.
        line: Option<u64>,
        /// Why.
        reason: String,
    },
    /// What comes of it cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// The measurement that judges.
pub(crate) struct Judge<'m> {
    pub(crate) object: &'m MeasurementObject,
    pub(crate) info: &'m Info,
    pub(crate) configurations: usize,
    pub(crate) default_port: u16,
    /// Whether each line of the run's input was a target of its own.
    pub(crate) duplicates: bool,
    /// Whether the records say in which networks source and target are.
    pub(crate) has_networks: bool,
    /// Where the fields of its chains stand.
    pub(crate) slots: Arc<Slots>,
}

/// What came of it.
pub(crate) struct Rejudged {
    /// The records, beside what they were.
    pub(crate) comparison: Comparison,
    /// Why the capture was not read to its end.
    pub(crate) capture: Option<SourceError>,
}

/// The claims of all connections in a file of records.
///
/// # Errors
///
/// The file cannot be read, or is none of records with what is needed.
pub(crate) fn claims(
    records: &Path,
    judge: &Judge<'_>,
) -> Result<Vec<pathspider_observer::Claim>, RejudgeError> {
    let mut pasts = Pasts::open(records)?;
    let mut claims = Vec::new();
    while let Some(past) = pasts.next()? {
        let connections = pasts.connections(&past, judge.configurations)?;
        for (config, restored) in connections.iter().flatten().enumerate() {
            if past::is_claimed(restored) {
                let claim = past::claim(restored, past.connection(config));
                claims.push(claim.map_err(|reason| pasts.unfit(&past, reason))?);
            }
        }
    }
    Ok(claims)
}

/// Judges all records again, and writes them; only those that differ, if `only_changed`.
///
/// # Errors
///
/// The records cannot be read again, or what comes of them not be written.
pub(crate) fn rejudge(
    records: &Path,
    judge: &Judge<'_>,
    (source, chains, claims): (Source, ChainSet, Vec<pathspider_observer::Claim>),
    only_changed: bool,
    writer: &mut RecordWriter,
) -> Result<Rejudged, RejudgeError> {
    let mut pasts = Pasts::open(records)?;
    let mut answers =
        Answers { replay: Replay::new(source, chains, claims), waiting: HashMap::new() };
    let mut comparison = Comparison::default();
    let mut refold = Refold::new(judge.duplicates, judge.info.names);
    while let Some(past) = pasts.next()? {
        let Some(restored) = pasts.connections(&past, judge.configurations)? else {
            comparison.leave();
            let folded = refold.add(&past, &[]);
            if !only_changed {
                writer.write_job(&past.unchanged(&folded))?;
            }
            continue;
        };
        let before = past.conditions();
        let connections = restored
            .into_iter()
            .enumerate()
            .map(|(config, one)| answers.seen(past.connection(config), one, &mut comparison));
        let connections = connections.collect();
        let concluded = judge.conclude(&past, connections);
        let now = match concluded {
            Ok(concluded) if concluded.is_discarded => {
                let _ = refold.add(&past, &[]);
                comparison.discard(&before);
                continue;
            }
            Ok(concluded) => {
                let folded = refold.add(&past, &concluded.conditions);
                past.judged(concluded, &folded, &judge.info.version)
            }
            Err(fault) => {
                comparison.fail();
                past.failed(fault.into(), &refold.add(&past, &[]))
            }
        };
        let is_changed = comparison.compare(&before, &past::conditions(&now[0].record));
        if is_changed || !only_changed {
            writer.write_job(&now)?;
        }
    }
    Ok(Rejudged { comparison, capture: answers.replay.failure().cloned() })
}

impl Judge<'_> {
    fn conclude(&self, past: &Past, connections: Vec<Connection>) -> Result<Conclusion, Fault> {
        let driver = Driver::new(self.object, self.info, self.configurations, &self.slots);
        let driver = driver.in_round(past.round.unwrap_or(0));
        let job = past.job(self.info.names, self.default_port, self.has_networks);
        let prepared = driver.prepare(&job)?;
        driver.keeping(true).conclude(&job, &prepared, connections)
    }
}

/// The observer's answers, in the order in which the records ask for them.
struct Answers {
    replay: Replay,
    /// Those that came before their record.
    waiting: HashMap<ConnectionId, Observation>,
}

impl Answers {
    /// A connection with what is seen of it now.
    fn seen(
        &mut self,
        id: ConnectionId,
        restored: Restored,
        comparison: &mut Comparison,
    ) -> Connection {
        let answer = if past::is_claimed(&restored) { self.take(id) } else { None };
        let Restored { outcome, is_claimed, last } = restored;
        let seen = match answer {
            Some(Observation { failure: Some(error), .. }) => Sighting::Failed(error),
            Some(Observation { flow: Some(flow), .. }) => Sighting::Flow(flow),
            _ if is_claimed => Sighting::Nothing,
            _ => Sighting::NotAsked,
        };
        if last.is_some() {
            comparison.seen_before(!matches!(seen, Sighting::Nothing));
        }
        Connection { outcome, seen }
    }

    fn take(&mut self, id: ConnectionId) -> Option<Observation> {
        loop {
            if let Some(answer) = self.waiting.remove(&id) {
                return Some(answer);
            }
            let answer = self.replay.next()?;
            self.waiting.insert(answer.id, answer);
        }
    }
}
