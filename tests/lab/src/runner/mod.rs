//! Owns the comparison of truth and measurement: writes the jobs, runs pathspider at the vantage
//! point, reads its records, and sets what was found beside what was expected.

mod compare;
mod measurement;
mod opening;
mod records;
mod suite;
mod table;
mod waiver;
mod workdir;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::truth::Truth;

pub use compare::{Comparison, Row, compare};
pub use measurement::{Ended, Measurement, Run, Started};
pub(crate) use records::write_jobs;
pub use records::{Record, records};
pub use suite::{Measured, Suite, speaks_quic};
pub use table::render;
pub use waiver::plugin_waiver;
pub use workdir::WorkDir;

/// One job: a target and the path it lies behind.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The path's truth.
    pub truth: &'a Truth,
    /// Where to connect to.
    pub address: IpAddr,
    /// On which port; without one, that which the plugin has for its arguments.
    pub port: Option<u16>,
}

/// Where pathspider is when nobody says: beside this program, as a build of the whole leaves it.
pub fn default_pathspider() -> PathBuf {
    std::env::current_exe()
        .ok()
        .and_then(|lab| lab.parent().map(|directory| directory.join("pathspider")))
        .filter(|path| path.exists())
        .unwrap_or_else(|| Path::new("target/release/pathspider").to_path_buf())
}
