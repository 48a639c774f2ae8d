//! For the tests of plugins: what a measurement does to the machine, and what it concludes from
//! flows that a test has written out.
//!
//! With the feature `testing`, for `[dev-dependencies]`, also: packets for chains (`hex`,
//! `capture`, `observe`), and whole runs of a measurement that is linked in or loaded from its
//! library (`forms`, `load`, `instantiate`, `measure`, `dial`), and conversations (`converse`, with a `Server` or
//! another `Peer`, `syn` for what is sent, and `packet` to look into packets).

#[cfg(feature = "testing")]
mod run;
#[cfg(feature = "testing")]
mod server;
#[cfg(feature = "testing")]
mod talk;
#[cfg(feature = "testing")]
mod wire;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

#[cfg(feature = "testing")]
pub use run::{Concluded, End, Form, dial, forms, instantiate, load, measure};
#[cfg(feature = "testing")]
pub use server::Server;
#[cfg(feature = "testing")]
pub use talk::{Peer, Talked, converse};
#[cfg(feature = "testing")]
pub use wire::{capture, hex, observe, packet, syn};

use crate::abi::lent::{LentAttempt, LentFlow, LentFlows, Reading, Slice};
use crate::abi::object::Object;
use crate::abi::slots::{Slot, Slots};
use crate::attempt::Attempt;
use crate::configuration::ConfigId;
use crate::field::{ChainFields, Field, FieldValue};
use crate::flows::Flows;
use crate::measurement::Measurement;
use crate::system::{System, SystemChanges};
use crate::{
    ChainInfo, ChainName, Condition, Connect, Error, Host, Job, Location, OptionValues, Record,
    Result, State, Value, carriage, chains, rules,
};

/// A connection that has ended, as a test writes it out.
#[derive(Debug, Clone)]
pub struct TestFlow {
    state: State,
    is_seen: bool,
    outcome: Record,
    /// Chains, places in them, and what they found.
    fields: Vec<(&'static ChainFields, usize, Value)>,
}

/// A connection that ended so and was seen. Its fields are null until they are said.
pub fn flow(state: State) -> TestFlow {
    TestFlow { state, is_seen: true, outcome: Record::new(), fields: Vec::new() }
}

/// A connection that ended in this state, and has no flow in the capture.
pub fn missed(state: State) -> TestFlow {
    TestFlow { is_seen: false, ..flow(state) }
}

impl TestFlow {
    /// Says what a chain found.
    pub fn with<T: FieldValue>(mut self, field: Field<T>, value: impl Into<Option<T>>) -> TestFlow {
        let value = value.into().map_or(Value::NULL, T::into_value);
        self.fields.push((field.chain(), field.place(), value));
        self
    }

    /// Says that the connection ended otherwise.
    pub fn state(self, state: State) -> TestFlow {
        TestFlow { state, ..self }
    }

    /// Adds a key of the outcome.
    pub fn outcome(mut self, key: &'static str, value: impl Into<Value>) -> TestFlow {
        self.outcome.set(key, value);
        self
    }

    /// The values for the slots of a run.
    fn values(&self, slots: &Slots) -> Vec<Value> {
        let mut values = vec![Value::NULL; if self.is_seen { slots.len() } else { 0 }];
        for (chain, place, value) in &self.fields {
            match slots.slot(chain, *place) {
                Slot::At(slot) if self.is_seen => values[slot] = value.clone(),
                Slot::Unasked => panic!("the chain {} was not asked for", chain.name),
                _ => {}
            }
        }
        values
    }

    fn lent<'a>(
        &'a self,
        config: u32,
        values: &'a [Value],
        reading: &'a Reading<'a>,
    ) -> LentFlow<'a> {
        let is_ok = self.state == State::Ok;
        LentFlow {
            config,
            state: self.state.number(),
            is_carried: self.outcome.bool(carriage::CARRIED).unwrap_or(is_ok),
            is_seen: self.is_seen,
            outcome: &self.outcome,
            values: Slice::new(values),
            reading,
        }
    }
}

