//! What is known before the run: what the plugin says, and the run's number.

use std::sync::Arc;

use pathspider_plugin_api::abi::{self, ChainSet, MeasurementObject};
use pathspider_plugin_api::chains::carrier;
use pathspider_plugin_api::{ChainName, Configuration, Error};

use super::{RunError, RunOptions};
use crate::output::RunNumber;
use pathspider_runtime::asking::Asking;
use pathspider_runtime::surroundings;

/// What is known before the run.
pub(super) struct Plan {
    pub(super) run: RunNumber,
    pub(super) measurement: Arc<MeasurementObject>,
    pub(super) configurations: Vec<Configuration>,
    pub(super) default_port: u16,
    /// The chains that it needs, as it names them, and those that were asked for beside.
    pub(super) chains: Vec<ChainName>,
}

impl Plan {
    /// Asks the plugin, and finds the chains that it needs.
    pub(super) fn ask(options: &RunOptions<'_>) -> Result<(Plan, ChainSet), RunError> {
        let found = options.measurement;
        let fail = |error| RunError::Plugin { name: found.info.name.clone(), error };
        let asking = Asking::within(options.plugin_timeout());
        let asked = Plan::asked(options);
        drop(asking);
        let mended = surroundings::restore(&found.info.name).map_err(|e| fail(Error::contract(e)));
        asked.and_then(|asked| mended.map(|()| asked))
    }

    fn asked(options: &RunOptions<'_>) -> Result<(Plan, ChainSet), RunError> {
        let found = options.measurement;
        let fail = |error| RunError::Plugin { name: found.info.name.clone(), error };
        abi::set_caller(options.requests.caller());
        let measurement = found.handle.instantiate(options.plugin_options.clone()).map_err(fail)?;
        let configurations = measurement.configurations().map_err(fail)?;
        let default_port = options.plugin_options.default_port(&found.info);
        if let Err(error) = options.chains.resolve_for(None, &options.more_chains) {
            return Err(RunError::Settings(format!("--chain: {error}")));
        }
        let chains = measurement.chains().map_err(fail)?;
        let keeps = options.locating.is_some() || options.responders.is_some();
        let keeper = keeps.then(|| ChainName(carrier::CHAIN.name.into()));
        let more = options.more_chains.iter().cloned().chain(keeper);
        let chains = ChainName::union(chains, more);
        let found = options.chains.resolve_for(Some(&found.file.name()), &chains);
        let found = found.map_err(|error| fail(Error::new(error)))?;
        let measurement = Arc::new(measurement);
        let run = RunNumber::new();
        Ok((Plan { run, measurement, configurations, default_port, chains }, found.chains))
    }
}
