//! The one driver of a job: from its connections to its conditions and rows, with the rules.
//!
//! A run, the testing kit, `pathspider check` and `pathspider rejudge` all take a job this way:
//! [`prepare`](Driver::prepare), [`connect`](Driver::connect) for each configuration, and
//! [`conclude`](Driver::conclude) when every connection has ended and the observer has answered.
//! Who makes the connections, and when, is not the driver's: it has no clock, no channel and no
//! state. The same calls with the same answers give the same conclusion.

mod keeping;
#[cfg(test)]
mod tests;

pub use keeping::{Lacking, Restored, restore};

use crate::abi::{MeasurementObject, PreparedHandle};
use crate::rules::{self, Broken};
use crate::{
    Condition, ConfigId, Connect, Error, FlowRecord, Info, Job, Outcome, Record, State, carriage,
};

/// What the observer answered about a connection.
#[derive(Debug, Clone)]
pub enum Sighting {
    /// It was not asked, for nothing of the connection left this machine.
    NotAsked,
    /// It was asked, and the capture has no packet of the connection.
    Nothing,
    /// The connection's flow.
    Flow(FlowRecord),
    /// A chain failed on the connection's flow.
    Failed(Error),
}

impl Sighting {
    fn is_asked(&self) -> bool {
        !matches!(self, Sighting::NotAsked)
    }

    fn is_missed(&self) -> bool {
        matches!(self, Sighting::Nothing)
    }
}

/// A connection that has ended, and what was seen of it.
#[derive(Debug, Clone)]
pub struct Connection {
    /// How it ended.
    pub outcome: Outcome,
    /// What the capture has of it.
    pub seen: Sighting,
}

impl Connection {
    /// Whether it was to be made, and nothing left this machine: there is no route, say.
    fn is_unsent(&self) -> bool {
        !self.seen.is_asked() && self.outcome.state() != State::Skipped
    }
}

/// Why a job has no conclusion.
#[derive(Debug)]
pub enum Fault {
    /// A function of the plugin failed, or a chain did.
    Failed(Error),
    /// A function of the plugin broke a rule.
    Broken(Broken),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault::Failed(error)
    }
}

impl From<Broken> for Fault {
    fn from(broken: Broken) -> Fault {
        Fault::Broken(broken)
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Error {
        match fault {
            Fault::Failed(error) => error,
            Fault::Broken(broken) => broken.into(),
        }
    }
}

/// What came of a job.
#[derive(Debug)]
pub struct Conclusion {
    /// Each connection's merged record, in the order of the configurations.
    pub flows: Vec<Record>,
    /// What the measurement concluded.
    pub conditions: Vec<Condition>,
    /// What the host adds: which connections were not sent or not seen.
    pub added: Vec<Condition>,
    /// Further keys of the job's record, one element for each record.
    pub rows: Vec<Record>,
    /// How many connections the capture should have, and does not.
    pub missed: u64,
    /// Whether the measurement discards the job, so that it has no record.
    pub is_discarded: bool,
}

/// Takes jobs through a measurement, and holds it to the [`rules`].
#[derive(Clone, Copy)]
pub struct Driver<'m> {
    object: &'m MeasurementObject,
    info: &'m Info,
    configurations: usize,
    observes: bool,
    is_keeping: bool,
}

