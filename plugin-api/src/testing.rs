//! For the tests of plugins: what a measurement does to the machine, and what it concludes from
//! flows that a test has written out.
//!
//! With the feature `testing`, for `[dev-dependencies]`, also: packets for chains (`hex`,
//! `capture`, `observe`), and whole runs of a measurement that is linked in or loaded from its
//! library (`forms`, `load`, `instantiate`, `measure`, `dial`).

#[cfg(feature = "testing")]
mod run;
#[cfg(feature = "testing")]
mod wire;

use std::net::Ipv4Addr;

#[cfg(feature = "testing")]
pub use run::{Concluded, End, Form, dial, forms, instantiate, load, measure};
#[cfg(feature = "testing")]
pub use wire::{capture, hex, observe};

use crate::measurement::{ConfigId, Measurement};
use crate::system::{System, SystemChanges};
use crate::{Error, Host, Job, OptionValues, Record, Result, State, rules};

/// A connection's record as the host begins it: how it ended, and that its flow was observed.
pub fn flow(state: State) -> Record {
    Record::new().with("spdr_state", state.number()).with("observed", true)
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
/// It fails, or gives a condition that it does not declare, or of a configuration that it has not.
pub fn conclude<M: Measurement>(measurement: &M, flows: &[Record]) -> Vec<String> {
    let job = Job::new(0, Ipv4Addr::new(192, 0, 2, 1).into(), 80, Record::new());
    let conditions = match measurement.combine(&job, flows) {
        Ok(conditions) => conditions,
        Err(error) => panic!("combine: {error}"),
    };
    let declared = M::info().conditions;
    let configurations = measurement.configurations().len();
    for condition in &conditions {
        if let Err(broken) = rules::check_condition(condition, &declared, configurations) {
            panic!("{}", Error::from(broken));
        }
    }
    conditions.iter().map(ToString::to_string).collect()
}

/// What bringing the system into a configuration changes, one text for each change: a kernel
/// parameter as `key=value`, firewall rules and commands as they are.
///
/// # Panics
///
/// The measurement fails.
pub fn changes<M: Measurement>(measurement: &M, config: ConfigId) -> Vec<String> {
    let mut noted = Noted::default();
    if let Err(error) = measurement.configure(config, &mut System::new(&mut noted)) {
        panic!("configure: {error}");
    }
    noted.0
}

#[derive(Default)]
struct Noted(Vec<String>);

impl SystemChanges for Noted {
    fn sysctl(&mut self, key: &str, value: &str) -> Result<()> {
        self.0.push(format!("{key}={value}"));
        Ok(())
    }

    fn firewall(&mut self, rules: &[&str]) -> Result<()> {
        self.0.extend(rules.iter().map(|&rule| rule.to_owned()));
        Ok(())
    }

    fn run(&mut self, apply: &[&str], _: &[&str]) -> Result<()> {
        self.0.push(apply.join(" "));
        Ok(())
    }
}
