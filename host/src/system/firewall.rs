//! Firewall rules, all in one nftables table of our own, which is replaced and deleted whole.

use std::collections::BTreeSet;
use std::fmt::Write;

use pathspider_plugin_api::{Error, Result};

use super::command;

const HOOKS: [&str; 5] = ["prerouting", "input", "forward", "output", "postrouting"];

#[derive(Default)]
pub(super) struct Firewall {
    rules: Vec<String>,
}

impl Firewall {
    fn table() -> String {
        format!("pathspider-{}", std::process::id())
    }

    /// Sets the rules, in place of those before, in one transaction.
    pub(super) fn set(&mut self, rules: &[&str]) -> Result<()> {
        if self.rules == rules {
            return Ok(());
        }
        let script = script(rules)?;
        command::run(&["nft", &script])?;
        self.rules = rules.iter().map(|&rule| rule.to_owned()).collect();
        Ok(())
    }

    /// Deletes the table, if there is one.
    pub(super) fn restore(&mut self) -> Result<(), String> {
        let table = Firewall::table();
        self.set(&[])
            .map_err(|error| format!("could not delete the firewall table {table}: {error}"))
    }
}

/// What replaces the table, whether there is one or not, by one with these rules.
fn script(rules: &[&str]) -> Result<String> {
    let table = Firewall::table();
    // A table has to be there to be deleted.
    let mut script = format!("add table inet {table}; delete table inet {table}; ");
    if !rules.is_empty() {
        let _ = write!(script, "add table inet {table}; ");
    }
    let mut hooks = BTreeSet::new();
    for rule in rules {
        let (hook, words) = rule.split_once(' ').unwrap_or((rule, ""));
        if !HOOKS.contains(&hook) {
            return Err(Error::new(format!(
                "the firewall rule {rule:?} does not begin with one of {}",
                HOOKS.join(", ")
            )));
        }
        if hooks.insert(hook) {
            let _ = write!(
                script,
                "add chain inet {table} {hook} {{ type filter hook {hook} priority 0; }}; "
            );
        }
        let _ = write!(script, "add rule inet {table} {hook} {words}; ");
    }
    Ok(script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_has_one_chain() {
        let script = script(&["output tcp dport 80 drop", "output udp dport 53 drop"]).unwrap();
        assert_eq!(script.matches("add chain").count(), 1);
        assert_eq!(script.matches("add rule").count(), 2);
        assert!(super::script(&["sideways drop"]).is_err());
    }
}
