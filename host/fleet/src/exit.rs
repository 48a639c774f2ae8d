//! Exit statuses, and the failures that lead to them.

pub(crate) use pathspider_runtime::exit::Exit;

/// Why a command did not do what it was asked for.
pub(crate) type Failure = pathspider_runtime::exit::Failure<clap::Error>;
