//! The state of the network that a process is in: kernel parameters, firewall, addresses and routes.

use std::collections::BTreeMap;
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
        let shown = format!("`{}`", command.join(" "));
        let output = Command::new(command[0]).args(&command[1..]).output();
        let output = output.map_err(|error| {
            format!("{shown} cannot be run ({error}): install nftables and iproute2")
        })?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{shown} failed: {}", said.trim()));
        }
        state.insert(shown, String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Ok(state)
}

/// Kernel parameters below a folder; those that count by themselves are none.
fn parameters(folder: &Path, state: &mut NetworkState) {
    let Ok(entries) = folder.read_dir() else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.is_dir() {
            parameters(&path, state);
        } else if !path.to_string_lossy().ends_with("_count")
            && let Ok(value) = fs::read_to_string(&path)
        {
            state.insert(path.display().to_string(), value);
        }
    }
}
