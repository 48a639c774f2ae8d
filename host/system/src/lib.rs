//! Reversible changes to the machine, on behalf of a plugin.
//!
//! Every change is noted before it is made: in memory, in a journal on the disk, and with a child
//! process, the keeper. All are undone, the last first, when the `Machine` goes away: at the end
//! of a run, on an error and on a panic alike. Where the process goes without that, the keeper
//! undoes them; where that goes too, the next start of the program does.

// Standard error may be gone, and `eprintln!` panics then: see `pathspider_runtime::say`.
#![warn(clippy::print_stderr)]

mod change;
mod child;
mod command;
mod firewall;
mod guard;
mod identity;
mod interface;
mod journal;
mod keeper;
mod leash;
mod leftover;
mod lock;
mod place;
mod sysctl;
mod undeclared;

use std::fs::File;
use std::io;
use std::path::PathBuf;

use pathspider_plugin_api::{Error, Result, SystemChanges};

use pathspider_runtime::say;
use pathspider_runtime::stop::Asked;
use pathspider_runtime::threads::SingleThread;

use change::{Changes, Entry, Restoration};
use command::Failure;
use firewall::Firewall;
pub use guard::BeginError;
use guard::Guard;
pub use leftover::{Left, Restored, left, restore};
use lock::{Holder, Lock};
pub use sysctl::WRITABLE;
use sysctl::{Intent, SysctlError, Sysctls};
pub use undeclared::Undeclared;

/// What of TCP's and IP's settings the kernel decides by, when it makes and answers connections.
const RELEVANT: [&str; 19] = [
    "net.ipv4.ip_default_ttl",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_no_pmtu_disc",
    "net.ipv4.tcp_base_mss",
    "net.ipv4.tcp_congestion_control",
    "net.ipv4.tcp_ecn",
    "net.ipv4.tcp_ecn_fallback",
    "net.ipv4.tcp_ecn_option",
    "net.ipv4.tcp_fastopen",
    "net.ipv4.tcp_fastopen_blackhole_timeout_sec",
    "net.ipv4.tcp_mtu_probing",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_sack",
    "net.ipv4.tcp_syn_retries",
    "net.ipv4.tcp_timestamps",
    "net.ipv4.tcp_tw_reuse",
    "net.ipv4.tcp_window_scaling",
    "net.ipv4.tcp_wmem",
    "net.mptcp.enabled",
];

/// The kernel parameters that matter for measurements, as they are now.
pub fn parameters() -> Vec<(String, String)> {
    let value = |key: &str| {
        let file = File::open(sysctl::path(key)).ok()?;
        Some((key.to_owned(), sysctl::words(&sysctl::read(&file).ok()?)))
    };
    RELEVANT.into_iter().filter_map(value).collect()
}

/// The present value of a kernel parameter; `None` where there is no such parameter.
///
/// # Errors
///
/// It cannot be read.
pub fn present(key: &str) -> Result<Option<String>> {
    sysctl::present(key).map_err(Error::new)
}

/// The file of a kernel parameter of this name, which need not be there.
pub fn parameter_file(key: &str) -> String {
    sysctl::path(key)
}

/// Whether the kernel lets this process set a parameter. Its file is opened, and nothing is written.
///
/// # Errors
///
/// It does not, or there is no such parameter.
pub fn may_set(key: &str) -> io::Result<()> {
    File::options().write(true).open(sysctl::path(key)).map(drop)
}

/// Whether there is a firewall table of the name that runs use.
///
/// # Errors
///
/// That cannot be known: `nft` is missing, or refuses.
pub fn has_firewall_table() -> Result<bool> {
    firewall::exists(firewall::TABLE).map_err(Error::from)
}

/// The folder that a run would keep its journal in; `None` where it would keep none, because the
/// program has more privileges than its user.
///
/// # Errors
///
/// There is no folder that it may write to.
pub fn journal_folder() -> Result<Option<PathBuf>> {
    place::usable()
}

/// The machine that a run configures.
#[derive(Default)]
pub struct Machine {
    plugin: String,
    sysctls: Sysctls,
    firewall: Firewall,
    changes: Changes,
    guard: Option<Guard>,
    denied: bool,
    /// What could not be undone.
    failed: Vec<String>,
    /// Whether it ends with this process, so that nobody has to restore it after a kill.
    is_apart: bool,
}

impl Machine {
    /// A machine on which nothing was changed yet. The first change takes the lock, and fails
    /// where somebody has it.
    pub fn new() -> Machine {
        Machine::default()
    }

    /// A network of this process's own, which ends with it: there is neither lock, journal nor keeper.
    /// Of what is not of the network, nothing may be changed through it.
    pub fn apart() -> Machine {
        let mut machine = Machine::default();
        machine.is_apart = true;
        machine
    }

    /// A machine that only this run changes. Waits while another run changes it, and undoes what earlier
    /// runs left behind.
    ///
    /// It forks (see `keeper`), so there must be no thread yet.
    ///
    /// # Errors
    ///
    /// See [`BeginError`].
    pub fn begin(
        plugin: &str,
        single: &SingleThread,
        is_asked: Asked<'_>,
    ) -> std::result::Result<Machine, BeginError> {
        let lock = guard::wait_for_lock(is_asked)?;
        let guard = Guard::new(plugin, lock, Some(single)).map_err(BeginError::Journal)?;
        let mut machine = Machine::new();
        plugin.clone_into(&mut machine.plugin);
        machine.guard = Some(guard);
        Ok(machine)
    }

    /// Whether a change failed for want of a privilege.
    pub fn was_denied(&self) -> bool {
        self.denied
    }

