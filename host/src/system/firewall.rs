//! Firewall rules, all in one nftables table of our own, which is deleted whole.

use std::collections::BTreeSet;

use pathspider_plugin_api::{Error, Result};

use super::command;

const HOOKS: [&str; 5] = ["prerouting", "input", "forward", "output", "postrouting"];

#[derive(Default)]
pub(super) struct Firewall {
    hooks: BTreeSet<&'static str>,
}

impl Firewall {
    fn table() -> String {
        format!("pathspider-{}", std::process::id())
    }

    /// Adds a rule: its hook, then nftables' own words.
    pub(super) fn add(&mut self, rule: &str) -> Result<()> {
        let (hook, words) = rule.split_once(' ').unwrap_or((rule, ""));
        let Some(hook) = HOOKS.into_iter().find(|h| *h == hook) else {
            return Err(Error::new(format!(
                "the firewall rule {rule:?} does not begin with one of {}",
                HOOKS.join(", ")
            )));
        };
        let table = Firewall::table();
        let mut script = String::new();
        if self.hooks.insert(hook) {
            script = format!(
                "add table inet {table}; \
                 add chain inet {table} {hook} {{ type filter hook {hook} priority 0; }}; "
            );
        }
        script += &format!("add rule inet {table} {hook} {words}");
        command::run(&["nft", &script])
    }

    /// Deletes the table, if there is one.
    pub(super) fn restore(&mut self) -> Result<(), String> {
        if std::mem::take(&mut self.hooks).is_empty() {
            return Ok(());
        }
        let table = Firewall::table();
        command::run(&["nft", &format!("delete table inet {table}")])
            .map_err(|error| format!("could not delete the firewall table {table}: {error}"))
    }
}
