//! The machine as a plugin gets it that did not declare to change it.

use pathspider_plugin_api::{Error, Result, SystemChanges};

/// Refuses every change: the run holds neither the lock nor the privilege for it.
pub struct Undeclared;

fn refuse(change: &str) -> Result<()> {
    Err(Error::contract(format!(
        "configure: it wants to {change}, and does not declare Info::changes_system"
    )))
}

impl SystemChanges for Undeclared {
    fn read(&self, key: &str) -> Result<Option<String>> {
        super::present(key)
    }

    fn sysctl(&mut self, key: &str, _value: &str) -> Result<()> {
        refuse(&format!("set {key}"))
    }

    fn firewall(&mut self, _rules: &[&str]) -> Result<()> {
        refuse("set firewall rules")
    }

    fn run(&mut self, apply: &[&str], _undo: &[&str]) -> Result<()> {
        refuse(&format!("run {}", apply.join(" ")))
    }
}
