//! What a run keeps beside its records: the metadata, and what lets another run go on after it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use pathspider_plugin_api::abi::ABI_VERSION;
use serde_json::{Map, Value, json};

use super::plan::Plan;
use super::{Ended, RunError, Settings};
use crate::files::Existing;
use crate::interface;
use crate::job::{self, Done};
use crate::observer::{Counters, Malformed};
use crate::output::{
    FILE_TYPE, FILE_TYPE_KEY, Metadata, OWNER, Opening, Output, OutputError, RecordWriter, Summary,
    TIME_END, TIME_START, beside, scan,
};
use crate::say::say;
use crate::system;

/// What must be the same for a run to go on after another one.
const SETTINGS: [&str; 7] = [
    "plugin.name",
    "plugin.version",
    "plugin.options",
    "plugin.configurations",
    "settings.output_flows",
    "settings.duplicates",
    "settings.resolve",
];

/// How outputs that are there already are met, and whose records they are.
#[derive(Debug, Clone, Default)]
pub struct Keep {
    /// What to do with an output, and a capture file, that is there.
    pub existing: Existing,
    /// The owner of the records, for the metadata.
    pub owner: Option<String>,
    /// The command, word by word.
    pub command: Vec<String>,
}

/// What is kept of this run.
pub(super) struct Keeping {
    /// `None` where the output is no file.
    metadata: Option<Metadata>,
    without: Option<PathBuf>,
    opening: Opening,
    /// What the runs before have measured.
    pub(super) done: Option<Done>,
}

impl Keeping {
    /// Finds out what there is, and refuses what does not fit. Nothing is changed yet.
    pub(super) fn prepare(settings: &Settings<'_>, plan: &Plan) -> Result<Keeping, RunError> {
        let existing = settings.keep.existing;
        let mut opening = Opening { existing, length: 0 };
        let Output::File(path) = &settings.output else {
            return match existing {
                Existing::Continue => Err(RunError::Settings(
                    "--resume goes on with a file: name it with --output".to_owned(),
                )),
                _ => Ok(Keeping { metadata: None, without: None, opening, done: None }),
            };
        };
        if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
            return Ok(Keeping { metadata: None, without: None, opening, done: None });
        }
        let fail = |error| OutputError::new(&settings.output, error);
        let mut metadata = describe(settings, plan, path).map_err(fail)?;
        let without = beside(path, ".without");
        let mut done = None;
        match existing {
            Existing::Continue => {
                let mut targets =
                    Done::new(settings.measurement.info.names, settings.rules.duplicates);
                let good = scan(path, &mut targets).map_err(fail)?;
                opening.length = good.length;
                if good.torn > 0 {
                    say!("{}: {} octets of a torn end are cut off", path.display(), good.torn);
                }
                let is_known = good.length > 0 || metadata.path().exists();
                metadata = go_on(path, good.length, metadata)?;
                if is_known {
                    // Where its last line is torn it is not known, and is measured once more.
                    let known = scan(&without, &mut targets);
                    known.map_err(|error| OutputError::new(&without.display(), error))?;
                } else {
                    // Of another output that had this name.
                    let _ = std::fs::remove_file(&without);
                }
                done = Some(targets);
            }
            Existing::Refuse if path.exists() || metadata.path().exists() => {
                let there = if path.exists() { path.as_path() } else { metadata.path() };
                let error = io::ErrorKind::AlreadyExists.into();
                return Err(OutputError::new(&there.display(), error).into());
            }
            Existing::Refuse | Existing::Overwrite => {}
        }
        Ok(Keeping { metadata: Some(metadata), without: Some(without), opening, done })
    }

    /// Opens the output, and writes what is known of the run.
    pub(super) fn open(&mut self, settings: &Settings<'_>) -> Result<RecordWriter, RunError> {
        let mut writer = RecordWriter::open_as(settings.output.clone(), self.opening)?;
        if let Some(without) = self.without.take() {
            if self.opening.existing != Existing::Continue {
                let _ = std::fs::remove_file(&without);
            }
            writer.note_jobs_without(without, Existing::Continue);
        }
        if let Some(metadata) = &mut self.metadata {
            let start = now();
            if metadata.get(TIME_START).is_none() {
                metadata.set(TIME_START, start.clone());
            }
            metadata.set(TIME_END, start.clone());
            metadata.begin_run(begun(settings, &start));
            metadata
                .write()
                .map_err(|error| OutputError::new(&metadata.path().display(), error))?;
        }
        Ok(writer)
    }

    /// Writes what came of the run.
    pub(super) fn end(mut self, ended: &Result<Ended, RunError>) -> Result<(), OutputError> {
        let Some(metadata) = &mut self.metadata else { return Ok(()) };
        let end = now();
        metadata.set(TIME_END, end.clone());
        let mut run = Map::new();
        run.insert("ended".into(), end.into());
        match ended {
            Ok(ended) => {
                let changed = ended.changed.iter().map(|(key, before, given)| {
                    (key.clone(), json!({"before": before, "given": given}))
                });
                run.insert("sysctls_changed".into(), Value::Object(changed.collect()));
                run.insert("end".into(), ended.reason().into());
                if !ended.finished.is_empty() {
                    // Its record is one that JSON can say: the rules were applied to it.
                    let said = serde_json::to_value(&ended.finished).unwrap_or_default();
                    run.insert("plugin".into(), said);
                }
                run.insert("counts".into(), counts(&ended.summary, &ended.counters, &ended.input));
            }
            Err(error) => {
                run.insert("end".into(), error.to_string().into());
            }
        }
        metadata.amend_run(run);
        metadata.write().map_err(|error| OutputError::new(&metadata.path().display(), error))
    }
}

