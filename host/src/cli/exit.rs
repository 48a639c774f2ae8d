//! Exit statuses, and the failures that lead to them.

use std::process::ExitCode;

/// How the program ends. The numbers are documented in `docs/exit-status.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything that was asked for was done.
    Finished = 0,
    /// Something failed while it ran.
    Failed = 1,
    /// The arguments make no sense.
    Usage = 2,
    /// No plugin has the name given.
    NoPlugin = 3,
    /// The plugin asked for cannot be used.
    PluginRefused = 4,
    /// A privilege is missing.
    NoPrivilege = 5,
    /// The interface does not exist or is down.
    NoInterface = 6,
    /// The input, or a blocklist, cannot be read.
    NoInput = 7,
    /// The output cannot be written.
    NoOutput = 8,
    /// It ended, but some lines of the input were no jobs, or the plugin failed for some jobs.
    FinishedWithErrors = 9,
    /// A signal or a limit stopped it before the input's end; what was finished is written.
    Stopped = 10,
    /// A plugin that was checked broke a rule of the contract.
    RuleBroken = 12,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// One clear line for standard error, and the exit status.
    Told {
        /// The exit status.
        exit: Exit,
        /// The line.
        message: String,
    },
    /// The parser's own message, with usage; also a request for help.
    Clap(clap::Error),
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl ToString) -> Failure {
        Failure::Told { exit, message: message.to_string() }
    }
}

impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Failure {
        Failure::Clap(error)
    }
}

/// Prints the parser's message where it belongs; help and version are no failures.
pub(crate) fn of_clap(error: &clap::Error) -> ExitCode {
    // A closed pipe cannot be told to anyone.
    let _ = error.print();
    if error.use_stderr() { Exit::Usage.into() } else { Exit::Finished.into() }
}