impl<'m> Driver<'m> {
    /// A driver of this object, which has so many configurations. `observes`: whether it names a
    /// chain, so that flows are to be seen.
    pub fn new(
        object: &'m MeasurementObject,
        info: &'m Info,
        configurations: usize,
        observes: bool,
    ) -> Driver<'m> {
        Driver { object, info, configurations, observes, is_keeping: false }
    }

    /// Has flows keep what [`restore`] needs.
    pub fn keeping(self, is_keeping: bool) -> Driver<'m> {
        Driver { is_keeping, ..self }
    }

    /// Prepares a job.
    ///
    /// # Errors
    ///
    /// The plugin failed.
    pub fn prepare(&self, job: &Job) -> Result<PreparedHandle, Fault> {
        Ok(self.object.pre_connect(job)?)
    }

    /// Asks which connection to make.
    ///
    /// # Errors
    ///
    /// The plugin failed, or broke a rule.
    pub fn connect(
        &self,
        job: &Job,
        prepared: &PreparedHandle,
        config: ConfigId,
    ) -> Result<Connect, Fault> {
        let connect = self.object.connect(job, prepared, config)?;
        rules::check_connect(&connect, self.info)?;
        Ok(connect)
    }

    /// Concludes from a job's connections, one for each configuration, in their order.
    ///
    /// # Errors
    ///
    /// The plugin or a chain failed, or the plugin broke a rule.
    pub fn conclude(
        &self,
        job: &Job,
        prepared: &PreparedHandle,
        connections: Vec<Connection>,
    ) -> Result<Conclusion, Fault> {
        let unsent = connections.iter().enumerate().filter(|(_, one)| one.is_unsent());
        let unsent: Vec<ConfigId> = unsent.map(|(config, _)| ConfigId::new(config)).collect();
        let missed = connections.iter().filter(|one| one.seen.is_missed()).count() as u64;
        let (unsent, missed) = if self.observes { (unsent, missed) } else { (Vec::new(), 0) };
        let refused: Vec<Condition> = connections.iter().filter_map(refused).collect();
        let mut kept = Vec::new();
        let mut flows = Vec::with_capacity(connections.len());
        for (index, connection) in connections.into_iter().enumerate() {
            if self.is_keeping {
                kept.push(keeping::Kept::of(&connection));
            }
            flows.push(self.flow(job, prepared, ConfigId::new(index), connection)?);
        }
        let conditions = self.object.combine(job, &flows)?;
        for condition in &conditions {
            rules::check_condition(condition, &self.info.conditions, self.configurations)?;
        }
        let rows = self.object.rows(job, &flows)?;
        rows.iter().try_for_each(rules::check_row)?;
        let is_discarded = flows.iter().any(is_discarded);
        if self.is_keeping {
            flows = flows.into_iter().zip(kept).map(|(flow, kept)| kept.on(flow)).collect();
        }
        let mut added = added(&conditions, &unsent, missed);
        added.extend(refused);
        Ok(Conclusion { flows, conditions, added, rows, missed, is_discarded })
    }

    /// One connection's merged record.
    ///
    /// Both halves are known here, the outcome and the flow, and the plugin has seen neither: so
    /// whether the path carried the connection is settled before `post_connect`.
    fn flow(
        &self,
        job: &Job,
        prepared: &PreparedHandle,
        config: ConfigId,
        connection: Connection,
    ) -> Result<Record, Fault> {
        let Connection { outcome, seen } = connection;
        let flow = match seen {
            Sighting::NotAsked | Sighting::Nothing => None,
            Sighting::Flow(flow) => Some(flow),
            Sighting::Failed(error) => return Err(error.into()),
        };
        let outcome = carriage::settle(outcome, flow.as_ref());
        let (state, observed) = (outcome.state(), flow.is_some());
        let result = self.object.post_connect(job, outcome, prepared, config)?;
        rules::check_result(&result)?;
        let stamp = rules::Stamp::new(config, &result, state, observed);
        let merged = self.object.merge(flow, stamp.on(result))?;
        rules::check_merged(&merged, stamp)?;
        Ok(stamp.on(merged))
    }
}

/// Names the address of a connection that was refused for courtesy's sake.
fn refused(connection: &Connection) -> Option<Condition> {
    let reason = connection.outcome.failure().filter(|_| connection.is_unsent())?;
    let is_refused = [rules::BLOCKLISTED, rules::SPECIAL_ADDRESS].contains(&reason);
    let address = connection.outcome.record().str("dip").filter(|_| is_refused)?;
    Some(Condition::with_value("pathspider.refused", address))
}

/// What the host adds to a measurement's conclusions.
fn added(concluded: &[Condition], unsent: &[ConfigId], missed: u64) -> Vec<Condition> {
    let not_sent = |config: &ConfigId| Condition::with_value("pathspider.not_sent", config.index());
    let mut added: Vec<Condition> = unsent.iter().map(not_sent).collect();
    if missed > 0 {
        let not_observed = Condition::not_observed();
        if !concluded.contains(&not_observed) {
            added.push(not_observed);
        }
        added.push(Condition::with_value("pathspider.missed_flows", missed));
    }
    added
}

fn is_discarded(flow: &Record) -> bool {
    flow.u64("spdr_state") == Some(State::Discard.number().into())
}
