//! The rule about configurations: each can be reached from each other.

use pathspider_plugin_api::{ConfigId, Result, SystemChanges};

use super::Answer;
use super::life::{Life, Trouble};
use super::lives::{each_life, tell};
use super::subject::Subject;
use pathspider_system::Undeclared;

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

/// Calls `configure` as the engine would.
pub(super) fn configure(life: &Life<'_>, config: usize) -> Result<()> {
    let config = ConfigId::new(config);
    match life.sample.info.changes_system {
        true => life.object.configure(config, &mut Noting),
        false => life.object.configure(config, &mut Undeclared),
    }
}

/// Each configuration can be reached from each other.
pub(super) fn configurations(subject: &mut Subject<'_>) -> Answer {
    let mut troubles = Vec::new();
    let answer = each_life(subject, "was configured", &mut troubles, |_, life, troubles| {
        let mut note = |what: String| {
            troubles.push(Trouble::Run(format!("{}: {what}", life.label)));
        };
        match life.object.configurations() {
            Ok(list) => {
                for (index, one) in list.iter().enumerate() {
                    if one.label().is_empty() {
                        note(format!("configuration {index} has no label"));
                    }
                    if list[..index].iter().any(|other| other.label() == one.label()) {
                        note(format!("two configurations are labelled {:?}", one.label()));
                    }
                }
            }
            Err(error) => note(error.to_string()),
        }
        let count = life.configurations;
        if count == 0 {
            note("there is no configuration".to_owned());
        }
        if let Ok(other) = life.object.configurations()
            && other.len() != count
        {
            note("it gives another number of configurations each time".to_owned());
        }
        for from in 0..count {
            for to in 0..count {
                for config in [from, to] {
                    if let Err(error) = configure(life, config) {
                        note(format!("configuration {config} is not reached: {error}"));
                    }
                }
            }
        }
    });
    answer.unwrap_or_else(|| tell(troubles))
}
