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

use keeping::Kept;

use crate::abi::lent::{LentFlow, LentFlows, Reading, Slice};
use crate::abi::{MeasurementObject, PreparedHandle, Slots};
use crate::rules::{self, Broken};
use crate::{
    Class, Condition, ConfigId, Connect, Error, FlowRecord, Info, Job, Location, Outcome, Record,
    State, Value, Wishes, carriage,
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
        !self.seen.is_asked()
            && self.outcome.state() != State::Skipped
            && !self.outcome.is_not_supported()
    }

    /// Whether nothing left this machine because it cannot make the connection.
    fn is_not_supported(&self) -> bool {
        !self.seen.is_asked() && self.outcome.is_not_supported()
    }

    /// Both halves, by which it is settled whether the path carried the connection.
    fn settled(self) -> Result<(Outcome, Option<FlowRecord>), Error> {
        let fields = match self.seen {
            Sighting::NotAsked | Sighting::Nothing => None,
            Sighting::Flow(flow) => Some(flow),
            Sighting::Failed(error) => return Err(error),
        };
        Ok((carriage::settle(self.outcome, fields.as_ref()), fields))
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
    /// Its connections, in the order of the configurations.
    pub flows: Vec<Ended>,
    /// What the measurement concluded.
    pub conditions: Vec<Condition>,
    /// What it wishes of the host.
    pub wishes: Wishes,
    /// What the host adds: which connections were not sent or not seen.
    pub added: Vec<Condition>,
    /// The connections that this machine cannot make.
    pub not_supported: Vec<ConfigId>,
    /// Further keys of the job's record, one element for each record.
    pub rows: Vec<Record>,
    /// How many connections the capture should have, and does not.
    pub missed: u64,
    /// Whether the measurement discards the job, so that it has no record.
    pub is_discarded: bool,
}

/// Which connection a measurement is asked for.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The target.
    pub job: &'a Job,
    /// What was prepared for it.
    pub prepared: &'a PreparedHandle,
    /// The configuration.
    pub config: ConfigId,
    /// The job's connections of this round that were answered, where others depend on them.
    pub earlier: &'a [&'a Ended],
}

/// Takes jobs through a measurement, and holds it to the [`rules`].
#[derive(Clone, Copy)]
pub struct Driver<'m> {
    object: &'m MeasurementObject,
    info: &'m Info,
    configurations: usize,
    slots: &'m Slots,
    round: u32,
    is_keeping: bool,
}

