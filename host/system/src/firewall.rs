//! Firewall rules, all in one nftables table of our own, which is replaced and deleted whole.

use std::collections::BTreeSet;
use std::fmt::Write;

use pathspider_plugin_api::Error;

use super::command::{self, Failure};
use super::leash::Leash;

type Result<T, E = Error> = std::result::Result<T, E>;

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

    /// Makes the table with these rules, in one transaction, which fails where there is one.
    pub(super) fn make(&mut self, rules: &[&str], leash: Option<&Leash>) -> Result<(), Failure> {
        self.set(&format!("create table inet {TABLE}; "), rules, leash)
    }

    /// Replaces the table by one with these rules, or by none, in one transaction.
    pub(super) fn replace(&mut self, rules: &[&str], leash: Option<&Leash>) -> Result<(), Failure> {
        let mut table = no_more(TABLE);
        if !rules.is_empty() {
            let _ = write!(table, "add table inet {TABLE}; ");
        }
        self.set(&table, rules, leash)
    }

    fn set(&mut self, table: &str, rules: &[&str], leash: Option<&Leash>) -> Result<(), Failure> {
        let rules_only = script(TABLE, rules).map_err(|error| Failure { error, is_known: true })?;
        command::run(&["nft", &format!("{table}{rules_only}")], leash)?;
        self.rules = rules.iter().map(|&rule| rule.to_owned()).collect();
        Ok(())
    }
}

/// Whether there is a table of this name.
///
/// # Errors
///
/// That cannot be known.
pub(super) fn exists(table: &str) -> Result<bool> {
    let tables = command::run(&["nft", "list", "tables", "inet"], None)?;
    Ok(tables.lines().any(|line| line.split_whitespace().eq(["table", "inet", table])))
}

/// Deletes a table, if it is there.
pub(super) fn delete(table: &str) -> Result<()> {
    command::run(&["nft", &no_more(table)], None)?;
    Ok(())
}

/// What deletes a table, if it is there: it has to be there to be deleted.
fn no_more(table: &str) -> String {
    format!("add table inet {table}; delete table inet {table}; ")
}

/// What gives a table these rules.
fn script(table: &str, rules: &[&str]) -> Result<String> {
    let mut script = String::new();
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
