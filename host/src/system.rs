//! Reversible changes to the machine, on behalf of a plugin.
//!
//! Every change notes how to undo it before it is made. All are undone, the last first, when the
//! `Machine` goes away: at the end of a run, on an error and on a panic alike.

mod command;
mod firewall;
mod sysctl;
mod undeclared;

use pathspider_plugin_api::{Result, SystemChanges};

use crate::say::say;

use firewall::Firewall;
use sysctl::Sysctls;
pub use undeclared::Undeclared;

/// The machine that a run configures.
#[derive(Default)]
pub struct Machine {
    sysctls: Sysctls,
    firewall: Firewall,
    undo_commands: Vec<Vec<String>>,
    denied: bool,
}

impl Machine {
    /// A machine on which nothing was changed yet.
    pub fn new() -> Machine {
        Machine::default()
    }

    /// Whether a change failed for want of a privilege.
    pub fn was_denied(&self) -> bool {
        self.denied
    }

    /// Undoes all changes, and returns what could not be undone, a sentence each.
    pub fn restore(&mut self) -> Vec<String> {
        let mut complaints = Vec::new();
        while let Some(words) = self.undo_commands.pop() {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            if let Err(error) = command::run(&words) {
                complaints.push(format!("could not undo a change: {error}"));
            }
        }
        complaints.extend(self.firewall.restore().err());
        complaints.extend(self.sysctls.restore());
        complaints
    }
}

impl SystemChanges for Machine {
    fn sysctl(&mut self, key: &str, value: &str) -> Result<()> {
        self.sysctls.set(key, value).map_err(|error| {
            self.denied |= error.is_denied();
            pathspider_plugin_api::Error::new(error)
        })
    }

    fn firewall(&mut self, rules: &[&str]) -> Result<()> {
        self.firewall.set(rules).inspect_err(|error| self.denied |= was_denied(error))
    }

    fn run(&mut self, apply: &[&str], undo: &[&str]) -> Result<()> {
        let undo: Vec<String> = undo.iter().map(|&word| word.to_owned()).collect();
        let is_new = !self.undo_commands.contains(&undo);
        if is_new {
            self.undo_commands.push(undo);
        }
        // What was killed may have done a part of its work, so its undoing stays noted.
        command::run(apply).inspect_err(|error| {
            if is_new && !error.message().contains("signal") {
                self.undo_commands.pop();
            }
            self.denied |= was_denied(error);
        })
    }
}

/// Whether a command failed for want of a privilege, by its own words.
fn was_denied(error: &pathspider_plugin_api::Error) -> bool {
    error.message().contains("Operation not permitted")
}

impl Drop for Machine {
    fn drop(&mut self) {
        for complaint in self.restore() {
            say!("{complaint}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_undone_in_reverse() {
        let file = std::env::temp_dir().join(format!("pathspider-undo-{}", std::process::id()));
        let path = file.to_str().unwrap();
        let script = |text: &str| format!("printf {text} >> {path}");
        let mut machine = Machine::new();
        for name in ["a", "b"] {
            let undo = script(&name.to_uppercase());
            machine.run(&["sh", "-c", &script(name)], &["sh", "-c", &undo]).unwrap();
        }
        // Noted once, however often it is applied.
        machine.run(&["true"], &["sh", "-c", &script("B")]).unwrap();
        assert!(machine.run(&["false"], &["sh", "-c", &script("never")]).is_err());
        drop(machine);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "abBA");
        std::fs::remove_file(file).unwrap();
    }
}
