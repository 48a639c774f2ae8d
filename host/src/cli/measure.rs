//! `pathspider measure`, and PATHspider 0.9's form without a command.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::args::{BODY_LIMIT, Measure, Running, Standalone};
use super::exit::{Exit, Failure};
use super::plugin_args;
use super::targets::Targets;
use crate::crash;
use crate::interface;
use crate::job::{Format, Input};
use crate::observer::{SourceError, SourceOptions, is_recorded};
use crate::output::Output;
use crate::plugin::{Found, LoadError, Registry};
use crate::progress::Showing;
use crate::run::{Ended, RunError, Settings, run};
use crate::say::say;
use crate::stop::{self, Stop, Urgency};
use crate::system::BeginError;

/// The plugin of 0.9's form where none is named.
const DEFAULT_PLUGIN: &str = "ecn";

/// Prefixes of libtrace's URIs for live capture.
const LIVE_PREFIXES: [&str; 3] = ["int:", "ring:", "pcapint:"];

/// Runs `pathspider measure`.
pub(super) fn measure(arguments: Measure, registry: &Registry) -> Result<Exit, Failure> {
    let mut words = arguments.plugin.into_iter();
    let Some(name) = words.next() else {
        return Err(Failure::new(
            Exit::Usage,
            format!("measure which plugin? {}", there_are(registry)),
        ));
    };
    let format = if arguments.csv_input { Format::Csv } else { Format::Either };
    let request = Request {
        running: arguments.running,
        targets: arguments.targets,
        input: Input::from_argument(&arguments.input),
        format,
        output: Output::from_argument(&arguments.output),
        with_flows: arguments.output_flows,
        save_pcap: arguments.save_pcap,
        plugin_timeout: arguments.plugin_timeout,
        showing: arguments.watching.into(),
        contact: arguments.contact,
        body_limit: arguments.body_limit,
        capture: SourceOptions {
            snaplen: arguments.snaplen,
            buffer_size: arguments.capture_buffer as usize * 1024 * 1024,
            ..SourceOptions::default()
        },
    };
    request.carry_out(&name.to_string_lossy(), words, registry)
}

/// Runs the form of 0.9.
pub(super) fn standalone(arguments: Standalone, registry: &Registry) -> Result<Exit, Failure> {
    let (Some(input), Some(output)) = (arguments.input, arguments.output) else {
        return Err(Failure::new(
            Exit::Usage,
            "no command and no INPUTFILE OUTPUTFILE were given; see pathspider --help",
        ));
    };
    let request = Request {
        running: arguments.running,
        targets: arguments.targets,
        input: Input::from_argument(&input),
        format: Format::Either,
        output: Output::from_argument(&output),
        with_flows: false,
        save_pcap: None,
        plugin_timeout: None,
        showing: Showing::default(),
        contact: None,
        body_limit: BODY_LIMIT,
        capture: SourceOptions::default(),
    };
    let plugin = arguments.plugin.as_deref().unwrap_or(DEFAULT_PLUGIN);
    request.carry_out(plugin, std::iter::empty(), registry)
}

/// What both forms ask for.
struct Request {
    running: Running,
    targets: Targets,
    input: Input,
    format: Format,
    output: Output,
    with_flows: bool,
    save_pcap: Option<PathBuf>,
    plugin_timeout: Option<Duration>,
    showing: Showing,
    contact: Option<String>,
    body_limit: u32,
    capture: SourceOptions,
}

