//! The network that a process is in: its state (kernel parameters, firewall, addresses and routes), and
//! a hole in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The state of a network: what a name or a command shows.
pub(super) type NetworkState = BTreeMap<String, String>;

/// The state of this process's network.
///
/// # Errors
///
/// A command that shows some of them cannot be run, or fails.
pub(super) fn state() -> Result<NetworkState, String> {
    let mut state = BTreeMap::new();
    parameters(Path::new("/proc/sys/net"), &mut state);
    for command in [
        &["nft", "list", "ruleset"][..],
        &["ip", "link"],
        &["ip", "address"],
        &["ip", "rule"],
        &["ip", "-6", "rule"],
        &["ip", "route", "show", "table", "all"],
        &["ip", "-6", "route", "show", "table", "all"],
    ] {
        let (shown, output) = run(command)?;
        state.insert(shown, output);
    }
    Ok(state)
}

/// The name of the hole where the machine has no interface that it could be named like.
pub(super) const DEFAULT: &str = "hole";

/// Gives this process's network, which is empty, an interface of this name, and by it a route to
/// everywhere that swallows what is sent: as on a path that drops all packets.
///
/// # Errors
///
/// A command that makes it cannot be run, or fails.
pub(super) fn swallow(name: &str) -> Result<(), String> {
    // A kernel may be without the first; a container may not reach the second.
    let dummy = run(&["ip", "link", "add", name, "type", "dummy"]);
    dummy.or_else(|_| run(&["ip", "tuntap", "add", name, "mode", "tun"]))?;
    for command in [
        &["ip", "link", "set", "lo", "up"][..],
        &["ip", "link", "set", name, "up"],
        &["ip", "address", "add", "192.0.2.1/24", "dev", name],
        &["ip", "route", "add", "default", "dev", name],
    ] {
        run(command)?;
    }
    // A kernel may be without IPv6.
    let _ = run(&["ip", "-6", "address", "add", "2001:db8::1/64", "dev", name, "nodad"]);
    let _ = run(&["ip", "-6", "route", "add", "default", "dev", name]);
    Ok(())
}

/// Runs a command; gives it as it is shown, and what it wrote.
fn run(command: &[&str]) -> Result<(String, String), String> {
    let shown = format!("`{}`", command.join(" "));
    let output = Command::new(command[0]).args(&command[1..]).output();
    let output = output.map_err(|error| {
        format!("{shown} cannot be run ({error}): install nftables and iproute2")
    })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{shown} failed: {}", said.trim()));
    }
    Ok((shown, String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// The names of all kernel parameters of this process's network.
pub(super) fn names() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    each_parameter(Path::new("/proc/sys/net"), &mut |path| {
        names.insert(path.display().to_string());
    });
    names
}

/// Kernel parameters below a folder; those that count by themselves are none.
fn parameters(folder: &Path, state: &mut NetworkState) {
    each_parameter(folder, &mut |path| {
        if !path.to_string_lossy().ends_with("_count")
            && let Ok(value) = fs::read_to_string(path)
        {
            state.insert(path.display().to_string(), value);
        }
    });
}

fn each_parameter(folder: &Path, call: &mut impl FnMut(&Path)) {
    let Ok(entries) = folder.read_dir() else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.is_dir() { each_parameter(&path, call) } else { call(&path) }
    }
}
