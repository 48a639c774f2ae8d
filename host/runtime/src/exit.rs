//! Exit statuses of the programs, and the failures that lead to them.

use std::process::ExitCode;

/// How a program ends. The numbers are documented in `docs/exit-status.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
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
    /// The input, or a blocklist, cannot be read; nothing of it is a record.
    NoInput = 7,
    /// The output cannot be written.
    NoOutput = 8,
    /// It ended, but some of the input was no job or no record, or the plugin failed for some jobs.
    FinishedWithErrors = 9,
    /// A signal or a limit stopped it before the input's end; what was finished is written.
    Stopped = 10,
    /// A limit of `--fail-if` is passed, or there is nothing to judge it by.
    Passed = 11,
    /// A plugin that was checked broke a rule of the contract.
    RuleBroken = 12,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Why a command did not do what it was asked for. `P` is what the parser of the command line says.
#[derive(Debug)]
pub enum Failure<P> {
    /// One clear line for standard error, and the exit status.
    Told {
        /// The exit status.
        exit: Exit,
        /// The line.
        message: String,
    },
    /// The parser's own message, with usage; also a request for help.
    Parser(P),
}

impl<P> Failure<P> {
    /// Ends with this status, after this line.
    pub fn new(exit: Exit, message: impl ToString) -> Failure<P> {
        Failure::Told { exit, message: message.to_string() }
    }
}

impl<P> From<P> for Failure<P> {
    fn from(said: P) -> Failure<P> {
        Failure::Parser(said)
    }
}
