//! What `report` and `diff` are asked for alike: keys to group by, and how much of it is shown.

use clap::Args;

/// Of the groups by a key, those that are shown, and how.
#[derive(Debug, Args)]
pub(super) struct Ranking {
    /// Leave values with fewer than N cases out of rankings
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(super) min: u64,

    /// Show N rows of each ranking
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(super) top: usize,

    /// Write all figures as one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

/// A key that records can be grouped by.
pub(super) fn key(text: &str) -> Result<String, String> {
    match text.split('.').next() {
        None | Some("") => Err("it names no key".to_owned()),
        Some(key @ ("conditions" | "flow_results" | "time")) => {
            Err(format!("records are not grouped by {key}; date is a key"))
        }
        Some(_) => Ok(text.to_owned()),
    }
}
