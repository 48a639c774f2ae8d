//! What the metadata say of a run when it begins: what makes its records, and what it is.

use std::io;
use std::path::Path;

use pathspider_plugin_api::abi::ABI_VERSION;
use serde_json::{Map, Value, json};

use super::recipe;
use crate::output::{FILE_TYPE, FILE_TYPE_KEY, Metadata, OWNER};
use crate::run::RunOptions;
use crate::run::plan::Plan;
use crate::{forward, locating};
use pathspider_observer::interface;
use pathspider_plugins::PluginFile;
use pathspider_records::names;

/// What is the same for all runs on an output.
pub(super) fn describe(options: &RunOptions<'_>, plan: &Plan, path: &Path) -> io::Result<Metadata> {
    let mut metadata = Metadata::new(path);
    metadata.set(FILE_TYPE_KEY, FILE_TYPE);
    if let Some(owner) = &options.keep.owner {
        metadata.set(OWNER, owner.clone());
    }
    metadata.set(
        "program",
        json!({
            "name": env!("CARGO_PKG_NAME"),
            "version": env!("CARGO_PKG_VERSION"),
            "abi": ABI_VERSION.to_string(),
        }),
    );
    if let Some(vantage) = &options.labels.vantage {
        metadata.set(names::VANTAGE, vantage.clone());
    }
    for (key, value) in recipe::of(options, plan).keys()? {
        metadata.set(&key, value);
    }
    let found = options.measurement;
    metadata.extend("plugin", library(&found.file)?);
    let chains: Vec<String> = plan.chains.iter().map(ToString::to_string).collect();
    let located = options.locating.map(|_| locating::declared(&found.info)).unwrap_or_default();
    let forward = options.responders.as_ref().map(|_| forward::declared(&found.info));
    let more = located.iter().chain(forward.iter().flatten());
    let conditions = found.info.conditions.iter().chain(more).map(|condition| {
        json!({
            "name": condition.name,
            "aspect": condition.aspect(),
            "class": condition.class.name(),
            "meaning": condition.meaning,
        })
    });
    let chosen = options.chains.choose(Some(&found.file.name()), &plan.chains);
    let declared = chosen.map_err(io::Error::other)?;
    let declared = declared.iter().map(|chain| &chain.info);
    let fields = declared.flat_map(|chain| {
        chain.fields.iter().map(|field| {
            json!({
                "name": field.name,
                "chain": chain.name,
                "type": field.kind.name(),
                "unit": field.unit,
                "meaning": field.meaning,
            })
        })
    });
    metadata.extend(
        "plugin",
        json!({
            "contact": found.info.contact,
            "abi": found.abi.to_string(),
            "chains": chains,
            "fields": fields.collect::<Value>(),
            "conditions": conditions.collect::<Value>(),
        }),
    );
    let loaded = options.plugins.iter().filter(|plugin| plugin.file.is_loaded());
    let libraries = loaded.map(|plugin| library(&plugin.file)).collect::<io::Result<Value>>()?;
    metadata.set("libraries", libraries);
    Ok(metadata)
}

/// A file that is loaded into this process.
fn library(file: &PluginFile) -> io::Result<Value> {
    let path = file.path.canonicalize().unwrap_or_else(|_| file.path.clone());
    Ok(json!({"file": path.display().to_string(), "sha256": file.digest()?}))
}

/// What is known of a run when it begins. Where it ends without a word, `end` stays null. What
/// `metadata` say of the program and the plugins' files may be otherwise in the next run.
pub(super) fn begun(
    options: &RunOptions<'_>,
    plan: &Plan,
    metadata: &Metadata,
    start: &str,
) -> Value {
    let plugin = metadata.get("plugin");
    let system = rustix::system::uname();
    let parameters: Map<String, Value> = pathspider_system::parameters()
        .into_iter()
        .map(|(key, value)| (key, value.into()))
        .collect();
    json!({
        names::RUN: plan.run.to_string(),
        "started": start,
        "ended": null,
        "end": null,
        "command": options.keep.command,
        "program": metadata.get("program"),
        "plugin_file": plugin.map(|plugin| json!({"file": plugin["file"], "sha256": plugin["sha256"]})),
        "libraries": metadata.get("libraries"),
        "interface": options.interface,
        "addresses": options.interface.as_deref().map(interface::addresses),
        "databases": options.ends.databases.described(),
        "workers": options.workers,
        "input": options.input.to_string(),
        "seed": options.rules.shuffle.or(options.rules.rounds.map(|schedule| schedule.seed)),
        "repeat_interval": options.rules.rounds.map(|schedule| schedule.interval.as_secs_f64()),
        "kernel": format!(
            "{} {} {}",
            system.sysname().to_string_lossy(),
            system.release().to_string_lossy(),
            system.machine().to_string_lossy(),
        ),
        "clock": options.clock.map(|clock| json!({
            "synchronised": clock.is_synchronised,
            "max_error_us": clock.is_synchronised.then_some(clock.max_error_us),
        })),
        "sysctls": parameters,
    })
}
