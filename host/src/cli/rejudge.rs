//! `pathspider rejudge`: the conclusions of an earlier run, again, from its records and capture.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use clap::Args;
use pathspider_observer::{Source, SourceOptions, open};
use pathspider_plugin_api::abi::{ChainSet, MeasurementObject};
use pathspider_plugin_api::{ChainName, Error};
use pathspider_plugins::{Loaded, Registry};
use pathspider_runtime::asking::{ASKING, Asking};
use pathspider_runtime::files::{self, Existing};
use pathspider_runtime::text::of;
use pathspider_runtime::{crash, privileges, say, surroundings, witness};
use serde_json::json;

use super::exit::{Exit, Failure, of_output, of_source};
use super::keeping::Forcing;
use super::names;
use crate::output::{Metadata, Output, OutputError, RecordWriter, time};
use crate::rejudge::{Judge, Provenance, RejudgeError, Rejudged, claims, rejudge};

/// `pathspider rejudge`.
#[derive(Debug, Args)]
#[command(
    after_help = "The run must have had --output-flows and --save-pcap. No packet is sent, and no \
                  privilege is needed. The plugin that is found now concludes; it may be newer than \
                  the run's. Its options come from FILE.meta.json beside the records.\n\nRecords \
                  are written as the run wrote them, with the conditions and flow results that the \
                  plugin gives now. Standard error shows how many have other conditions than before, \
                  and which came and went. Differences are no failure."
)]
pub(super) struct RejudgeArgs {
    /// The records of the run (perhaps compressed); FILE.meta.json stands beside them
    #[arg(long, value_name = "FILE")]
    records: PathBuf,

    /// The packets that the run saved (--save-pcap; perhaps compressed); - is standard input
    #[arg(long, value_name = "FILE")]
    pcap: PathBuf,

    /// Write records to this file, compressed if named *.gz or *.zst; - is standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    output: PathBuf,

    /// Write only records whose conditions differ from before
    #[arg(long)]
    changed: bool,

    #[command(flatten)]
    forcing: Forcing,
}

impl RejudgeArgs {
    /// The same files, whatever a plugin does to the working directory.
    fn absolute(mut self) -> RejudgeArgs {
        for path in [&mut self.records, &mut self.pcap, &mut self.output] {
            if *path != Path::new("-") {
                *path = files::absolute(path);
            }
        }
        self
    }
}

/// Runs `pathspider rejudge`.
pub(super) fn run(arguments: RejudgeArgs, registry: &Registry) -> Result<Exit, Failure> {
    let arguments = &arguments.absolute();
    check_files(arguments)?;
    privileges::give_up();
    let provenance = Provenance::read(&arguments.records).map_err(failed)?;
    let found = names::find(registry, &provenance.plugin.name)?;
    let options = provenance.options(&found.options).map_err(failed)?;
    witness::reports(Some(&format!("rejudging the {} run", found.info.name)));
    let measurement = names::load(found)?;
    crash::loaded(registry.plugins.iter().map(|plugin| plugin.file.path.as_path()));
    let refused = |error: Error| {
        Failure::new(Exit::PluginRefused, format!("the plugin {}: {error}", measurement.info.name))
    };
    let default_port = options.default_port(&measurement.info);
    let asking = Asking::within(ASKING);
    let object = measurement.handle.instantiate(options).map_err(refused)?;
    let labels = object.configurations().map_err(refused)?;
    let labels: Vec<String> = labels.into_iter().map(|one| one.label().to_owned()).collect();
    provenance.check_configurations(&labels).map_err(failed)?;
    let more = ChainName::list(provenance.settings.chains.iter().cloned());
    let chains = chains(&measurement, &object, more, registry).map_err(refused)?;
    let judge = Judge {
        object: &object,
        info: &measurement.info,
        configurations: labels.len(),
        default_port,
        duplicates: provenance.settings.duplicates,
        has_networks: provenance.settings.asn_db,
        slots: Arc::clone(chains.slots()),
    };
    drop(asking);
    surroundings::restore(&measurement.info.name).map_err(|e| refused(Error::contract(e)))?;
    // All that is read is looked at before the output is emptied.
    let source = open_capture(&arguments.pcap)?;
    let claims = claims(&arguments.records, &judge).map_err(failed)?;
    let mut writer = open_output(arguments, &provenance, &measurement)?;
    let stages = (source, chains, claims);
    let judged = rejudge(&arguments.records, &judge, stages, arguments.changed, &mut writer);
    // What was judged before a failure is written.
    let finished = writer.finish();
    let rejudged = judged.map_err(failed)?;
    finished.map_err(no_output)?;
    report(&rejudged, &arguments.pcap)
}

