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

/// Raises the limit of open descriptors to what the connections need, of which a job has two at the
/// most.
pub(super) fn raise_descriptors(
    workers: usize,
    configurations: usize,
    forges: bool,
) -> Result<(), RunError> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let reserved = if forges { RESERVED_SOCKETS as u64 } else { 0 };
    let each = configurations.min(2) as u64;
    let needed = workers as u64 * each + SPARE_DESCRIPTORS + reserved;
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    limit.current = Some(needed);
    let hard = limit.maximum;
    if hard.is_some_and(|hard| hard < needed) {
        limit.maximum = Some(needed);
    }
    setrlimit(Resource::Nofile, limit).map_err(|error| {
        let hard = hard.unwrap_or(0);
        RunError::System(format!(
            "{workers} workers need {needed} open files, and the limit is {hard} ({error}): raise \
             it (ulimit -n {needed}) or use at most -w {}",
            hard.saturating_sub(SPARE_DESCRIPTORS + reserved) / each
        ))
    })
}
