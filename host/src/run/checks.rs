//! What is checked and prepared of the system before a run.

use std::path::Path;

use super::RunError;
use crate::engine::RESERVED_SOCKETS;
use crate::job::Input;
use crate::output::Output;

/// Descriptors beside those of the connections.
const SPARE_DESCRIPTORS: u64 = 128;

/// Refuses to write over what is to be read.
pub(super) fn check_files(input: &Input, output: &Output) -> Result<(), RunError> {
    use std::os::unix::fs::MetadataExt;
    let (Input::File(from), Output::File(to)) = (input, output) else { return Ok(()) };
    let identity = |path: &Path| path.metadata().ok().map(|file| (file.dev(), file.ino()));
    match (identity(from), identity(to)) {
        (Some(from), Some(same)) if from == same => {
            Err(RunError::Settings(format!("{} is both input and output", to.display())))
        }
        _ => Ok(()),
    }
}

/// Raises the limit of open descriptors to what the connections want; gives how many of a job's
/// second connections at a time there is room for. Forged packets need no descriptors.
pub(super) fn raise_descriptors(
    workers: usize,
    configurations: usize,
    forges: bool,
) -> Result<usize, RunError> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let reserved = if forges { RESERVED_SOCKETS as u64 } else { 0 };
    let beside = if configurations > 1 { workers as u64 } else { 0 };
    let needed = workers as u64 + SPARE_DESCRIPTORS + reserved;
    let wanted = needed + beside;
    let Rlimit { current, maximum: hard } = getrlimit(Resource::Nofile);
    let raise = |count: u64| {
        let maximum = hard.map(|hard| hard.max(count));
        setrlimit(Resource::Nofile, Rlimit { current: Some(count), maximum })
    };
    let mut refused = None;
    if current.is_some_and(|current| current < wanted) {
        // To go beyond the hard limit takes a privilege.
        refused = raise(wanted).err();
        if let (Some(_), Some(hard)) = (refused, hard) {
            let _ = raise(hard.min(wanted));
        }
    }
    let has = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    match refused {
        Some(error) if has < needed && !forges => Err(RunError::System(format!(
            "{workers} workers need {needed} open files, and the limit is {has} ({error}): raise \
             it (ulimit -n {needed}) or use at most -w {}",
            has.saturating_sub(SPARE_DESCRIPTORS + reserved)
        ))),
        _ if forges => Ok(workers),
        _ => Ok(has.saturating_sub(needed).min(beside) as usize),
    }
}
