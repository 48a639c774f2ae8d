//! What the metadata say of a run: of what makes its records, of its begin, and what it came to.

use std::io;
use std::net::IpAddr;
use std::path::Path;

use pathspider_plugin_api::abi::ABI_VERSION;
use serde_json::{Map, Value, json};

use super::super::Settings;
use super::super::plan::Plan;
use crate::job;
use crate::output::{FILE_TYPE, FILE_TYPE_KEY, Metadata, OWNER, Summary};
use pathspider_observer::interface;
use pathspider_observer::{Counters, Malformed, Unanswering};
use pathspider_plugins::PluginFile;

/// What is the same for all runs on an output.
pub(super) fn describe(settings: &Settings<'_>, plan: &Plan, path: &Path) -> io::Result<Metadata> {
    let mut metadata = Metadata::new(path);
    metadata.set(FILE_TYPE_KEY, FILE_TYPE);
    if let Some(owner) = &settings.keep.owner {
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
    let found = settings.measurement;
    let mut plugin = library(&found.file)?;
    let chains: Vec<String> =
        plan.measurement.chains().unwrap_or_default().iter().map(ToString::to_string).collect();
    let labels: Vec<&str> = plan.configurations.iter().map(|c| c.label.as_str()).collect();
    let described = json!({
            "name": found.info.name,
            "version": found.info.version,
            "contact": found.info.contact,
            "abi": found.abi.to_string(),
            "options": serde_json::to_value(settings.options.clone().into_record())?,
            "configurations": labels,
            "chains": chains,
    });
    if let (Value::Object(plugin), Value::Object(described)) = (&mut plugin, described) {
        plugin.extend(described);
    }
    metadata.set("plugin", plugin);
    metadata.set(
        "settings",
        json!({
            "output_flows": settings.with_flows,
            "duplicates": settings.rules.duplicates,
            "resolve": settings.rules.resolve,
            "source_public": settings.ends.public.iter().map(IpAddr::to_string).collect::<Vec<_>>(),
            "source_asn": settings.ends.asn,
            "body_limit": settings.body_limit,
        }),
    );
    let loaded = settings.plugins.iter().filter(|plugin| plugin.file.is_loaded());
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
pub(super) fn begun(settings: &Settings<'_>, metadata: &Metadata, start: &str) -> Value {
    let plugin = metadata.get("plugin");
    let system = rustix::system::uname();
    let parameters: Map<String, Value> = pathspider_system::parameters()
        .into_iter()
        .map(|(key, value)| (key, value.into()))
        .collect();
    json!({
        "started": start,
        "ended": null,
        "end": null,
        "command": settings.keep.command,
        "program": metadata.get("program"),
        "plugin_file": plugin.map(|plugin| json!({"file": plugin["file"], "sha256": plugin["sha256"]})),
        "libraries": metadata.get("libraries"),
        "interface": settings.interface,
        "addresses": settings.interface.as_deref().map(interface::addresses),
        "workers": settings.workers,
        "input": settings.input.to_string(),
        "seed": settings.rules.shuffle,
        "kernel": format!(
            "{} {} {}",
            system.sysname().to_string_lossy(),
            system.release().to_string_lossy(),
            system.machine().to_string_lossy(),
        ),
        "sysctls": parameters,
    })
}

/// What came of a run, in numbers.
pub(super) fn counts(summary: &Summary, counters: &Counters, input: &job::Counts) -> Value {
    let malformed: Map<String, Value> = Malformed::ALL
        .iter()
        .filter(|&&kind| counters.malformed(kind) > 0)
        .map(|&kind| (kind.name().to_owned(), counters.malformed(kind).into()))
        .collect();
    let unanswering: Map<String, Value> = Unanswering::ALL
        .iter()
        .filter(|&&kind| counters.unanswering(kind) > 0)
        .map(|&kind| (kind.name().to_owned(), counters.unanswering(kind).into()))
        .collect();
    json!({
        "targets": summary.targets,
        "conditions": summary.conditions,
        "missed_flows": summary.missed_flows,
        "failures": summary.failures,
        "plugin_errors": summary.errors,
        "discarded": summary.discarded,
        "lost": summary.lost,
        "unfinished": summary.unfinished,
        "unstarted": summary.unstarted,
        "input": {
            "bad_lines": input.bad_lines,
            "duplicates": input.duplicates,
            "blocklisted": input.blocklisted,
            "special": input.special,
            "measured_before": input.done,
        },
        "capture": {
            "packets": counters.packets,
            "dropped_by_kernel": counters.kernel_dropped,
            "dropped_by_interface": counters.interface_dropped,
            "malformed": malformed,
            "unanswering": unanswering,
            "flows": counters.flows,
            "evicted": counters.evicted,
        },
    })
}