/// Which connection the measurement asks for, after it has prepared the job, and before any other
/// connection was made.
///
/// # Errors
///
/// The measurement's, or what the host would refuse.
pub fn connect<M: Measurement>(
    measurement: &M,
    job: &Job,
    config: impl Into<ConfigId>,
) -> Result<Connect> {
    connect_after(measurement, job, config, &[])
}

/// The same after earlier connections, in the order of the configurations, for a measurement that
/// [depends](crate::Info::depends) on them.
///
/// # Errors
///
/// See [`connect`].
pub fn connect_after<M: Measurement>(
    measurement: &M,
    job: &Job,
    config: impl Into<ConfigId>,
    earlier: &[TestFlow],
) -> Result<Connect> {
    let (nothing, slots) = (Object::NONE, asked(&measurement.chains(), earlier));
    let reading = Reading::new(&slots);
    let values: Vec<Vec<Value>> = earlier.iter().map(|flow| flow.values(&slots)).collect();
    let earlier: Vec<LentFlow<'_>> = (0..)
        .zip(earlier.iter().zip(&values))
        .map(|(config, (flow, values))| flow.lent(config, values, &reading))
        .collect();
    let earlier: Vec<&LentFlow<'_>> = earlier.iter().collect();
    let lent = LentAttempt::new(job, &nothing, (0, 0), &reading);
    let prepared = Object::new(measurement.pre_connect(&Attempt::new(&lent))?);
    let lent = LentAttempt::new(job, &prepared, (config.into().number(), 0), &reading);
    let lent = if M::info().depends { lent.after(&earlier) } else { lent };
    let connect = measurement.connect(&Attempt::new(&lent));
    lent.check("connect")?;
    let connect = connect?;
    rules::check_settings(&connect)?;
    Ok(connect)
}

/// The slots of the chains with these names: the host's own, and those with a field in one of the flows.
fn asked(names: &[ChainName], flows: &[TestFlow]) -> Slots {
    let said =
        flows.iter().flat_map(|flow| &flow.fields).map(|(chain, ..)| ChainInfo::from(**chain));
    let said: Vec<ChainInfo> = said.collect();
    Slots::asked(names, &[&Slots::new(&said), &library()])
}

/// The slots of all chains of the host's own.
fn library() -> Slots {
    Slots::new(&chains::ALL.map(ChainInfo::from))
}

