//! The rule about configurations: each can be reached from each other.
//!
//! What `configure` gives is done for real, in the network apart: a parameter, rule or command that a
//! run would be refused is refused here by the same code. Outside of that network nothing is changed.

use std::collections::BTreeSet;
use std::path::Path;

use pathspider_plugin_api::{ConfigId, Result, SystemChanges};

use super::life::{Life, Trouble};
use super::lives::{each_life, tell};
use super::network::{self, DEFAULT};
use super::subject::Subject;
use super::{Answer, NO_NETWORK};
use pathspider_system::{Machine, Undeclared, parameter_file};

/// Notes what a plugin would change, and changes nothing.
struct Noting;

impl SystemChanges for Noting {
    fn read(&self, key: &str) -> Result<Option<String>> {
        pathspider_system::present(key)
    }

    fn sysctl(&mut self, _key: &str, _value: &str) -> Result<()> {
        Ok(())
    }

    fn firewall(&mut self, _rules: &[&str]) -> Result<()> {
        Ok(())
    }

    fn run(&mut self, _apply: &[&str], _undo: &[&str]) -> Result<()> {
        Ok(())
    }
}

/// Changes the network apart.
struct Apart<'a> {
    machine: Machine,
    /// The parameters of the machine's own network.
    parameters: &'a BTreeSet<String>,
}

impl SystemChanges for Apart<'_> {
    fn read(&self, key: &str) -> Result<Option<String>> {
        self.machine.read(key)
    }

    fn sysctl(&mut self, key: &str, value: &str) -> Result<()> {
        let file = parameter_file(key);
        // The machine's own, and those that its network alone has, stay as they are.
        let is_of_machine = !key.starts_with("net.") && Path::new(&file).exists();
        let is_not_here = self.parameters.contains(&file) && !Path::new(&file).exists();
        if is_of_machine || is_not_here { Ok(()) } else { self.machine.sysctl(key, value) }
    }

    fn firewall(&mut self, rules: &[&str]) -> Result<()> {
        self.machine.firewall(rules)
    }

    fn run(&mut self, apply: &[&str], undo: &[&str]) -> Result<()> {
        self.machine.run(apply, undo)
    }
}

/// Calls `configure` as the engine would, and changes nothing.
pub(super) fn configure_noting(life: &Life<'_>, config: usize) -> Result<()> {
    configure(life, config, &mut Noting)
}

fn configure(life: &Life<'_>, config: usize, changes: &mut dyn SystemChanges) -> Result<()> {
    let config = ConfigId::new(config);
    if life.info.changes_system {
        life.object.configure(config, changes)
    } else {
        life.object.configure(config, &mut Undeclared)
    }
}

/// Each configuration can be reached from each other.
pub(super) fn configurations(subject: &mut Subject<'_>) -> Answer {
    let changes = subject.samples().iter().any(|sample| sample.info.changes_system);
    if changes && !subject.isolated {
        return Answer::Unable(NO_NETWORK.to_owned());
    }
    if changes {
        // As on a machine that is connected. What cannot be made here may not be needed.
        let _ = network::swallow(subject.interface.as_deref().unwrap_or(DEFAULT));
    }
    let mut troubles = Vec::new();
    let answer = each_life(subject, "was configured", &mut troubles, |subject, life, troubles| {
        for what in wrong(life).into_iter().chain(unreached(subject, life)) {
            troubles.push(Trouble::Run(format!("{}: {what}", life.label)));
        }
    });
    answer.unwrap_or_else(|| tell(troubles))
}

/// What is wrong with the list when it is asked for again.
fn wrong(life: &Life<'_>) -> Option<String> {
    match life.object.configurations() {
        Ok(list) if list.len() == life.configurations => None,
        Ok(_) => Some("it gives another number of configurations each time".to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

/// The configurations that are not reached: once round for real, then each from each other.
fn unreached(subject: &Subject<'_>, life: &Life<'_>) -> Vec<String> {
    let count = life.configurations;
    let mut machine = Apart { machine: Machine::apart(), parameters: &subject.parameters };
    for config in (0..count).chain([0]).filter(|_| count > 0) {
        if let Err(error) = configure(life, config, &mut machine) {
            return vec![format!("configuration {config} is not reached: {error}")];
        }
    }
    machine.machine.restore();
    let mut unreached: Vec<String> = machine.machine.take_failed();
    for (from, to) in (0..count).flat_map(|from| (0..count).map(move |to| (from, to))) {
        for config in [from, to] {
            if let Err(error) = configure_noting(life, config) {
                unreached.push(format!("configuration {config} is not reached: {error}"));
            }
        }
    }
    unreached
}