impl<'m> Driver<'m> {
    /// A driver of this object, which has this many configurations. `slots` are those of the chains that
    /// it names; where it names one, flows are to be seen.
    pub fn new(
        object: &'m MeasurementObject,
        info: &'m Info,
        configurations: usize,
        slots: &'m Slots,
    ) -> Driver<'m> {
        Driver { object, info, configurations, slots, round: 0, is_keeping: false }
    }

    /// The same for this round of jobs, from 0.
    pub fn in_round(self, round: u32) -> Driver<'m> {
        Driver { round, ..self }
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
        Ok(self.object.pre_connect(job, self.round, self.slots)?)
    }

    /// Asks which connection to make.
    ///
    /// # Errors
    ///
    /// The plugin failed, or broke a rule.
    pub fn connect(&self, asked: Asked<'_>) -> Result<Connect, Fault> {
        let Asked { job, prepared, config, earlier } = asked;
        let reading = Reading::new(self.slots);
        let earlier: Vec<LentFlow<'_>> = earlier.iter().map(|ended| ended.lent(&reading)).collect();
        let earlier: Vec<&LentFlow<'_>> = earlier.iter().collect();
        let attempt = self.object.attempt(job, prepared, (config, self.round), &reading)?;
        let attempt = if self.info.depends { attempt.after(&earlier) } else { attempt };
        let connect = self.object.connect(&attempt)?;
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
        let those = |is: fn(&Connection) -> bool| -> Vec<ConfigId> {
            let all = connections.iter().enumerate().filter(|(_, one)| is(one));
            all.map(|(config, _)| ConfigId::new(config)).collect()
        };
        let not_supported = those(Connection::is_not_supported);
        let unsent = those(Connection::is_unsent);
        let missed = connections.iter().filter(|one| one.seen.is_missed()).count() as u64;
        let (unsent, missed) =
            if self.slots.observes() { (unsent, missed) } else { (Vec::new(), 0) };
        let refused: Vec<Condition> = connections.iter().filter_map(refused).collect();
        let mut flows = Vec::with_capacity(connections.len());
        for (index, connection) in connections.into_iter().enumerate() {
            let config = ConfigId::new(index);
            let asked = Asked { job, prepared, config, earlier: &[] };
            flows.push(self.ended(asked, connection)?);
        }
        let (conclusion, rows) = self.combine(job, &flows)?;
        let wishes = conclusion.wishes();
        let conditions = self.declared(conclusion.conditions)?;
        rows.iter().try_for_each(|row| rules::check_row(row, job, self.info))?;
        let is_discarded = flows.iter().any(Ended::is_discarded);
        let mut added = added(&conditions, &unsent, missed);
        added.extend(refused);
        added.extend(not_supported.iter().map(|config| NOT_SUPPORTED.with(config.index())));
        Ok(Conclusion {
            flows,
            conditions,
            wishes,
            added,
            not_supported,
            rows,
            missed,
            is_discarded,
        })
    }

    /// Concludes from where on the path a configuration's packets were harmed.
    ///
    /// # Errors
    ///
    /// The plugin failed, or broke a rule.
    pub fn located(
        &self,
        job: &Job,
        flows: &[Ended],
        location: &Location,
    ) -> Result<Vec<Condition>, Fault> {
        let reading = Reading::new(self.slots);
        let lent: Vec<LentFlow<'_>> = flows.iter().map(|flow| flow.lent(&reading)).collect();
        let lent: Vec<&LentFlow<'_>> = lent.iter().collect();
        let lent = LentFlows::new(job, self.round, &lent, &reading);
        Ok(self.declared(self.object.located(&lent, location)?)?)
    }

    /// The conditions with the classes of their declarations.
    fn declared(&self, conditions: Vec<Condition>) -> Result<Vec<Condition>, Broken> {
        let declared = |condition: Condition| {
            let (declared, configurations) = (&self.info.conditions, self.configurations);
            let class = rules::check_condition(&condition, declared, configurations)?;
            Ok(condition.classed(class))
        };
        conditions.into_iter().map(declared).collect()
    }

    fn combine(
        &self,
        job: &Job,
        flows: &[Ended],
    ) -> Result<(crate::Conclusion, Vec<Record>), Fault> {
        let reading = Reading::new(self.slots);
        let lent: Vec<LentFlow<'_>> = flows.iter().map(|flow| flow.lent(&reading)).collect();
        let lent: Vec<&LentFlow<'_>> = lent.iter().collect();
        let conclusion = self.object.combine(&LentFlows::new(job, self.round, &lent, &reading))?;
        let rows = self.object.rows(&LentFlows::new(job, self.round, &lent, &reading))?;
        Ok((conclusion, rows))
    }

    /// One connection with what the plugin makes of it.
    ///
    /// Both halves are known here, the outcome and the flow, and the plugin has seen neither: so
    /// whether the path carried the connection is settled before `post_connect`.
    fn ended(&self, asked: Asked<'_>, connection: Connection) -> Result<Ended, Fault> {
        let kept = self.is_keeping.then(|| Kept::of(&connection));
        let Asked { job, prepared, config, .. } = asked;
        let (outcome, fields) = connection.settled()?;
        let state = outcome.state();
        let reading = Reading::new(self.slots);
        let attempt = self.object.attempt(job, prepared, (config, self.round), &reading)?;
        let result = self.object.post_connect(&attempt, outcome)?;
        rules::check_result(&result)?;
        let stamp = rules::Stamp::new(config, &result, state, fields.is_some());
        let outcome = stamp.on(result);
        let mut ended = Ended { stamp, outcome, fields, is_merged: false, kept };
        if !self.object.leaves_merge() {
            let attempt = self.object.attempt(job, prepared, (config, self.round), &reading)?;
            let result = std::mem::take(&mut ended.outcome);
            let merged = self.object.merge(&attempt, &ended.lent(&reading), result)?;
            rules::check_merged(&merged, stamp)?;
            ended.outcome = stamp.on(merged);
            ended.is_merged = !self.object.leaves_merge();
        }
        Ok(ended)
    }
}