/// The metadata of an output that is gone on with, if the settings are the same.
fn go_on(path: &Path, length: u64, ours: Metadata) -> Result<Metadata, RunError> {
    let refuse = |reason: String| {
        Err(RunError::Settings(format!("{} cannot be resumed: {reason}", path.display())))
    };
    match Metadata::read(path) {
        Ok(None) if length == 0 => Ok(ours),
        Ok(None) => {
            refuse(format!("{} is missing, which says how it was made", ours.path().display()))
        }
        Err(error) => refuse(format!("{} cannot be read: {error}", ours.path().display())),
        Ok(Some(theirs)) => {
            let differences = theirs.differences(&ours, &SETTINGS);
            if !differences.is_empty() && length > 0 {
                return refuse(differences.join("; "));
            }
            let mut metadata = ours;
            for key in [TIME_START, "runs"] {
                if let Some(value) = theirs.get(key) {
                    metadata.set(key, value.clone());
                }
            }
            if metadata.get(OWNER).is_none()
                && let Some(owner) = theirs.get(OWNER)
            {
                metadata.set(OWNER, owner.clone());
            }
            Ok(metadata)
        }
    }
}

/// What is the same for all runs on an output.
fn describe(settings: &Settings<'_>, plan: &Plan, path: &Path) -> io::Result<Metadata> {
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
    let path = &found.file.path;
    let file = path.canonicalize().unwrap_or_else(|_| path.clone());
    let chains: Vec<String> =
        plan.measurement.chains().unwrap_or_default().iter().map(ToString::to_string).collect();
    let labels: Vec<&str> = plan.configurations.iter().map(|c| c.label.as_str()).collect();
    metadata.set(
        "plugin",
        json!({
            "name": found.info.name,
            "version": found.info.version,
            "contact": found.info.contact,
            "abi": found.abi.to_string(),
            "file": file.display().to_string(),
            "sha256": found.file.digest()?,
            "options": serde_json::to_value(settings.options.clone().into_record())?,
            "configurations": labels,
            "chains": chains,
        }),
    );
    metadata.set(
        "settings",
        json!({
            "output_flows": settings.with_flows,
            "duplicates": settings.rules.duplicates,
            "resolve": settings.rules.resolve,
        }),
    );
    Ok(metadata)
}

/// What is known of a run when it begins. Where it ends without a word, `end` stays null.
fn begun(settings: &Settings<'_>, start: &str) -> Value {
    let system = rustix::system::uname();
    let parameters: Map<String, Value> =
        system::parameters().into_iter().map(|(key, value)| (key, value.into())).collect();
    json!({
        "started": start,
        "ended": null,
        "end": null,
        "command": settings.keep.command,
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

fn counts(summary: &Summary, counters: &Counters, input: &job::Counts) -> Value {
    let malformed: Map<String, Value> = Malformed::ALL
        .iter()
        .filter(|&&kind| counters.malformed(kind) > 0)
        .map(|&kind| (kind.name().to_owned(), counters.malformed(kind).into()))
        .collect();
    json!({
        "targets": summary.targets,
        "conditions": summary.conditions,
        "missed_flows": summary.missed_flows,
        "failures": summary.failures,
        "plugin_errors": summary.plugin_errors,
        "discarded": summary.discarded,
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
            "flows": counters.flows,
            "evicted": counters.evicted,
        },
    })
}

fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}
