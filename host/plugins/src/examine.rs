//! What a file exports, found out in a process of its own.

use std::fs::File;

use pathspider_plugin_api::abi::{
    AbiVersion, LoadedPlugin, chain_from_record, chain_to_record, measurement_from_record,
    measurement_to_record,
};
use pathspider_plugin_api::{ChainInfo, Info, Options, Record};
use serde::{Deserialize, Serialize};

use super::child::{self, ChildEnd, EXAMINATION_LIMIT, How, Reporter, Task};
use super::error::LoadError;
use super::load::load;
use super::text::{clean_chain, clean_measurement};
use super::trust::Opened;
use super::{elf, rules};
use pathspider_runtime::text::visible;

/// What a file exports, as it crosses to the parent and into the cache.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Description {
    /// The ABI version that the plugin speaks.
    abi: (u32, u32),
    measurements: Vec<Record>,
    chains: Vec<Record>,
}

impl Description {
    /// Asks a loaded plugin.
    fn of(plugin: &LoadedPlugin) -> Result<Description, LoadError> {
        let measurements = plugin.measurements().into_iter().map(|handle| {
            let (info, options) = handle.describe()?;
            Ok(measurement_to_record(info, &options))
        });
        let chains = plugin.chains().into_iter().map(|c| Ok(chain_to_record(c.describe()?)));
        Ok(Description {
            abi: (plugin.version().major, plugin.version().minor),
            measurements: measurements.collect::<Result<_, _>>().map_err(declined)?,
            chains: chains.collect::<Result<_, _>>().map_err(declined)?,
        })
    }

    /// The ABI version that the plugin speaks.
    pub(super) fn abi(&self) -> AbiVersion {
        AbiVersion { major: self.abi.0, minor: self.abi.1 }
    }

    /// The measurements, with texts that are safe to print.
    pub(super) fn measurements(&self) -> Result<Vec<(Info, Options)>, LoadError> {
        let read = |record| clean_measurement(measurement_from_record(record).map_err(declined)?);
        self.measurements.iter().map(read).collect()
    }

    /// The chains, with texts that are safe to print.
    pub(super) fn chains(&self) -> Result<Vec<ChainInfo>, LoadError> {
        let read = |record| chain_from_record(record).map(clean_chain);
        self.chains.iter().map(read).collect::<Result<_, _>>().map_err(declined)
    }

    /// Whether the names can be used at all; the rest is `pathspider check`'s.
    fn checked(self) -> Result<Description, LoadError> {
        let measurements = self.measurements()?;
        let chains = self.chains()?;
        let names = measurements.iter().map(|(info, _)| &info.name);
        let names = names.chain(chains.iter().map(|chain| &chain.name));
        match names.into_iter().find(|name| !rules::is_name(name)) {
            Some(name) => Err(LoadError::description(format_args!(
                "it exports something named {:?}, and a name is letters, digits, - and _",
                visible(name, 80)
            ))),
            None if measurements.is_empty() && chains.is_empty() => {
                Err(LoadError::description("it exports neither a measurement nor a chain"))
            }
            None => Ok(self),
        }
    }
}

fn declined(error: pathspider_plugin_api::Error) -> LoadError {
    LoadError::description(visible(&error.to_string(), 400))
}

/// Whether a loaded plugin describes itself as it must.
///
/// # Errors
///
/// What is wrong with the description.
pub(super) fn describe(plugin: &LoadedPlugin) -> Result<(), LoadError> {
    Description::of(plugin)?.checked().map(|_| ())
}

/// The step in which a plugin that cannot catch its panics dies.
const CANARY: &str = "it was to catch a panic";

/// Finds out what a file exports, without letting it do anything to this process.
///
/// # Errors
///
/// Why it cannot be used.
pub(super) fn examine(opened: &Opened, name: &str) -> Result<Description, LoadError> {
    elf::check(&opened.file, opened.metadata.len())?;
    let ended = child::run(Task::Examine, name, &opened.file, EXAMINATION_LIMIT).map_err(|e| {
        LoadError::new(
            format_args!("the process that was to examine it cannot be started: {e}"),
            "free some memory or processes, and see that /proc is mounted",
        )
    })?;
    match &ended.how {
        How::Answered(answer) => match serde_json::from_value(answer.clone()) {
            Ok(described) => Result::and_then(described, Description::checked),
            Err(_) => Err(without_answer(&ended)),
        },
        _ => Err(without_answer(&ended)),
    }
}

fn without_answer(ended: &ChildEnd) -> LoadError {
    if ended.step == CANARY && matches!(ended.how, How::Signal(_)) {
        return LoadError::new(
            "a panic in it would end the whole run, for it was built with panic = \"abort\"",
            "remove that line from its Cargo.toml, and rebuild it",
        );
    }
    LoadError::new(ended.reason(), "ask whoever built it; `pathspider check FILE` says more")
}

/// The child's part.
pub(super) fn inside(
    file: File,
    name: &str,
    reporter: &mut Reporter,
) -> Result<Description, LoadError> {
    reporter.step("it was being loaded");
    let plugin = load(file, name)?;
    reporter.step("it was to describe itself");
    let description = Description::of(&plugin)?;
    reporter.step(CANARY);
    plugin.canary().map_err(declined)?;
    Ok(description)
}
