//! What the engine gets of a target.

use std::sync::Arc;

use pathspider_plugin_api::Job;

use super::verbatim::Verbatim;
use crate::rounds::Turn;

/// A target that is to be measured.
pub struct Fed {
    /// The target, as measurements see it.
    pub job: Job,
    /// What its line said to the letter, where the job's record does not say it so.
    pub(crate) came: Option<Arc<Verbatim>>,
    /// Its turn, where targets are measured in rounds.
    pub(crate) turn: Option<Turn>,
}

impl From<Job> for Fed {
    fn from(job: Job) -> Fed {
        Fed { job, came: None, turn: None }
    }
}
