//! Gives up privileges as soon as they are not needed any more, and lends one to commands.
//!
//! Linux has capabilities for each thread: a thread that is started has those of the one that
//! started it.

mod environment;
mod own;

use std::io;

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, configure_capability_in_ambient_set,
    set_capabilities, set_no_new_privs,
};

pub use environment::keep_known_variables;
pub use own::{Privileges, has_privileges_of_its_own};

/// What changes the network's settings.
const NETWORK: CapabilitySet = CapabilitySet::NET_ADMIN;

/// What lets root write to folders that are others', where results are kept, and connect from the
/// ports below 1024 (`Connect::source_port`).
const KEPT: CapabilitySet = CapabilitySet::DAC_OVERRIDE
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::NET_BIND_SERVICE);

/// Sees to it that no program that is started has more privileges than this one: none that is
/// set-user-ID, for instance.
pub fn no_more() {
    // A kernel without it (before 3.5) has no capabilities that we use either.
    let _ = set_no_new_privs(true);
}

/// What somebody can do who lacks a privilege, for messages.
pub fn advice() -> String {
    format!(
        "run it as root; or let the members of a group run it, by this command as root: {}",
        grant()
    )
}

/// The command that lets the members of a group do what takes privileges.
pub fn grant() -> String {
    let program =
        std::env::current_exe().map_or("pathspider".into(), |path| path.display().to_string());
    format!(
        "chgrp GROUP {program} && chmod 750 {program} && setcap cap_net_raw,cap_net_admin+ep {program}"
    )
}

/// Whether this thread may change the network's settings.
pub fn may_change_network() -> bool {
    // Where the kernel does not tell, the change itself will.
    capabilities(None).map_or(true, |sets| sets.effective.contains(NETWORK))
}

/// Gives up what a run needs no more once it captures: for good, for this thread and those that it
/// starts. `network`: it is to change the network's settings; then root keeps all, for commands
/// that a plugin runs may need any.
pub fn reduce(network: bool) {
    if network && rustix::process::geteuid().is_root() {
        return;
    }
    keep(if network { NETWORK | KEPT } else { KEPT });
}

/// Gives up what restoring the network's settings does not need. Root keeps all: the commands that
/// undo a plugin's changes may need any.
pub fn reduce_to_restoring() {
    if !rustix::process::geteuid().is_root() {
        keep(NETWORK);
    }
}

/// Gives up the network's settings too: for threads that have nothing to do with them.
pub fn give_up() {
    keep(KEPT);
}

fn keep(kept: CapabilitySet) {
    // Fewer are always allowed.
    let _ = shed_all_but(kept);
}

/// Gives up all capabilities but these, for good, for this thread and those that it starts.
///
/// # Errors
///
/// They could not be given up.
pub fn shed_all_but(kept: CapabilitySet) -> io::Result<()> {
    let CapabilitySets { effective, permitted, .. } = capabilities(None)?;
    let sets = CapabilitySets {
        effective: effective & kept,
        permitted: permitted & kept,
        // What is not inheritable cannot be ambient either.
        inheritable: CapabilitySet::empty(),
    };
    Ok(set_capabilities(None, sets)?)
}

/// Does something, with the right to change the network's settings passed on to programs that are
/// started meanwhile: a program of an ordinary user's gets none of our capabilities otherwise.
pub fn with_network_lent<T>(action: impl FnOnce() -> T) -> T {
    let lent = lend(true);
    let done = action();
    if lent.is_ok() {
        let _ = lend(false);
    }
    done
}

fn lend(lent: bool) -> io::Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let mut sets = capabilities(None)?;
    sets.inheritable.set(NETWORK, lent);
    if lent {
        // Only what is inheritable can be ambient.
        set_capabilities(None, sets)?;
        configure_capability_in_ambient_set(NETWORK, true)?;
    } else {
        configure_capability_in_ambient_set(NETWORK, false)?;
        set_capabilities(None, sets)?;
    }
    Ok(())
}
