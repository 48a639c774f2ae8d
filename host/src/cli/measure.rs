//! Measurements, in whatever form they were asked for.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use clap::Args;
use clap::error::ErrorKind;
use pathspider_plugin_api::{ChainName, OptionValues};

use super::exit::{self, Exit, Failure};
use super::options::{MeasureOptions, measure_option_names, measure_options};
use super::{help, locating, names, plugin_args, shell, source};
use crate::job::{Format, Input};
use crate::merger::Ends;
use crate::output::{Counted, Output};
use crate::progress::Showing;
use crate::run::{RunEnd, RunError, RunOptions, foresee, run};
use crate::{forward, locating as searched};
use pathspider_observer::{SourceOptions, Strays, is_recorded};
use pathspider_plugins::{Found, Loaded, Registry};
use pathspider_runtime::crash;
use pathspider_runtime::process::Clock;
use pathspider_runtime::stop::Urgency;
use pathspider_runtime::text::of;
use pathspider_runtime::threads::SingleThread;
use pathspider_runtime::{files, say, streams, witness};
use pathspider_shell::error;

/// `pathspider measure`.
#[derive(Debug, Args)]
#[command(
    after_help = "`pathspider help PLUGIN` shows a plugin's own options, configurations and \
                  conditions; `pathspider --list-plugins` shows the plugins. The options above \
                  may also stand after PLUGIN.\n\nBefore a run changes a setting of the system, it \
                  notes in a journal how to undo that. The journal is in the folder that \
                  PATHSPIDER_STATE_DIR names; by default in /var/lib/pathspider or /run/pathspider \
                  for root, in ~/.local/state/pathspider or /tmp/pathspider-UID for others."
)]
pub(super) struct Measure {
    /// The plugin, and its own options
    #[arg(value_name = "PLUGIN", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(super) plugin: Vec<OsString>,

    #[command(flatten)]
    pub(super) options: MeasureOptions,
}

/// What a command line asks to be measured.
pub(super) struct Wanted {
    /// Options of the measurement that stand before the plugin's name.
    pub(super) before: Vec<OsString>,
    /// The plugin's name.
    pub(super) plugin: String,
    /// What follows it: its own options, and those of the measurement.
    pub(super) after: Vec<OsString>,
}

impl Wanted {
    /// What is wrong where the plugin's name follows a word that stands where `--locate` has its own.
    fn mistaken_when(&self, registry: &Registry) -> Option<Failure> {
        let is_plugin = |word: &OsString| {
            word.to_str().is_some_and(|name| names::lookup(registry, name).is_some())
        };
        let is_mistaken =
            locating::is_alone(&self.before) && self.after.first().is_some_and(is_plugin);
        is_mistaken.then(|| Failure::new(Exit::Usage, locating::no_when(&self.plugin)))
    }
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
        let taken = taken_as_value(&before, registry).unwrap_or_default();
        return Err(Failure::new(Exit::Usage, format!("measure which plugin? {taken}{there_are}")));
    };
    let plugin = plugin.to_string_lossy().into_owned();
    if plugin.starts_with('-') {
        return Err(names::no_option(&plugin, &measure_option_names()));
    }
    carry_out(Wanted { before, plugin, after: words.collect() }, single, registry)
}

/// Says that an option before the plugin took the plugin's name for its value, where one did.
fn taken_as_value(before: &[OsString], registry: &Registry) -> Option<String> {
    let values = before.iter().filter_map(|word| word.to_str()?.split_once('='));
    let mut plugins = values.filter(|(_, value)| names::lookup(registry, value).is_some());
    plugins.next().map(|(option, value)| format!("{value} is the value of {option}; "))
}

/// Runs a measurement whose plugin has options of its own.
pub(super) fn carry_out(
    wanted: Wanted,
    single: SingleThread,
    registry: &Registry,
) -> Result<Exit, Failure> {
    let found = match names::find(registry, &wanted.plugin) {
        Err(failure) => return Err(wanted.mistaken_when(registry).unwrap_or(failure)),
        Ok(found) => found,
    };
    let given = match plugin_args::parse(&found.info, &found.options, wanted.after) {
        Err(error) if error.kind() == ErrorKind::DisplayHelp => {
            return help::plugin(found, registry);
        }
        Err(error) if error.use_stderr() => {
            let line = error::line(&error, &format!("pathspider help {}", found.info.name));
            return Err(Failure::new(Exit::Usage, line));
        }
        given => given?,
    };
    let mut words = wanted.before;
    words.extend(given.general);
    let options = measure_options(words)?;
    let from = if given.targets.is_empty() { From::Input } else { From::Words(given.targets) };
    start(options, found, (given.values, from), single, registry)
}

