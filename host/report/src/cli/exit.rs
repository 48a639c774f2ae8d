//! Exit statuses, and the failures that lead to them.

pub(super) use pathspider_runtime::exit::Exit;

/// Why a command did not do what it was asked for.
pub(super) type Failure = pathspider_runtime::exit::Failure<clap::Error>;

/// Prints the parser's message where it belongs; help and version are no failures.
pub(super) fn of_clap(error: &clap::Error) -> Exit {
    // Nobody is there to hear of a pipe that is closed.
    let _ = error.print();
    if error.use_stderr() { Exit::Usage } else { Exit::Finished }
}
