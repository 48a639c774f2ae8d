//! What the course of a real run carries.

use std::sync::Arc;
use std::time::SystemTime;

use pathspider_plugin_api::{Connect, Error};

use super::connect::Attempt;
use super::course::Cargo;
use super::work::Work;

/// A real run.
pub(super) enum Real {}

impl Cargo for Real {
    type Work = Arc<Work>;
    type Plan = Plan;
    type Attempt = Attempt;
    type Error = Error;
}

/// The plugin's answer, which connection to make.
pub(super) enum Plan {
    /// From a worker, where the plugin may have connected by itself, since then.
    Own(SystemTime, Result<Connect, Error>),
    /// From before, when it could not begin.
    Again(Box<Connect>),
}
