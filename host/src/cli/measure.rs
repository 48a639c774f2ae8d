//! Measurements, in whatever form they were asked for.

use std::ffi::OsString;
use std::io::IsTerminal;

use clap::error::ErrorKind;
use pathspider_plugin_api::OptionValues;

use super::args::{MeasureOptions, measure_option_names, measure_options};
use super::exit::{Exit, Failure};
use super::{help, names, plugin_args};
use crate::job::{Format, Input};
use crate::output::{Counted, Output, OutputError};
use crate::run::{RunEnd, RunError, RunOptions, run};
use pathspider_observer::interface;
use pathspider_observer::{SourceError, SourceOptions, is_recorded};
use pathspider_plugins::{Found, Registry};
use pathspider_runtime::crash;
use pathspider_runtime::say;
use pathspider_runtime::stop::Urgency;
use pathspider_runtime::threads::SingleThread;
use pathspider_system::BeginError;

/// Prefixes of libtrace's URIs for live capture.
const LIVE_PREFIXES: [&str; 3] = ["int:", "ring:", "pcapint:"];

/// What a command line asks to be measured.
pub(super) struct Wanted {
    /// Options of the measurement that stand before the plugin's name.
    pub(super) before: Vec<OsString>,
    /// The plugin's name.
    pub(super) plugin: String,
    /// What follows it: its own options, and those of the measurement.
    pub(super) after: Vec<OsString>,
}

/// Runs `pathspider measure`: `before` are its own options, `words` the plugin and what follows.
pub(super) fn command(
    before: Vec<OsString>,
    words: Vec<OsString>,
    single: SingleThread,
    registry: &Registry,
) -> Result<Exit, Failure> {
    let mut words = words.into_iter();
    let Some(plugin) = words.next() else {
        let there_are = names::there_are(registry);
        return Err(Failure::new(Exit::Usage, format!("measure which plugin? {there_are}")));
    };
    let plugin = plugin.to_string_lossy().into_owned();
    if plugin.starts_with('-') {
        return Err(names::no_option(&plugin, &measure_option_names()));
    }
    carry_out(Wanted { before, plugin, after: words.collect() }, single, registry)
}

/// Runs a measurement whose plugin has options of its own.
pub(super) fn carry_out(
    wanted: Wanted,
    single: SingleThread,
    registry: &Registry,
) -> Result<Exit, Failure> {
    let found = names::find(registry, &wanted.plugin)?;
    let given = match plugin_args::parse(&found.info, &found.options, wanted.after) {
        Err(error) if error.kind() == ErrorKind::DisplayHelp => {
            return help::plugin(found, registry);
        }
        given => given?,
    };
    let mut words = wanted.before;
    words.extend(given.general);
    let options = measure_options(words)?;
    start(options, found, given.values, single, registry)
}

/// Runs a measurement with its plugin's defaults.
pub(super) fn with_defaults(
    options: MeasureOptions,
    plugin: &str,
    single: SingleThread,
    registry: &Registry,
) -> Result<Exit, Failure> {
    let found = names::find(registry, plugin)?;
    start(options, found, found.options.defaults(), single, registry)
}

fn start(
    arguments: MeasureOptions,
    found: &Found,
    plugin_options: OptionValues,
    single: SingleThread,
    registry: &Registry,
) -> Result<Exit, Failure> {
    let measurement = names::load(found)?;
    crash::loaded(std::iter::once(found.path.as_path()));
    let chains = registry.chains();
    let source = arguments.running.interface.clone().or_else(interface::of_default_route);
    if let Some(source) = source.as_deref().filter(|source| is_recorded(source)) {
        return Err(Failure::new(
            Exit::Usage,
            format!("{source} is a recorded capture; to measure, name an interface with -i"),
        ));
    }
    let rules = arguments.targets.rules()?;
    let options = RunOptions {
        measurement: &measurement,
        plugin_options,
        chains: &chains,
        plugins: &registry.plugins,
        interface: source.as_deref().and_then(device),
        source,
        capture: SourceOptions {
            snaplen: arguments.snaplen,
            buffer_size: arguments.capture_buffer as usize * 1024 * 1024,
            ..SourceOptions::default()
        },
        workers: arguments.running.workers(),
        input: Input::from_argument(&arguments.input),
        format: if arguments.csv_input { Format::Csv } else { Format::Either },
        rules,
        limits: arguments.targets.limits(),
        max_runtime: arguments.targets.max_runtime(),
        ends: arguments.targets.ends(),
        output: Output::from_argument(&arguments.output),
        with_flows: arguments.output_flows,
        save_pcap: arguments.save_pcap,
        plugin_timeout: arguments.plugin_timeout,
        showing: arguments.watching.into(),
        keep: arguments.keeping.keep(),
        contact: arguments.contact,
        body_limit: arguments.body_limit as usize,
    };
    if matches!(options.input, Input::Stdin) && std::io::stdin().is_terminal() {
        say!("targets are read from this terminal, one a line; Ctrl-D ends them");
    }
    run(options, single, announce).map_err(|error| tell(&error)).and_then(report)
}

