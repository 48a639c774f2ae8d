//! How long the end of the process waits for others.

use std::time::Duration;

/// How long a run that was told to stop at once waits for a stage, or a reader, that does not end.
pub const LAST_WORDS: Duration = Duration::from_secs(2);