fn chains(
    measurement: &Loaded,
    object: &MeasurementObject,
    more: Vec<ChainName>,
    registry: &Registry,
) -> Result<ChainSet, Error> {
    let catalogue = registry.chains();
    let asked = ChainName::union(object.chains()?, more);
    let resolved = catalogue.resolve_for(Some(&measurement.file.name()), &asked);
    Ok(resolved.map_err(Error::new)?.chains)
}

fn open_capture(path: &Path) -> Result<Source, Failure> {
    // Not an interface of that name.
    let uri = if path == Path::new("-") {
        "-".to_owned()
    } else {
        format!("pcapfile:{}", path.display())
    };
    open(&uri, &SourceOptions::default()).map_err(|error| Failure::new(of_source(&error), error))
}

/// Opens the output, and writes the metadata beside it where it is a file.
fn open_output(
    arguments: &RejudgeArgs,
    provenance: &Provenance,
    measurement: &Loaded,
) -> Result<RecordWriter, Failure> {
    let output = Output::from_argument(&arguments.output);
    let existing = arguments.forcing.existing();
    let file = match &output {
        Output::File(path) if path.metadata().map_or(true, |file| file.is_file()) => {
            Some(path.clone())
        }
        _ => None,
    };
    if let Some(path) = &file {
        let beside = Metadata::new(path);
        if existing == Existing::Refuse && beside.path().symlink_metadata().is_ok() {
            let error = std::io::ErrorKind::AlreadyExists.into();
            return Err(no_output(OutputError::new(&beside.path().display(), error)));
        }
    }
    // A signal ends this command as it ends any.
    let writer = RecordWriter::open(output, existing, &|| false).map_err(no_output)?;
    if let Some(path) = &file {
        let plugin = json!({
            "name": measurement.info.name,
            "version": measurement.info.version,
            "file": measurement.file.path.display().to_string(),
            "sha256": measurement.file.digest().ok(),
        });
        let capture = arguments.pcap.display().to_string();
        let metadata = provenance.metadata(path, &capture, plugin, time(SystemTime::now()));
        let written = metadata.write();
        written.map_err(|error| no_output(OutputError::new(&metadata.path().display(), error)))?;
    }
    Ok(writer)
}

/// Tells what came of it, and finds the exit status.
fn report(rejudged: &Rejudged, pcap: &Path) -> Result<Exit, Failure> {
    let Rejudged { comparison, capture } = rejudged;
    if let Some(error) = capture {
        say!("{error}; what was read before it counts");
    }
    say!("{}", comparison.summary());
    let lacking = comparison.lacking();
    if comparison.is_other() {
        let what = "has no packet of the connections that the run saw: is it of another run?";
        return Err(Failure::new(Exit::NoInput, format!("{} {what}", pcap.display())));
    }
    if lacking > 0 {
        let noun = of(lacking, "connection", "connections");
        say!("{} lacks the packets of {lacking} {noun} that the run saw", pcap.display());
    }
    if lacking > 0 || comparison.has_failed() {
        Ok(Exit::FinishedWithErrors)
    } else {
        Ok(Exit::Finished)
    }
}

/// Refuses to write over what is to be read.
fn check_files(arguments: &RejudgeArgs) -> Result<(), Failure> {
    let identity = |path: &Path| path.metadata().ok().map(|file| (file.dev(), file.ino()));
    if arguments.records == Path::new("-")
        || !arguments.records.metadata().map_or(true, |f| f.is_file())
    {
        let message = "--records names a file: it is read twice, and its metadata stand beside it";
        return Err(Failure::new(Exit::Usage, message));
    }
    let output = identity(&arguments.output);
    for read in [&arguments.records, &arguments.pcap] {
        if output.is_some() && identity(read) == output && arguments.output != Path::new("-") {
            let message = format!("{} is both input and output", arguments.output.display());
            return Err(Failure::new(Exit::Usage, message));
        }
    }
    Ok(())
}

fn failed(error: RejudgeError) -> Failure {
    match error {
        RejudgeError::Output(error) => no_output(error),
        error => Failure::new(Exit::NoInput, error),
    }
}

fn no_output(error: OutputError) -> Failure {
    Failure::new(of_output(&error), error)
}