/// Lends the connections of one job, in the order of the configurations. Chains are asked for that
/// have a field in one of them.
pub fn with_flows<T>(flows: &[TestFlow], look: impl FnOnce(&Flows<'_>) -> T) -> T {
    let names = flows.iter().flat_map(|flow| &flow.fields).map(|(chain, ..)| **chain);
    let names = ChainName::list(names);
    lend(&asked(&names, flows), &some_job(), flows, look).0
}

/// A job where its target does not matter.
fn some_job() -> Job {
    Job::new(0, Ipv4Addr::new(192, 0, 2, 1).into(), 80, Record::new())
}

/// Lends the connections of one job, and gives what was read of chains that were not asked for.
fn lend<T>(
    slots: &Slots,
    job: &Job,
    flows: &[TestFlow],
    look: impl FnOnce(&Flows<'_>) -> T,
) -> (T, Result<()>) {
    let reading = Reading::new(slots);
    let values: Vec<Vec<Value>> = flows.iter().map(|flow| flow.values(slots)).collect();
    let lent = (0..).zip(flows.iter().zip(&values));
    let lent: Vec<_> = lent.map(|(n, (flow, values))| flow.lent(n, values, &reading)).collect();
    let lent: Vec<&LentFlow<'_>> = lent.iter().collect();
    let lent = LentFlows::new(job, 0, &lent, &reading);
    (look(&Flows::new(&lent)), reading.check("combine"))
}

/// A measurement with its options' defaults, but for those given.
///
/// # Panics
///
/// It refuses them.
pub fn with_options<M: Measurement>(given: Record) -> M {
    let mut values = M::options().defaults().into_record();
    values.extend(given);
    match M::new(&OptionValues::new(values), Host::standalone()) {
        Ok(measurement) => measurement,
        Err(error) => panic!("new: {error}"),
    }
}

/// What the measurement concludes, in its order.
///
/// # Panics
///
/// It fails, reads a chain that it does not ask for, or gives a condition that it does not declare or
/// that is of a configuration that it has not.
pub fn conclude<M: Measurement>(measurement: &M, flows: &[TestFlow]) -> Vec<String> {
    conclude_of(measurement, &some_job(), flows)
}

/// The same of a job of the test's.
///
/// # Panics
///
/// As [`conclude`].
pub fn conclude_of<M: Measurement>(measurement: &M, job: &Job, flows: &[TestFlow]) -> Vec<String> {
    let slots = asked(&measurement.chains(), flows);
    let (conclusion, read) = lend(&slots, job, flows, |flows| measurement.combine(flows));
    let conclusion = match read.and(conclusion) {
        Ok(conclusion) => conclusion,
        Err(error) => panic!("combine: {error}"),
    };
    declared(measurement, conclusion.conditions())
}

/// What the measurement concludes from where on the path packets were harmed, in its order.
///
/// # Panics
///
/// As [`conclude`].
pub fn located<M: Measurement>(
    measurement: &M,
    flows: &[TestFlow],
    location: &Location,
) -> Vec<String> {
    let slots = asked(&measurement.chains(), flows);
    let look = |flows: &Flows<'_>| measurement.located(flows, location);
    let (conditions, read) = lend(&slots, &some_job(), flows, look);
    match read.and(conditions) {
        Ok(conditions) => declared(measurement, &conditions),
        Err(error) => panic!("located: {error}"),
    }
}

/// The texts of conditions. The measurement has to declare each of them.
fn declared<M: Measurement>(measurement: &M, conditions: &[Condition]) -> Vec<String> {
    let declared = M::info().conditions;
    let configurations = measurement.configurations().len();
    for condition in conditions {
        if let Err(broken) = rules::check_condition(condition, &declared, configurations) {
            panic!("{}", Error::from(broken));
        }
    }
    conditions.iter().map(ToString::to_string).collect()
}

/// What bringing the system into a configuration changes, one text for each change: a kernel
/// parameter as `key=value`, firewall rules and commands as they are. The system has no parameter that
/// can be read; see [`changes_from`].
///
/// # Panics
///
/// The measurement fails.
pub fn changes<M: Measurement>(measurement: &M, config: impl Into<ConfigId>) -> Vec<String> {
    changes_from(measurement, config, &[])
}

/// The same on a system whose kernel has these parameters with these values, as far as the
/// measurement reads them.
///
/// # Panics
///
/// The measurement fails.
pub fn changes_from<M: Measurement>(
    measurement: &M,
    config: impl Into<ConfigId>,
    parameters: &[(&str, &str)],
) -> Vec<String> {
    let known = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    let parameters = parameters.iter().map(known).collect();
    let mut noted = Noted { changes: Vec::new(), parameters };
    if let Err(error) = measurement.configure(config.into(), &mut System::new(&mut noted)) {
        panic!("configure: {error}");
    }
    noted.changes
}

/// A system on which nothing happens.
struct Noted {
    changes: Vec<String>,
    parameters: BTreeMap<String, String>,
}

impl SystemChanges for Noted {
    fn read(&self, key: &str) -> Result<Option<String>> {
        Ok(self.parameters.get(key).cloned())
    }

    fn sysctl(&mut self, key: &str, value: &str) -> Result<()> {
        self.changes.push(format!("{key}={value}"));
        self.parameters.insert(key.to_owned(), value.to_owned());
        Ok(())
    }

    fn firewall(&mut self, rules: &[&str]) -> Result<()> {
        self.changes.extend(rules.iter().map(|&rule| rule.to_owned()));
        Ok(())
    }

    fn run(&mut self, apply: &[&str], _: &[&str]) -> Result<()> {
        self.changes.push(apply.join(" "));
        Ok(())
    }
}
