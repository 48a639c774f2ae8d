//! The only way in which a plugin changes the machine.

use crate::error::Result;

/// What carries out a plugin's changes: the host, or a test.
///
/// Each change notes the old state before it is made, and is undone when the run ends, however it
/// ends. All functions are called by the thread that runs `configure`.
pub trait SystemChanges {
    /// See [`System::read`].
    fn read(&self, key: &str) -> Result<Option<String>>;
    /// See [`System::sysctl`].
    fn sysctl(&mut self, key: &str, value: &str) -> Result<()>;
    /// See [`System::firewall`].
    fn firewall(&mut self, rules: &[&str]) -> Result<()>;
    /// See [`System::run`].
    fn run(&mut self, apply: &[&str], undo: &[&str]) -> Result<()>;
}

/// The machine's settings, as `configure` may change them.
///
/// A change lasts until another one replaces it or the run ends; then the machine gets back what
/// it had before the first change. Do not change the machine in any other way: the host could not
/// undo it. Prefer the settings of [`Connect`](crate::Connect), which touch one socket only.
pub struct System<'a> {
    changes: &'a mut dyn SystemChanges,
}

impl<'a> System<'a> {
    /// Lends the machine to a plugin; for hosts and for tests of plugins.
    pub fn new(changes: &'a mut dyn SystemChanges) -> System<'a> {
        System { changes }
    }

    /// The present value of a kernel parameter, as the kernel gives it but for the end of the line;
    /// `None` where this kernel has no such parameter. It changes nothing, so a measurement that does
    /// not declare [`Info::changes_system`](crate::Info::changes_system) may ask too.
    ///
    /// # Errors
    ///
    /// There is such a parameter, and it cannot be read.
    pub fn read(&self, key: &str) -> Result<Option<String>> {
        self.changes.read(key)
    }

    /// Sets a kernel parameter, such as `net.ipv4.tcp_ecn`. Nothing happens where it has the
    /// value already.
    ///
    /// # Errors
    ///
    /// There is no such parameter ([`read`](System::read) tells that apart), the kernel refuses the value, or the privilege is missing
    /// (`CAP_NET_ADMIN` for `net.*`).
    pub fn sysctl(&mut self, key: &str, value: impl ToString) -> Result<()> {
        self.changes.sysctl(key, &value.to_string())
    }

    /// Sets the rules of the host's own nftables table, in place of those that it had. Each is
    /// the chain's hook and then the rule: `output tcp dport 80 tcp flags & rst == rst drop`.
    /// Nothing happens where the table has these rules already; none deletes the table.
    ///
    /// # Errors
    ///
    /// nftables refuses a rule, or is not there; then the table is as it was.
    pub fn firewall(&mut self, rules: &[&str]) -> Result<()> {
        self.changes.firewall(rules)
    }

    /// Runs a command that changes the machine. The one that undoes it is noted before, and run
    /// once when the run ends, however often it was noted. It has 20 seconds, and is killed then.
    ///
    /// # Errors
    ///
    /// `apply` cannot be run or fails; then `undo` is not noted for this call, so a command that
    /// fails has to leave nothing changed: give each step a call of its own. Where somebody kills
    /// `apply` it is noted, for a part may have been done.
    pub fn run(&mut self, apply: &[&str], undo: &[&str]) -> Result<()> {
        self.changes.run(apply, undo)
    }
}
