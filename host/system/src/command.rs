//! Runs a command that changes the machine.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use pathspider_plugin_api::Error;

use super::child;
use super::leash::Leash;
use pathspider_runtime::privileges::has_privileges_of_its_own;
use pathspider_runtime::privileges::with_network_lent;
use pathspider_runtime::surroundings;

/// Where commands are looked for when the user is not to choose.
const SAFE_PATH: &str = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";

/// How long a command may take that undoes a change.
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 20 });

/// Why a command did not do its work.
#[derive(Debug)]
pub(super) struct Failure {
    /// In words.
    pub(super) error: Error,
    /// It was never started, or ended by itself and says that it failed. Otherwise it may have done
    /// a part of its work: somebody killed it, or how it ended is not known.
    pub(super) is_known: bool,
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        failure.error
    }
}

/// Runs a command that makes a change of the run with this leash, to its end; gives what it writes.
pub(super) fn run(words: &[&str], leash: Option<&Leash>) -> Result<String, Failure> {
    run_for(None, words, leash)
}

/// Runs a command that undoes a change, or that looks: one that does not end in time is ended, for
/// others are to be undone after it.
pub(super) fn undo(words: &[&str]) -> Result<String, Failure> {
    run_for(Some(PATIENCE), words, None)
}

fn run_for(
    limit: Option<Duration>,
    words: &[&str],
    leash: Option<&Leash>,
) -> Result<String, Failure> {
    let Some((program, arguments)) = words.split_first() else {
        let error = Error::contract("run: an empty command");
        return Err(Failure { error, is_known: true });
    };
    let failed = |is_known: bool| {
        move |error: io::Error| Failure {
            error: Error::new(format!("cannot run {program}: {error}")),
            is_known,
        }
    };
    let mut command = Command::new(program);
    if has_privileges_of_its_own() {
        command.env_clear().env("PATH", SAFE_PATH);
    } else if let Some(environment) = surroundings::environment() {
        // A plugin may have changed this process's.
        command.env_clear().envs(environment.iter().map(|(name, value)| (name, value)));
    }
    let input = leash.and_then(|leash| leash.hold().ok());
    command
        .args(arguments)
        .stdin(input.map_or_else(Stdio::null, Stdio::from))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A Ctrl-C at the terminal is for us, not for what restores the system.
        .process_group(0);
    let started = with_network_lent(|| command.spawn()).map_err(failed(true))?;
    // Its standard input is to be its own.
    drop(command);
    let words = words.join(" ");
    let output = match limit {
        None => started.wait_with_output().map(Some),
        Some(limit) => child::wait(started, limit),
    };
    let Some(output) = output.map_err(failed(false))? else {
        let seconds = limit.unwrap_or_default().as_secs();
        let error =
            Error::new(format!("`{words}` did not end in {seconds} seconds; it was killed"));
        return Err(Failure { error, is_known: false });
    };
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Failure {
        error: Error::new(format!("`{words}` failed ({}): {}", output.status, said.trim())),
        is_known: output.status.code().is_some(),
    })
}
