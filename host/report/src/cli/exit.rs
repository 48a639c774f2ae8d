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
    /// Nothing of the input can be read.
    NoInput = 7,
    /// The output cannot be written.
    NoOutput = 8,
    /// It ended, but some of the input is no record.
    FinishedWithErrors = 9,
    /// A limit of `--fail-if` is passed, or there is nothing to judge it by.
    Passed = 11,
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
    Said {
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
        Failure::Said { exit, message: message.to_string() }
    }
}

impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Failure {
        Failure::Clap(error)
    }
}

/// Prints the parser's message where it belongs; help and version are no failures.
pub(crate) fn of_clap(error: &clap::Error) -> ExitCode {
    // Nobody is there to hear of a pipe that is closed.
    let _ = error.print();
    if error.use_stderr() { Exit::Usage.into() } else { Exit::Finished.into() }
}
