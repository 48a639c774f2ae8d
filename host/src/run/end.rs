//! How a run ended, and why one could not start.

use std::io;
use std::time::Duration;

use pathspider_plugin_api::{Error, Record};

use crate::engine::EngineError;
use crate::job::ReadError;
use crate::output::{Cause, Counted, OutputError};
use pathspider_observer::{SourceError, Strays};
use pathspider_system::BeginError;

/// How a run ended.
pub struct RunEnd {
    /// What it came to.
    pub counted: Counted,
    /// How long it took.
    pub duration: Duration,
    /// Why it was told to stop, if it was before its input ended.
    pub stopped: Option<&'static str>,
    /// The kernel parameters that were changed: before, and what they were given.
    pub changed: Vec<(String, String, Vec<String>)>,
    /// Why it found nothing, where nothing answered or nearly all failed for one reason.
    pub cause: Option<Cause>,
    /// What the plugin said of the whole run.
    pub finished: Record,
    /// What came in by another interface that could be answers.
    pub strays: Option<Strays>,
    /// Why it ended early, where it did not end by itself: what was finished is written.
    pub failure: Option<RunError>,
}

impl RunEnd {
    /// Why it ended, for the metadata.
    pub(crate) fn reason(&self) -> String {
        match (&self.failure, self.stopped) {
            (Some(failure), _) => failure.to_string(),
            (None, Some(why)) => format!("stopped by {why}"),
            (None, None) if self.counted.input.limited => "--max-targets was reached".to_owned(),
            (None, None) if self.has_errors() => "finished, with errors in some jobs".to_owned(),
            (None, None) => "finished".to_owned(),
        }
    }

    /// Whether some lines were no jobs, or the plugin failed for some.
    pub fn has_errors(&self) -> bool {
        self.counted.errors() > 0
    }
}

/// Why a run could not start, or ended early.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The plugin cannot be set up.
    #[error("the plugin {name} cannot be set up: {error}")]
    Plugin {
        /// Its name.
        name: String,
        /// Its reason.
        error: Error,
    },
    /// No interface was named, and there is no default route to tell one.
    #[error("there is no default route, so the interface is not known; name it: -i IF")]
    NoInterface,
    /// Packets cannot be captured, or not any more.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The input cannot be read, or not further.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Records cannot be written, or not any more.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The engine ended early.
    #[error("{error}")]
    Engine {
        /// Its reason.
        error: EngineError,
        /// Whether the reason is a missing privilege.
        denied: bool,
    },
    /// The system refuses what the run needs.
    #[error("{0}")]
    System(String),
    /// The output took nothing when the run was told to stop at once.
    #[error("{output} took no more records; {jobs} finished ones are lost")]
    Stalled {
        /// The output's name.
        output: String,
        /// Jobs whose records were not written.
        jobs: usize,
    },
    /// The measurement is to change settings that we may not.
    #[error(
        "{0} changes the network's settings: it takes CAP_NET_ADMIN; {advice}",
        advice = pathspider_runtime::privileges::advice()
    )]
    NoNetworkPrivilege(String),
    /// The machine cannot be configured.
    #[error(transparent)]
    Machine(#[from] BeginError),
    /// The system refused to take settings back.
    #[error(
        "not all of the system's settings are restored: {}; where there is a journal, \
         `pathspider restore` tries again{}", what.join("; "), and(also.as_deref())
    )]
    NotRestored {
        /// What failed, a sentence each.
        what: Vec<String>,
        /// What else made the run end early.
        also: Option<Box<RunError>>,
    },
    /// The arguments contradict each other.
    #[error("{0}")]
    Settings(String),
    /// A part of this program failed, which is a bug.
    #[error("the {0} panicked; please report this, with the message above")]
    Panicked(&'static str),
}

impl RunError {
    /// A thread cannot be started.
    pub(super) fn no_thread(error: io::Error) -> RunError {
        RunError::System(format!("cannot start a thread: {error}"))
    }
}

fn and(also: Option<&RunError>) -> String {
    also.map(|error| format!(". Moreover: {error}")).unwrap_or_default()
}

/// A run after which settings are not as they were. That comes first, whatever else went wrong.
pub(super) fn not_restored(
    what: Vec<String>,
    ended: Result<RunEnd, RunError>,
) -> Result<RunEnd, RunError> {
    match ended {
        Ok(mut ended) => {
            let also = ended.failure.take().map(Box::new);
            ended.failure = Some(RunError::NotRestored { what, also });
            Ok(ended)
        }
        Err(error) => Err(RunError::NotRestored { what, also: Some(Box::new(error)) }),
    }
}
