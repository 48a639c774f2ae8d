//! Owns the process's limit on open files, which thousands of targets need raised.

use std::sync::OnceLock;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::error::{Context, Result};

static ORIGINAL: OnceLock<(u64, u64)> = OnceLock::new();

/// Raises the number of files this process may open to the most it is allowed, and returns it.
///
/// The lab's children keep the limit the lab itself was started with, so that a program that needs
/// a higher one is seen to fail here as it would elsewhere.
///
/// # Errors
/// When the system refuses what it said it would allow.
pub fn raise_open_files() -> Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).context(|| "read the open-file limit")?;
    ORIGINAL.get_or_init(|| (soft, hard));
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
        .context(|| format!("raise the open-file limit to {hard}"))?;
    Ok(hard)
}

/// How many files a command of the lab can open if it needs this many: these, where the system lets
/// limits be raised, or else as many as it allows.
///
/// # Errors
/// As [`raise_open_files`].
pub fn possible_open_files(wanted: u64) -> Result<u64> {
    let hard = raise_open_files()?;
    let raised = hard < wanted && setrlimit(Resource::RLIMIT_NOFILE, wanted, wanted).is_ok();
    Ok(if raised { wanted } else { hard })
}

/// The limits before they were first raised; `None` when they never were.
pub(super) fn original() -> Option<(u64, u64)> {
    ORIGINAL.get().copied()
}

/// Gives the calling process the limits it would have had without the lab.
pub(super) fn restore((soft, hard): (u64, u64)) -> nix::Result<()> {
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard)
}
