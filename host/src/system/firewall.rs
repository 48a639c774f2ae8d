//! Firewall rules, all in one nftables table of our own, which is replaced and deleted whole.

use std::collections::BTreeSet;
use std::fmt::Write;

use pathspider_plugin_api::{Error, Result};

use super::command;

/// The table, of the family `inet`. The lock lets one run at a time have it.
pub(super) const TABLE: &str = "pathspider";

const HOOKS: [&str; 5] = ["prerouting", "input", "forward", "output", "postrouting"];

/// The rules that the table has.
#[derive(Default)]
pub(super) struct Firewall {
    rules: Vec<String>,
}

impl Firewall {
    /// Whether these are other rules than it has.
    pub(super) fn differs(&self, rules: &[&str]) -> bool {
        self.rules != rules
    }

    /// Sets the rules, in place of those before, in one transaction.
    pub(super) fn set(&mut self, rules: &[&str]) -> Result<()> {
        command::run(&["nft", &script(TABLE, rules)?])?;
        self.rules = rules.iter().map(|&rule| rule.to_owned()).collect();
        Ok(())
    }
}

/// Whether there is a table of this name. Where we may not know, we may not make one either.
pub(super) fn exists(table: &str) -> bool {
    command::run(&["nft", "list", "table", "inet", table]).is_ok()
}

/// Deletes a table, if it is there.
pub(super) fn delete(table: &str) -> Result<()> {
    command::run(&["nft", &script(table, &[])?])
}

/// What replaces the table, whether there is one or not, by one with these rules.
fn script(table: &str, rules: &[&str]) -> Result<String> {
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
        let rules = ["output tcp dport 80 drop", "output udp dport 53 drop"];
        let text = script(TABLE, &rules).unwrap();
        assert_eq!(text.matches("add chain").count(), 1);
        assert_eq!(text.matches("add rule").count(), 2);
        assert!(script(TABLE, &["sideways drop"]).is_err());
    }
}
