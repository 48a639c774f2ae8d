//! Exit statuses, and the failures that lead to them.

use crate::output::OutputError;
use crate::run::RunError;
use pathspider_observer::SourceError;
pub(crate) use pathspider_runtime::exit::Exit;
use pathspider_system::BeginError;

/// Why a command did not do what it was asked for.
pub(crate) type Failure = pathspider_runtime::exit::Failure<clap::Error>;

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
