//! `pathspider observe`: records of whatever passes on an interface or stands in a capture file. Packets and
//! flows are the observer's.

mod chains;
mod writing;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use pathspider_plugin_api::ChainName;

use super::exit::{Exit, Failure, of_output, of_source};
use super::keeping::Forcing;
use super::source;
use super::targets::time;
use crate::output::{Output, OutputError, RecordWriter};
use pathspider_observer::chains::{Catalogue, Resolved};
use pathspider_observer::{Settings, Source, SourceOptions, open};
use pathspider_plugins::Registry;
use pathspider_runtime::stop::{Caught, Stop};
use pathspider_runtime::text::of;
use pathspider_runtime::threads::{SingleThread, Threads};
use pathspider_runtime::{crash, say, witness};
use writing::{Observing, ObservingEnd};

/// `pathspider observe`.
#[derive(Debug, Args)]
#[command(after_help = "SOURCE is an interface (eth0, int:eth0, ring:eth0, pcapint:eth0, any), a \
                  capture file (x.pcap, pcapfile:x.pcap; pcap or pcapng, also compressed by gzip, \
                  zstd or xz), or - for a capture on standard input.")]
pub(super) struct ObserveArgs {
    /// Observe this source [default: the default route's interface]
    #[arg(short, long, value_name = "SOURCE")]
    interface: Option<String>,

    /// Write records to this file; - is standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    output: PathBuf,

    #[command(flatten)]
    forcing: Forcing,

    /// List the chains and their fields
    #[arg(long)]
    list_chains: bool,

    /// Look only at packets that match, in the language of pcap-filter(7)
    #[arg(long, value_name = "BPF")]
    filter: Option<String>,

    /// Keep this many octets of each captured packet
    #[arg(long, value_name = "OCTETS", default_value_t = 65_535,
          value_parser = clap::value_parser!(u32).range(64..=262_144))]
    snaplen: u32,

    /// Size of the capture's buffer, in mebibytes
    #[arg(long, value_name = "MIB", default_value_t = 64,
          value_parser = clap::value_parser!(u32).range(1..=2047))]
    capture_buffer: u32,

    /// Receive packets for other machines too
    #[arg(long)]
    promiscuous: bool,

    /// Look at the packets inside tunnels (GRE, IP in IP, VXLAN, GTP and others), not at the tunnels'
    /// own packets
    #[arg(long)]
    inside: bool,

    /// End flows after this time without a packet
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time)]
    idle: Duration,

    /// Wait this long for late packets of complete flows
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time)]
    linger: Duration,

    /// Keep at most N flows at once; if there are more, the flows that were silent longest end early
    #[arg(long, value_name = "N", default_value_t = 1 << 20,
          value_parser = clap::value_parser!(u32).range(1..=1 << 30))]
    max_flows: u32,

    /// The chains that look at the packets
    #[arg(value_name = "CHAIN", required_unless_present = "list_chains")]
    chains: Vec<String>,
}

/// Runs `pathspider observe`.
pub(super) fn run(
    arguments: ObserveArgs,
    single: SingleThread,
    registry: &Registry,
) -> Result<Exit, Failure> {
    let catalogue = registry.chains();
    if arguments.list_chains {
        return chains::list(&catalogue);
    }
    witness::reports(Some("observing"));
    let chains = resolve(&catalogue, &arguments.chains)?;
    crash::loaded(registry.plugins.iter().map(|plugin| plugin.file.path.as_path()));
    let source = open_source(&arguments)?;
    let threads = single.end();
    let stop = stop_on_signals(threads, &source)?;
    let output = Output::from_argument(&arguments.output);
    let name = output.to_string();
    let existing = arguments.forcing.existing();
    let records = RecordWriter::open(output, existing, &|| stop.is_asked()).map_err(no_output)?;
    let settings = Settings {
        idle: arguments.idle,
        linger: arguments.linger,
        inside: arguments.inside,
        max_flows: arguments.max_flows as usize,
        ..Settings::default()
    };
    let observing = Observing::start(threads, source, chains.chains, settings, records)
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot start a thread: {error}")))?;
    report(observing.end(&stop, &name)?, &stop)
}

fn resolve(catalogue: &Catalogue, names: &[String]) -> Result<Resolved, Failure> {
    let names: Vec<ChainName> = names.iter().map(|name| name.as_str().into()).collect();
    catalogue.resolve(&names).map_err(|error| Failure::new(Exit::Usage, error))
}

fn open_source(arguments: &ObserveArgs) -> Result<Source, Failure> {
    let uri = source::needed(arguments.interface.clone())?;
    let options = SourceOptions {
        buffer_size: arguments.capture_buffer as usize * 1024 * 1024,
        snaplen: arguments.snaplen,
        filter: arguments.filter.clone(),
        promiscuous: arguments.promiscuous,
        ..SourceOptions::default()
    };
    open(&uri, &options).map_err(|error| Failure::new(of_source(&error), error))
}

/// A signal ends the source, and so all flows: nothing that was seen is lost. A second one does the
/// same, and has an output that takes nothing be given up.
fn stop_on_signals(threads: Threads, source: &Source) -> Result<Arc<Stop>, Failure> {
    let stop = Stop::new();
    let stopper = source.stopper();
    // Where there can be no thread, whoever says something writes it.
    let _ = say::begin(threads);
    Caught::new(stop.clone(), move |_| stopper.stop())
        .and_then(|signals| signals.listen(threads))
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot handle signals: {error}")))?;
    Ok(stop)
}

/// Tells what was counted on standard error, and finds the exit status.
fn report(ended: ObservingEnd, stop: &Stop) -> Result<Exit, Failure> {
    let ObservingEnd { source, observed, output, failed_flows, chain_failure } = ended;
    say!("{}", observed.counters);
    if let Some(error) = chain_failure {
        say!("a chain failed on {failed_flows} {}: {error}", of(failed_flows, "flow", "flows"));
    }
    output.map_err(no_output)?;
    if let Err(error) = observed.source {
        let exit = if source.is_live() { of_source(&error) } else { Exit::NoInput };
        return Err(Failure::new(exit, error));
    }
    // A live source has no other end than a signal.
    if stop.is_asked() && !source.is_live() {
        return Ok(Exit::Stopped);
    }
    Ok(if failed_flows > 0 { Exit::FinishedWithErrors } else { Exit::Finished })
}

fn no_output(error: OutputError) -> Failure {
    Failure::new(of_output(&error), error)
}
