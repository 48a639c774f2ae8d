//! Exit statuses, and the failures that lead to them.

use crate::output::OutputError;
use crate::run::RunError;
use pathspider_observer::SourceError;
use pathspider_system::BeginError;

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
pub(crate) fn of_clap(error: &clap::Error) -> Exit {
    // A closed pipe cannot be told to anyone.
    let _ = error.print();
    if error.use_stderr() { Exit::Usage } else { Exit::Finished }
}

/// The exit status of a run that could not start, or ended early.
pub(crate) fn of_run(error: &RunError) -> Exit {
    match error {
        RunError::Settings(_) => Exit::Usage,
        RunError::Plugin { .. } => Exit::PluginRefused,
        RunError::NoInterface => Exit::NoInterface,
        RunError::Source(source) => of_source(source),
        RunError::Read(_) => Exit::NoInput,
        RunError::Output(error) => of_output(error),
        RunError::Stalled { .. } => Exit::NoOutput,
        RunError::NoNetworkPrivilege(_) | RunError::Engine { denied: true, .. } => {
            Exit::NoPrivilege
        }
        RunError::Machine(BeginError::Stopped(_)) => Exit::Stopped,
        RunError::Machine(_) => Exit::Failed,
        RunError::Engine { .. }
        | RunError::System(_)
        | RunError::NotRestored { .. }
        | RunError::Panicked(_) => Exit::Failed,
    }
}

/// The exit status of an output that cannot be written.
pub(crate) fn of_output(error: &OutputError) -> Exit {
    if error.is_stopped() { Exit::Stopped } else { Exit::NoOutput }
}

/// The exit status of a source that cannot be opened or fails.
pub(crate) fn of_source(error: &SourceError) -> Exit {
    match error {
        SourceError::NoInterface { .. } | SourceError::InterfaceDown { .. } => Exit::NoInterface,
        SourceError::NoPrivilege { .. } => Exit::NoPrivilege,
        SourceError::Filter { .. } | SourceError::Scheme { .. } => Exit::Usage,
        SourceError::NotReadable { .. }
        | SourceError::NotACapture { .. }
        | SourceError::LinkType { .. }
        | SourceError::NoDescription { .. }
        | SourceError::Truncated { .. }
        | SourceError::Damaged { .. } => Exit::NoInput,
        SourceError::NotWritable { .. } => Exit::NoOutput,
        _ => Exit::Failed,
    }
}
