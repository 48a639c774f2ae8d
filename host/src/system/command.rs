//! Runs a command that changes the machine.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use pathspider_plugin_api::{Error, Result};

use crate::plugin::has_privileges_of_its_own;
use crate::privileges::with_network_lent;

/// Where commands are looked for when the user is not to choose.
const SAFE_PATH: &str = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";

/// Runs a command to its end; its output goes nowhere, but into the error where it fails.
pub(super) fn run(words: &[&str]) -> Result<()> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(Error::contract("run: an empty command"));
    };
    let mut command = Command::new(program);
    if has_privileges_of_its_own() {
        command.env_clear().env("PATH", SAFE_PATH);
    }
    command
        .args(arguments)
        .stdin(Stdio::null())
        // A Ctrl-C at the terminal is for us, not for what restores the system.
        .process_group(0);
    let output = with_network_lent(|| command.output())
        .map_err(|error| Error::new(format!("cannot run {program}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::new(format!("`{}` failed ({}): {}", words.join(" "), output.status, said.trim())))
}