/// Runs a measurement with its plugin's defaults.
pub(super) fn with_defaults(
    options: MeasureOptions,
    plugin: &str,
    single: SingleThread,
    registry: &Registry,
) -> Result<Exit, Failure> {
    let found = names::find(registry, plugin)?;
    start(options, found, (found.options.defaults(), From::Input), single, registry)
}

/// Measures the targets of these lines for another process, which reads the records from standard
/// output. `words` are options of the measurement.
pub(super) fn for_another(
    words: Vec<OsString>,
    (values, lines): (OptionValues, Vec<String>),
    found: &Found,
    single: SingleThread,
    registry: &Registry,
) -> Result<Exit, Failure> {
    start(measure_options(words)?, found, (values, From::Lines(lines)), single, registry)
}

/// Where targets come from.
enum From {
    /// The input that the options name.
    Input,
    /// The command line.
    Words(Vec<String>),
    /// Another process of this program.
    Lines(Vec<String>),
}

/// What is said of a run at its end, beside what went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Summing {
    Whole,
    /// The answer was sentences.
    Brief,
    /// Another process says it.
    Nothing,
}

/// Octets captured of each packet: all, where a conversation is to read them.
fn snaplen(asked: u32, measurement: &Loaded) -> u32 {
    if measurement.info.converses { asked.max(SourceOptions::default().snaplen) } else { asked }
}

/// Octets of the capture's buffer. The kernel clears it at the start of a run, so it is no larger than what may wait
/// in it: 128 short packets for each target in flight, and what others send.
fn capture_buffer(asked: Option<u32>, workers: usize, snaplen: u32) -> usize {
    const MIB: usize = 1 << 20;
    let needed = workers.saturating_mul(128 * snaplen as usize);
    asked.map_or(needed.clamp(16 * MIB, 64 * MIB), |mebibytes| mebibytes as usize * MIB)
}

fn start(
    arguments: MeasureOptions,
    found: &Found,
    (plugin_options, from): (OptionValues, From),
    single: SingleThread,
    registry: &Registry,
) -> Result<Exit, Failure> {
    witness::reports(Some(&format!("the {} run", found.info.name)));
    let mut measurement = names::load(found)?;
    measurement.info = measurement.info.of_run(&plugin_options);
    crash::loaded(std::iter::once(found.path.as_path()));
    let chains = registry.chains();
    let source = source::or_default(arguments.running.interface.clone());
    if let Some(source) = source.as_deref().filter(|source| is_recorded(source)) {
        return Err(Failure::new(
            Exit::Usage,
            format!("{source} is a recorded capture; to measure, name an interface with -i"),
        ));
    }
    for (option, file) in
        [("--save-pcap", &arguments.save_pcap), ("--status-file", &arguments.watching.status_file)]
    {
        if file.as_ref().is_some_and(|file| file.as_os_str() == "-") {
            let message =
                format!("{option} takes the name of a file, and no - (such a file is ./-)");
            return Err(Failure::new(Exit::Usage, message));
        }
    }
    let labels = arguments.labelling.labels()?;
    let databases = arguments.labelling.databases()?;
    let responders = arguments.responders.responders()?;
    let mut rules = arguments.targets.rules()?;
    let named = !matches!(from, From::Input);
    rules.resolve |= named;
    rules.both_families = named;
    let output = Output::from_argument(&arguments.output);
    let is_shown = || output == Output::Stdout && streams::output().as_fd().is_terminal();
    let summing = match from {
        From::Lines(_) => Summing::Nothing,
        From::Words(_) if is_shown() => Summing::Brief,
        _ => Summing::Whole,
    };
    let (input, format) = match from {
        From::Words(targets) => (words(targets, &arguments.input, registry)?, Format::Words),
        From::Lines(lines) => (Input::Words(lines), Format::Either),
        From::Input if arguments.csv_input => (Input::from_argument(&arguments.input), Format::Csv),
        From::Input => (Input::from_argument(&arguments.input), Format::Either),
    };
    let requests = arguments.requests();
    let mut showing: Showing = arguments.watching.into();
    showing.quiet |= summing != Summing::Whole;
    let clock = Clock::now();
    let is_dry = arguments.dry_run;
    let info = &found.info;
    let workers = arguments.running.workers();
    let snaplen = snaplen(arguments.snaplen, &measurement)
        .max(arguments.locating.least_snaplen())
        .max(arguments.responders.least_snaplen());
    let options = RunOptions {
        measurement: &measurement,
        plugin_options,
        chains: &chains,
        plugins: &registry.plugins,
        interface: source.as_deref().and_then(source::device),
        source,
        capture: SourceOptions {
            snaplen,
            tells_reflected: true,
            buffer_size: capture_buffer(arguments.capture_buffer, workers, snaplen),
            ..SourceOptions::default()
        },
        workers,
        input,
        format,
        rules,
        limits: arguments.targets.limits(),
        max_runtime: arguments.targets.max_runtime(),
        parent: arguments.parent,
        locating: arguments.locating.locating(),
        responders,
        ends: Ends { databases: Arc::new(databases), ..arguments.targets.ends() },
        labels,
        more_chains: ChainName::list(arguments.labelling.chains),
        output,
        clock,
        answers: (summing == Summing::Brief).then(|| {
            let (located, forward) = (searched::declared(info), forward::declared(info));
            [info.conditions.clone(), located, forward].concat()
        }),
        with_flows: arguments.output_flows,
        save_pcap: arguments.save_pcap.map(|path| files::absolute(&path)),
        plugin_timeout: arguments.plugin_timeout,
        showing,
        keep: arguments.keeping.keep(),
        requests,
    };
    if is_dry {
        let plan = foresee(&options).map_err(|error| failure(&error))?;
        return shell::write_json(&plan);
    }
    if matches!(options.input, Input::Stdin) && streams::input().as_fd().is_terminal() {
        say!("targets are read from this terminal, one a line; Ctrl-D ends them");
    }
    run(options, single, announce)
        .map_err(|error| failure(&error))
        .and_then(|ended| report(ended, clock, summing))
}