impl Request {
    fn carry_out(
        self,
        name: &str,
        words: impl Iterator<Item = OsString>,
        registry: &Registry,
    ) -> Result<Exit, Failure> {
        let found = find(registry, name)?;
        let options = plugin_args::parse(&found.info, &found.options, words)?;
        let measurement = found.load().map_err(|error| refuse(&found.path, &error))?;
        crash::loaded(std::iter::once(found.path.as_path()));
        let chains = registry.chains();
        let source = self.running.interface.clone().or_else(interface::of_default_route);
        if let Some(source) = source.as_deref().filter(|source| is_recorded(source)) {
            return Err(Failure::new(
                Exit::Usage,
                format!("{source} is a recorded capture; to measure, name an interface with -i"),
            ));
        }
        let rules = self.targets.rules()?;
        let stop = Stop::new();
        stop::on_signals(std::sync::Arc::clone(&stop), announce).map_err(|error| {
            Failure::new(Exit::Failed, format!("cannot handle signals: {error}"))
        })?;
        let settings = Settings {
            measurement: &measurement,
            options,
            chains: &chains,
            interface: source.as_deref().and_then(device),
            source,
            capture: self.capture,
            plugin_timeout: self.plugin_timeout,
            contact: self.contact,
            body_limit: self.body_limit as usize,
            workers: self.running.workers(),
            input: self.input,
            format: self.format,
            rules,
            max_runtime: self.targets.max_runtime(),
            ends: self.targets.ends(),
            output: self.output,
            with_flows: self.with_flows,
            save_pcap: self.save_pcap,
            showing: self.showing,
        };
        run(settings, &stop).map_err(|error| tell(&error)).and_then(report)
    }
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

fn find<'a>(registry: &'a Registry, name: &str) -> Result<&'a Found, Failure> {
    if let Some(found) = registry.find(name) {
        if let Some(shadowed) = registry.shadowed.iter().find(|s| s.name == found.info.name) {
            say!(
                "using {} of {}; the one of {} is not used",
                shadowed.name,
                shadowed.by.display(),
                shadowed.path.display()
            );
        }
        for rejected in registry.rejected_named(name) {
            say!(
                "using {}; {} is rejected: {}",
                found.path.display(),
                rejected.path.display(),
                rejected.error
            );
        }
        return Ok(found);
    }
    if let Some(rejected) = registry.rejected_named(name).next() {
        return Err(refuse(&rejected.path, &rejected.error));
    }
    Err(Failure::new(
        Exit::NoPlugin,
        format!("there is no plugin named {name:?}; {}", there_are(registry)),
    ))
}

fn refuse(path: &Path, error: &LoadError) -> Failure {
    let message = format!("the plugin {} is rejected: {error}", path.display());
    Failure::new(Exit::PluginRefused, message)
}

fn there_are(registry: &Registry) -> String {
    let names: Vec<&str> = registry.found.iter().map(|found| found.info.name.as_str()).collect();
    match names.is_empty() {
        true => "no plugin was found (see pathspider --list-plugins)".to_owned(),
        false => format!("there are: {}", names.join(", ")),
    }
}

/// Prints the summary of a run, and finds its exit status.
fn report(ended: Ended) -> Result<Exit, Failure> {
    let Ended { summary, counters, input, duration, stopped, failure } = ended;
    say!("{}", summary.over(duration, &input.told()));
    if input.limited {
        say!("the number of --max-targets was reached");
    }
    let dropped = counters.lost();
    if dropped > 0 {
        say!(
            "the capture lost {dropped} packets: use fewer workers (-w) or a larger \
             buffer (--capture-buffer)"
        );
    }
    match failure {
        Some(error) => Err(tell(&error)),
        None if stopped => Ok(Exit::Stopped),
        None if input.bad_lines > 0 || summary.plugin_errors > 0 => Ok(Exit::FinishedWithErrors),
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
        RunError::Output(_) | RunError::Stalled { .. } => Exit::NoOutput,
        RunError::Engine { denied: true, .. } => Exit::NoPrivilege,
        RunError::Machine(BeginError::Stopped(_)) => Exit::Stopped,
        RunError::Machine(_) => Exit::Failed,
        RunError::Engine { .. } | RunError::System(_) | RunError::Panicked(_) => Exit::Failed,
    };
    Failure::new(exit, error)
}

/// The exit status of a source that cannot be opened or fails.
pub(super) fn of_source(error: &SourceError) -> Exit {
    match error {
        SourceError::NoInterface { .. } | SourceError::InterfaceDown { .. } => Exit::NoInterface,
        SourceError::NoPrivilege { .. } => Exit::NoPrivilege,
        SourceError::Filter { .. } | SourceError::Scheme { .. } => Exit::Usage,
        SourceError::NotReadable { .. } | SourceError::NotACapture { .. } => Exit::NoInput,
        _ => Exit::Failed,
    }
}
