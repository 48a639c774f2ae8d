//! What the plugin says before the run.

use std::sync::Arc;

use pathspider_plugin_api::abi::{ChainSet, MeasurementObject};
use pathspider_plugin_api::{Configuration, Error};

use super::{RunError, Settings};

/// What the plugin says before the run.
pub(super) struct Plan {
    pub(super) measurement: Arc<MeasurementObject>,
    pub(super) configurations: Vec<Configuration>,
    pub(super) default_port: u16,
}

impl Plan {
    pub(super) fn ask(settings: &Settings<'_>) -> Result<Plan, RunError> {
        let found = settings.measurement;
        let fail = |error| RunError::Plugin { name: found.info.name.clone(), error };
        let measurement = found.handle.instantiate(settings.options.clone()).map_err(fail)?;
        let configurations = measurement.configurations().map_err(fail)?;
        if configurations.is_empty() {
            return Err(fail(Error::contract("configurations: there is none")));
        }
        let default_port = measurement.default_port().map_err(fail)?;
        Ok(Plan { measurement: Arc::new(measurement), configurations, default_port })
    }
}

/// The chains that it needs.
pub(super) fn plan_chains(settings: &Settings<'_>, plan: &Plan) -> Result<ChainSet, RunError> {
    let fail = |error| RunError::Plugin { name: settings.measurement.info.name.clone(), error };
    let names = plan.measurement.chains().map_err(fail)?;
    let resolved = settings
        .chains
        .resolve_for(Some(&settings.measurement.file.name()), &names)
        .map_err(|error| fail(Error::new(error)))?;
    Ok(resolved.chains)
}