    /// The kernel parameters that were touched: the value before, and those that they were given.
    pub fn touched(&self) -> Vec<(String, String, Vec<String>)> {
        self.changes.sysctls()
    }

    /// Undoes all changes; says what is somebody else's by now, and stays.
    pub fn restore(&mut self) {
        let guard = &mut self.guard;
        let Restoration { left, failed, .. } = self.changes.undo(|entry| {
            let _ = guard.as_mut().map(|guard| guard.note(&entry));
        });
        self.sysctls = Sysctls::default();
        self.firewall = Firewall::default();
        for sentence in left {
            say!("{sentence}");
        }
        if let Some(guard) = self.guard.take() {
            guard.end(failed.is_empty());
        }
        self.failed.extend(failed);
    }

    /// What could not be undone, a sentence each. It stays in the journal.
    pub fn take_failed(&mut self) -> Vec<String> {
        std::mem::take(&mut self.failed)
    }

    /// What came of a change that was noted. `nothing` notes that none was made, where that is so:
    /// what may have been done in part stays to be undone.
    fn outcome(
        &mut self,
        made: std::result::Result<(), Failure>,
        nothing: impl Into<Option<Entry>>,
    ) -> Result<()> {
        let Err(Failure { error, is_known }) = made else { return Ok(()) };
        self.denied |= was_denied(&error);
        if let Some(nothing) = nothing.into().filter(|_| is_known) {
            self.note(nothing)?;
        }
        Err(error)
    }

    fn note(&mut self, entry: Entry) -> Result<()> {
        if self.is_apart {
            self.changes.note(entry);
            return Ok(());
        }
        let guard = match &mut self.guard {
            Some(guard) => guard,
            none => none.insert(at_once(&self.plugin)?),
        };
        guard.note(&entry)?;
        self.changes.note(entry);
        Ok(())
    }
}

/// The guard of a machine that nobody announced to change: without the keeper, for there are
/// threads by now.
fn at_once(plugin: &str) -> Result<Guard> {
    match Lock::take() {
        Ok(Some(lock)) => Guard::new(plugin, lock, None),
        Ok(None) => {
            let holder = Holder::find();
            Err(Error::new(format!("{holder} configures this network namespace already")))
        }
        Err(error) => Err(Error::new(format!("cannot lock this network namespace: {error}"))),
    }
}

impl SystemChanges for Machine {
    fn read(&self, key: &str) -> Result<Option<String>> {
        self.sysctls.present(key).map_err(Error::new)
    }

    fn sysctl(&mut self, key: &str, value: &str) -> Result<()> {
        let mut sysctls = std::mem::take(&mut self.sysctls);
        let result = sysctls.set(key, value, |intent| {
            let entry = match intent {
                Intent::Touch { key, before, interface } => Entry::Sysctl {
                    key: key.into(),
                    before: before.into(),
                    interface: interface.cloned(),
                },
                Intent::Theirs { key, value } => {
                    say!(
                        "somebody else has set {key} to {0} meanwhile: this run needs it \
                         otherwise, and sets it to {0} at the end",
                        sysctl::shown(value)
                    );
                    Entry::Theirs { key: key.into(), value: value.into() }
                }
                Intent::Value { key, value } => {
                    Entry::Value { key: key.into(), value: value.into() }
                }
            };
            self.note(entry).map_err(|error| SysctlError::Journal(error.to_string()))
        });
        self.sysctls = sysctls;
        result.map_err(|error| {
            self.denied |= error.is_denied();
            Error::new(error)
        })
    }

    fn firewall(&mut self, rules: &[&str]) -> Result<()> {
        if !self.firewall.differs(rules) {
            return Ok(());
        }
        let table = firewall::TABLE;
        if !self.changes.has_firewall() {
            // What earlier runs of ours left is gone by now.
            let found = firewall::exists(table).map_err(Error::from);
            if found.inspect_err(|error| self.denied |= was_denied(error))? {
                return Err(Error::new(format!(
                    "there is a table inet {table} already that is not of this run, so it is left \
                     alone; where a killed run left it, delete it: nft delete table inet {table}"
                )));
            }
            let mark = firewall::new_mark();
            self.firewall = Firewall::new(&mark);
            self.note(Entry::Firewall { table: table.to_owned(), mark })?;
            let made = self.firewall.replace(rules, self.guard.as_ref().map(Guard::leash));
            return self.outcome(made, Entry::NoFirewall { table: table.to_owned() });
        }
        let replaced = self.firewall.replace(rules, self.guard.as_ref().map(Guard::leash));
        self.outcome(replaced, None)
    }

    fn run(&mut self, apply: &[&str], undo: &[&str]) -> Result<()> {
        let undo: Vec<String> = undo.iter().map(|&word| word.to_owned()).collect();
        let is_new = !self.changes.has_command(&undo);
        if is_new {
            self.note(Entry::Command { undo: undo.clone() })?;
        }
        let applied = command::run(apply, self.guard.as_ref().map(Guard::leash));
        self.outcome(applied.map(drop), is_new.then_some(Entry::Over { undo }))
    }
}

/// Whether a command failed for want of a privilege, by its own words.
fn was_denied(error: &Error) -> bool {
    error.message().contains("Operation not permitted")
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.restore();
        for sentence in self.take_failed() {
            say!("{sentence}");
        }
    }
}

#[cfg(test)]
mod namespace_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_undone_in_reverse() {
        let file = std::env::temp_dir().join(format!("pathspider-undo-{}", std::process::id()));
        let path = file.to_str().unwrap();
        let script = |text: &str| format!("printf {text} >> {path}");
        let mut machine = Machine::apart();
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