/// The input that targets on the command line are.
fn words(targets: Vec<String>, input: &Path, registry: &Registry) -> Result<Input, Failure> {
    let fail = |message| Err(Failure::new(Exit::Usage, message));
    if input != Path::new("-") {
        return fail("targets stand on the command line or in --input, not in both".to_owned());
    }
    if let Some(blank) = targets.iter().find(|word| word.trim().is_empty()) {
        return fail(format!(
            "{blank:?} is no target: name an address or a host, perhaps with a port"
        ));
    }
    if let Some(plugin) = targets.iter().find(|word| registry.find(word).is_some()) {
        return fail(format!(
            "{plugin} is a plugin, and a run has one: measure with {plugin} in a run of its own. If a \
             target has this name, write it with its port: {plugin}:80"
        ));
    }
    if let Some(file) = targets.iter().find(|word| Path::new(word).is_file()) {
        return fail(format!("{file} is a file: to read targets from it, give --input {file}"));
    }
    match targets.iter().find(|word| word.contains('\n')) {
        Some(word) => fail(format!("{word:?} is no target: it has several lines")),
        None => Ok(Input::Words(targets)),
    }
}

fn announce(urgency: Urgency) {
    match urgency {
        Urgency::Terminate => say!("stopping at once"),
        _ => say!("no new targets; finishing those in flight (once more to stop at once)"),
    }
}

/// Prints the summary of a run, and finds its exit status.
fn report(ended: RunEnd, clock: Option<Clock>, summing: Summing) -> Result<Exit, Failure> {
    let has_errors = ended.has_errors();
    let RunEnd { counted, duration, stopped, strays, failure, cause, .. } = ended;
    let Counted { summary, input, capture } = counted;
    match summing {
        Summing::Whole => say!("{}", summary.over(duration, &input.told())),
        Summing::Brief => say!("{}", summary.in_brief(duration, &input.told())),
        Summing::Nothing => input.refused().for_each(|line| say!("{line}")),
    }
    if stopped.is_some() && !input.whole && input.unread.is_none() && !input.limited {
        say!("the input was read up to line {}, and not to its end", input.lines);
    }
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
    if let Some(hint) = summary.chance.hint(duration) {
        say!("{hint}");
    }
    if let Some(Strays { count, interface, from }) = strays {
        let from = from.map(|from| format!(", the first from {from}")).unwrap_or_default();
        let noun = of(count, "packet that could be an answer", "packets that could be answers");
        say!(
            "{count} {noun} came in by {interface}{from}: the kernel delivers none of them to \
             connections that leave by another interface, so these targets seem silent. Measure on \
             the interface where answers come in"
        );
    }
    let unanswering = capture.unanswering_total();
    if unanswering > 0 {
        let kinds = capture.unanswering_kinds();
        say!(
            "{unanswering} packets answered nothing that was sent, so no verdict rests on them \
             ({kinds})"
        );
    }
    if clock.is_some_and(|clock| !clock.is_synchronised) {
        say!(
            "the clock of this machine is not synchronised, says the kernel: times in the records \
             may be wrong"
        );
    }
    if let Some(cause) = &cause {
        say!("{cause}");
    }
    match failure {
        Some(error) => Err(self::failure(&error)),
        None if stopped.is_some() || input.limited => Ok(Exit::Stopped),
        None if has_errors || cause.is_some_and(|cause| cause.is_local) => {
            Ok(Exit::FinishedWithErrors)
        }
        None => Ok(Exit::Finished),
    }
}

fn failure(error: &RunError) -> Failure {
    Failure::new(exit::of_run(error), error)
}
