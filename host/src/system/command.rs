//! Runs a command that changes the machine.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use pathspider_plugin_api::{Error, Result};

/// Runs a command to its end; its output goes nowhere, but into the error where it fails.
pub(super) fn run(words: &[&str]) -> Result<()> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(Error::contract("run: an empty command"));
    };
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        // A Ctrl-C at the terminal is for us, not for what restores the system.
        .process_group(0)
        .output()
        .map_err(|error| Error::new(format!("cannot run {program}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::new(format!("`{}` failed ({}): {}", words.join(" "), output.status, said.trim())))
}