/// A connection that has ended, with what the plugin made of it, if it was asked.
#[derive(Debug, Clone)]
pub struct Ended {
    stamp: rules::Stamp,
    /// What `merge` made of both halves; else what `post_connect` made of the outcome.
    outcome: Record,
    fields: Option<FlowRecord>,
    is_merged: bool,
    kept: Option<Kept>,
}

impl Ended {
    /// A connection as the observer answered it, for those that depend on it: no function of the
    /// plugin has seen it.
    ///
    /// # Errors
    ///
    /// A chain failed on its flow.
    pub fn answered(config: ConfigId, connection: Connection) -> Result<Ended, Error> {
        let (outcome, fields) = connection.settled()?;
        let (state, outcome) = (outcome.state(), outcome.into_record());
        let stamp = rules::Stamp::new(config, &outcome, state, fields.is_some());
        Ok(Ended { stamp, outcome: stamp.on(outcome), fields, is_merged: false, kept: None })
    }

    fn lent<'a>(&'a self, reading: &'a Reading<'a>) -> LentFlow<'a> {
        LentFlow {
            config: self.stamp.config.number(),
            state: self.stamp.state,
            is_carried: self.stamp.is_carried(),
            is_seen: self.stamp.observed,
            outcome: &self.outcome,
            values: Slice::new(self.fields.as_ref().map_or(&[], FlowRecord::values)),
            reading,
        }
    }

    /// Whether the path carried it.
    pub fn is_carried(&self) -> bool {
        self.stamp.is_carried()
    }

    /// Whether the plugin left it out.
    pub fn is_skipped(&self) -> bool {
        self.stamp.state == State::Skipped.number()
    }

    fn is_discarded(&self) -> bool {
        self.stamp.state == State::Discard.number()
    }

    /// A value as the capture has it, whatever the plugin made of it.
    pub fn seen(&self, key: &str) -> Option<&Value> {
        self.fields.as_ref()?.value(key)
    }

    /// A value of its record; the capture's word counts, where it has one.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let fields = self.fields.as_ref().filter(|_| !self.is_merged);
        let seen = fields.and_then(|fields| fields.value(key)).filter(|seen| !seen.is_null());
        seen.or_else(|| self.outcome.get(key))
    }

    /// A text of its record.
    pub fn str(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    /// Its record, as flow results have it.
    pub fn into_record(self) -> Record {
        let mut record = self.outcome;
        if !self.is_merged {
            let seen = self.fields.map(FlowRecord::into_record).unwrap_or_default();
            record.extend_with_seen(seen);
            record = self.stamp.on(record);
        }
        match self.kept {
            Some(kept) => kept.on(record),
            None => record,
        }
    }
}

const NOT_SENT: Condition = Condition::declare(
    "pathspider.not_sent:<config>",
    Class::Unknown,
    "nothing of this configuration's connection left this machine",
);
const NOT_SUPPORTED: Condition = Condition::declare(
    "pathspider.not_supported:<config>",
    Class::Unknown,
    "this machine cannot make this configuration's connection",
);
const MISSED_FLOWS: Condition = Condition::declare(
    "pathspider.missed_flows:<number>",
    Class::Unknown,
    "this many connections should be in the capture, and are not",
);
const REFUSED: Condition = Condition::declare(
    "pathspider.refused:<address>",
    Class::Unknown,
    "a connection to this address was refused for courtesy's sake",
);

/// Names the address of a connection that was refused for courtesy's sake.
fn refused(connection: &Connection) -> Option<Condition> {
    let reason = connection.outcome.failure().filter(|_| connection.is_unsent())?;
    let is_refused = [rules::BLOCKLISTED, rules::SPECIAL_ADDRESS].contains(&reason);
    let address = connection.outcome.record().str("dip").filter(|_| is_refused)?;
    Some(REFUSED.with(address))
}

/// What the host adds to a measurement's conclusions.
fn added(concluded: &[Condition], unsent: &[ConfigId], missed: u64) -> Vec<Condition> {
    let not_sent = unsent.iter().map(|config| NOT_SENT.with(config.index()));
    let mut added: Vec<Condition> = not_sent.collect();
    if missed > 0 {
        let not_observed = Condition::not_observed();
        if !concluded.contains(&not_observed) {
            added.push(not_observed);
        }
        added.push(MISSED_FLOWS.with(missed));
    }
    added
}
