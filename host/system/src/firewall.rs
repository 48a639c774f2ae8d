//! Firewall rules, all in one nftables table of our own, which is replaced and deleted whole.
//!
//! A chain without rules marks the table as this run's. Whatever replaces or deletes the table deletes
//! that chain first, in the same transaction: it fails where somebody else has made the table anew.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::SystemTime;

use pathspider_plugin_api::Error;

use super::command::{self, Failure};
use super::leash::Leash;

type Result<T, E = Error> = std::result::Result<T, E>;

/// The table, of the family `inet`. The lock lets one run at a time have it.
pub(super) const TABLE: &str = "pathspider";

const HOOKS: [&str; 5] = ["prerouting", "input", "forward", "output", "postrouting"];

/// The rules that the table has; without any, there is no table.
#[derive(Default)]
pub(super) struct Firewall {
    rules: Vec<String>,
    mark: String,
}

/// What became of a table that was to be deleted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Deleted {
    /// There is none of its name.
    Gone,
    /// There is one that another has made.
    Theirs,
}

/// A name for the chain that marks this run's table.
pub(super) fn new_mark() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("of-{}-{:x}", std::process::id(), since.as_nanos())
}

impl Firewall {
    /// One whose table has this mark.
    pub(super) fn new(mark: &str) -> Firewall {
        Firewall { rules: Vec::new(), mark: mark.to_owned() }
    }

    /// Whether these are other rules than it has.
    pub(super) fn differs(&self, rules: &[&str]) -> bool {
        self.rules != rules
    }

    /// Replaces the table by one with these rules, or by none, in one transaction. It fails where
    /// there is one of this name that is not this run's.
    pub(super) fn replace(&mut self, rules: &[&str], leash: Option<&Leash>) -> Result<(), Failure> {
        let is_there = !self.rules.is_empty();
        match self.set(is_there, rules, leash) {
            // What is there is not what was expected.
            Err(failure) if failure.is_known => match Found::now(TABLE, &self.mark)? {
                Found::Nothing if is_there => self.set(false, rules, leash),
                Found::Ours if !is_there => self.set(true, rules, leash),
                Found::Theirs if is_there => Err(Failure {
                    error: Error::new(format!(
                        "somebody else has made the table inet {TABLE} anew, so it is left alone"
                    )),
                    is_known: true,
                }),
                _ => Err(failure),
            },
            done => done,
        }
    }

    fn set(
        &mut self,
        is_there: bool,
        rules: &[&str],
        leash: Option<&Leash>,
    ) -> Result<(), Failure> {
        let mark = &self.mark;
        let mut text = if is_there { no_more(TABLE, mark) } else { String::new() };
        if !rules.is_empty() {
            let rules_only =
                script(TABLE, rules).map_err(|error| Failure { error, is_known: true })?;
            let _ = write!(
                text,
                "create table inet {TABLE}; add chain inet {TABLE} {mark}; {rules_only}"
            );
        }
        if !text.is_empty() {
            command::run(&["nft", &text], leash)?;
        }
        self.rules = rules.iter().map(|&rule| rule.to_owned()).collect();
        Ok(())
    }
}

/// What there is of a table's name.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    Ours,
    Theirs,
}

impl Found {
    fn now(table: &str, mark: &str) -> Result<Found, Failure> {
        if !exists(table)? {
            return Ok(Found::Nothing);
        }
        let chains = command::undo(&["nft", "list", "table", "inet", table])?;
        let is_mark = |line: &str| line.split_whitespace().eq(["chain", mark, "{"]);
        Ok(if chains.lines().any(is_mark) { Found::Ours } else { Found::Theirs })
    }
}

/// Whether there is a table of this name.
///
/// # Errors
///
/// That cannot be known.
pub(super) fn exists(table: &str) -> Result<bool, Failure> {
    let tables = command::undo(&["nft", "list", "tables", "inet"])?;
    Ok(tables.lines().any(|line| line.split_whitespace().eq(["table", "inet", table])))
}

/// Deletes this run's table, if it is there.
pub(super) fn delete(table: &str, mark: &str) -> Result<Deleted> {
    let Err(failure) = command::undo(&["nft", &no_more(table, mark)]) else {
        return Ok(Deleted::Gone);
    };
    match Found::now(table, mark)? {
        Found::Nothing => Ok(Deleted::Gone),
        Found::Theirs => Ok(Deleted::Theirs),
        Found::Ours => Err(failure.into()),
    }
}

/// What deletes a table that has this mark.
fn no_more(table: &str, mark: &str) -> String {
    format!("delete chain inet {table} {mark}; delete table inet {table}; ")
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