/// The source that an argument names, else the interface of the default route.
pub(super) fn source_or_default(named: Option<String>) -> Result<String, Failure> {
    named
        .or_else(interface::of_default_route)
        .ok_or_else(|| Failure::new(Exit::NoInterface, RunError::NoInterface))
}

/// The interface behind a live source; `None` for all of them together.
fn device(source: &str) -> Option<String> {
    let name = LIVE_PREFIXES.iter().find_map(|prefix| source.strip_prefix(prefix));
    let name = name.unwrap_or(source);
    (name != "any").then(|| name.to_owned())
}

fn announce(urgency: Urgency) {
    match urgency {
        Urgency::Terminate => say!("stopping at once"),
        _ => say!("no new targets; finishing those in flight (once more to stop at once)"),
    }
}

/// Prints the summary of a run, and finds its exit status.
fn report(ended: RunEnd) -> Result<Exit, Failure> {
    let has_errors = ended.has_errors();
    let RunEnd { counted, duration, stopped, failure, .. } = ended;
    let Counted { summary, input, capture } = counted;
    say!("{}", summary.over(duration, &input.told()));
    if input.limited {
        say!("the number of --max-targets was reached");
    }
    let dropped = capture.lost();
    if dropped > 0 {
        say!(
            "the capture lost {dropped} packets: use fewer workers (-w) or a larger \
             buffer (--capture-buffer)"
        );
    }
    match failure {
        Some(error) => Err(tell(&error)),
        None if stopped.is_some() || input.limited => Ok(Exit::Stopped),
        None if has_errors => Ok(Exit::FinishedWithErrors),
        None => Ok(Exit::Finished),
    }
}

fn tell(error: &RunError) -> Failure {
    let exit = match error {
        RunError::Settings(_) => Exit::Usage,
        RunError::Plugin { .. } => Exit::PluginRefused,
        RunError::NoInterface => Exit::NoInterface,
        RunError::Source(source) => of_source(source),
        RunError::Read(_) => Exit::NoInput,
        RunError::Output(error) => of_output(error),
        RunError::Stalled { .. } => Exit::NoOutput,
        RunError::NoNetworkPrivilege(_) | RunError::Engine { denied: true, .. } => {
            Exit::NoPrivilege
        }
        RunError::Machine(BeginError::Stopped(_)) => Exit::Stopped,
        RunError::Machine(_) => Exit::Failed,
        RunError::Engine { .. }
        | RunError::System(_)
        | RunError::NotRestored { .. }
        | RunError::Panicked(_) => Exit::Failed,
    };
    Failure::new(exit, error)
}

/// The exit status of an output that cannot be written.
pub(super) fn of_output(error: &OutputError) -> Exit {
    if error.is_stopped() { Exit::Stopped } else { Exit::NoOutput }
}

/// The exit status of a source that cannot be opened or fails.
pub(super) fn of_source(error: &SourceError) -> Exit {
    match error {
        SourceError::NoInterface { .. } | SourceError::InterfaceDown { .. } => Exit::NoInterface,
        SourceError::NoPrivilege { .. } => Exit::NoPrivilege,
        SourceError::Filter { .. } | SourceError::Scheme { .. } => Exit::Usage,
        SourceError::NotReadable { .. }
        | SourceError::NotACapture { .. }
        | SourceError::LinkType { .. }
        | SourceError::NoDescription { .. }
        | SourceError::Truncated { .. }
        | SourceError::Damaged { .. } => Exit::NoInput,
        SourceError::NotWritable { .. } => Exit::NoOutput,
        _ => Exit::Failed,
    }
}
