//! What a run is asked to do.

use std::path::PathBuf;
use std::time::Duration;

use pathspider_plugin_api::{ChainName, ConditionInfo, OptionValues};

use super::keeping::Keep;
use crate::engine::{Limits, Requests};
use crate::forward::Responders;
use crate::job::{Format, Input, Rules};
use crate::locating::Locating;
use crate::merger::Ends;
use crate::output::{Labels, Output};
use crate::progress::Showing;
use pathspider_observer::SourceOptions;
use pathspider_observer::chains::Catalogue;
use pathspider_plugins::{Loaded, Plugin};
use pathspider_runtime::process::Clock;

/// All that a run needs to know, resolved from the command line. A new option is not forgotten in what
/// decides over `--resume`: see `run/keeping/recipe.rs`.
pub struct RunOptions<'a> {
    /// The measurement.
    pub measurement: &'a Loaded,
    /// The values of its own options.
    pub plugin_options: OptionValues,
    /// The chains that exist.
    pub chains: &'a Catalogue,
    /// The files that they, and the measurement, come from.
    pub plugins: &'a [Plugin],
    /// The capture source: an interface, perhaps with a libtrace prefix. A measurement without
    /// chains needs none.
    pub source: Option<String>,
    /// The interface that connections leave by.
    pub interface: Option<String>,
    /// What HTTP requests say, and what is kept of their responses.
    pub requests: Requests,
    /// How to capture.
    pub capture: SourceOptions,
    /// How long the plugin's functions may keep a worker.
    pub plugin_timeout: Option<Duration>,
    /// Jobs in flight at most.
    pub workers: usize,
    /// Where jobs come from.
    pub input: Input,
    /// How they are written.
    pub format: Format,
    /// Which of them are measured.
    pub rules: Rules,
    /// When connections may start.
    pub limits: Limits,
    /// When no more are begun.
    pub max_runtime: Option<Duration>,
    /// The process that started this one, where the run is to stop when it is gone.
    pub parent: Option<u32>,
    /// Where on the path it is looked for what harms packets.
    pub locating: Option<Locating>,
    /// How targets are asked that say themselves what came to them.
    pub responders: Option<Responders>,
    /// What is known of this end of the paths.
    pub ends: Ends,
    /// What is said of the run.
    pub labels: Labels,
    /// Chains that look at the connections beside the measurement's.
    pub more_chains: Vec<ChainName>,
    /// Where records go.
    pub output: Output,
    /// Whether records carry their connections' results.
    pub with_flows: bool,
    /// How well the system's clock is kept, when the run begins.
    pub clock: Option<Clock>,
    /// What explains records to people, in place of writing them; they carry the results then.
    pub answers: Option<Vec<ConditionInfo>>,
    /// What becomes of outputs that are there already, and whose records they are.
    pub keep: Keep,
    /// How the run is shown while it goes.
    pub showing: Showing,
    /// A capture file for the packets of our own connections.
    pub save_pcap: Option<PathBuf>,
}

impl RunOptions<'_> {
    /// How long the plugin's functions may keep a worker: unless it was said, a minute, or twice
    /// the time-out of a connection where that is more.
    pub(super) fn plugin_timeout(&self) -> Duration {
        const USUAL: Duration = Duration::from_secs(60);
        let of_plugin =
            || self.plugin_options.timeout().map_or(USUAL, |timeout| (timeout * 2).max(USUAL));
        self.plugin_timeout.unwrap_or_else(of_plugin)
    }
}
