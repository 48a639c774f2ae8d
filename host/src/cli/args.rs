//! The raw arguments, in the forms of PATHspider 0.9, 1.0 and 2.x.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use super::check::CheckArgs;
use super::filter::FilterArgs;
use super::keeping::Keeping;
use super::metadata::MetadataArgs;
use super::observe::ObserveArgs;
use super::rejudge::RejudgeArgs;
use super::restore::RestoreArgs;
use super::shell::CompletionsArgs;
use super::targets::Targets;
use crate::progress::Showing;

/// pathspider measures whether the Internet's paths carry transport protocols and their extensions
/// unharmed.
///
/// To each target it makes a connection with a baseline configuration and one with each
/// experimental one, watches the packets on the wire, and concludes from both what the path did.
#[derive(Debug, Parser)]
#[command(name = "pathspider", version, disable_help_subcommand = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Option<Command>,

    /// List the plugins that can be used, and what was rejected
    #[arg(short, long)]
    pub(super) list_plugins: bool,

    /// Tell all about a plugin: options, configurations, chains, conditions, privileges
    #[arg(long, value_name = "PLUGIN", conflicts_with = "list_plugins")]
    pub(super) plugin_info: Option<String>,

    /// With --list-plugins or --plugin-info: as one JSON object
    #[arg(long)]
    pub(super) json: bool,

    /// Look for plugins in this folder first; may be given several times
    #[arg(long, value_name = "DIR", global = true)]
    pub(super) plugin_dir: Vec<PathBuf>,

    /// As root, take plugins also from files and folders that others own or can write: they get
    /// root's privileges
    #[arg(long, global = true)]
    pub(super) insecure_plugins: bool,

    /// Tell what plugins say for debugging, too
    #[arg(short, long, global = true)]
    pub(super) verbose: bool,

    #[command(flatten)]
    pub(super) general: General,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Measure the paths to all targets of the input
    Measure(Box<Measure>),
    /// Watch whatever passes, and write a record of every flow
    Observe(ObserveArgs),
    /// Pick from records or targets, by their conditions and keys
    Filter(FilterArgs),
    /// Conclude again from the records and the capture of an earlier run
    Rejudge(RejudgeArgs),
    /// Check plugins' files against the contract
    Check(CheckArgs),
    /// Make or amend the metadata beside files of records
    Metadata(MetadataArgs),
    /// Restore what killed runs had changed in the system
    Restore(RestoreArgs),
    /// Show help for a command or a plugin
    Help(HelpArgs),
    /// Write a script that completes this program's arguments in a shell
    Completions(CompletionsArgs),
    /// Write the manual pages into a folder
    #[command(hide = true)]
    Man {
        /// The folder
        folder: PathBuf,
    },
    /// A plugin (1.0) or an input file (0.9), and what follows it.
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

/// `pathspider help`.
#[derive(Debug, Args)]
pub(super) struct HelpArgs {
    /// A command, a plugin, or `measure` and a plugin
    #[arg(value_name = "COMMAND or PLUGIN")]
    pub(super) topic: Vec<String>,
}

/// What can stand before a plugin or an input file, without a command.
#[derive(Debug, Args)]
pub(super) struct General {
    /// Run alone; there is no other mode any more
    #[arg(short, long, hide = true)]
    pub(super) standalone: bool,

    /// The plugin [default: ecn]
    #[arg(short, long, value_name = "PLUGIN")]
    pub(super) plugin: Option<String>,

    #[command(flatten)]
    pub(super) options: MeasureOptions,
}

/// How targets are reached and watched, in every form.
#[derive(Debug, Args)]
pub(super) struct Running {
    /// The interface to connect from and to capture on [default: the default route's]
    #[arg(short, long, value_name = "IF")]
    pub(super) interface: Option<String>,

    /// How many targets are measured at the same time [default: 100]
    #[arg(short, long, alias = "worker-count", value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) workers: Option<u32>,
}

/// How a run is shown while it goes.
#[derive(Debug, Args)]
pub(super) struct Watching {
    /// Say nothing while it runs but warnings and errors
    #[arg(short, long)]
    pub(super) quiet: bool,

    /// Write a row of CSV each second to this file, in place of an earlier run's: done, rate, in
    /// flight, losses, conditions
    #[arg(long, value_name = "FILE")]
    pub(super) status_file: Option<PathBuf>,
}

impl From<Watching> for Showing {
    fn from(watching: Watching) -> Showing {
        Showing { quiet: watching.quiet, status_file: watching.status_file }
    }
}

impl Running {
    /// How many targets are measured at the same time.
    pub(super) fn workers(&self) -> usize {
        self.workers.unwrap_or(100) as usize
    }
}

/// The options of a measurement, as they are written.
pub(super) fn measure_option_names() -> Vec<String> {
    let command = MeasureOptions::augment_args(clap::Command::new("measure"));
    let names = command.get_arguments().filter_map(clap::Arg::get_long);
    names.map(|name| format!("--{name}")).collect()
}

/// `pathspider measure`.
#[derive(Debug, Args)]
#[command(
    after_help = "`pathspider help PLUGIN` shows a plugin's own options, configurations and \
                  conditions; `pathspider --list-plugins` shows the plugins. The options above \
                  may also stand after PLUGIN.\n\nHow to undo each change of the system's settings \
                  is written down before it is made, in the folder that PATHSPIDER_STATE_DIR names \
                  (else /var/lib/pathspider or /run/pathspider for root, \
                  ~/.local/state/pathspider or /tmp/pathspider-UID for others)."
)]
pub(super) struct Measure {
    /// The plugin, and its own options
    #[arg(value_name = "PLUGIN", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(super) plugin: Vec<OsString>,

    #[command(flatten)]
    pub(super) options: MeasureOptions,
}

/// The options of a measurement that are not its plugin's, in every form.
#[derive(Debug, Args)]
pub(super) struct MeasureOptions {
    #[command(flatten)]
    pub(super) running: Running,

    /// Read targets from this file (ndjson or CSV, perhaps compressed); - is standard input
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub(super) input: PathBuf,

    /// Every line of the input is comma-separated (ip,port,host or ip,port,host,rank or
    /// rank,domain, or as its first row names the columns), also if it begins with a brace
    #[arg(long)]
    pub(super) csv_input: bool,

    /// Write records to this file; - is standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub(super) output: PathBuf,

    /// Add the results of each connection to the records
    #[arg(long)]
    pub(super) output_flows: bool,

    /// Keep the packets of our own connections in this capture file
    #[arg(long, value_name = "FILE")]
    pub(super) save_pcap: Option<PathBuf>,

    /// Give a plugin that connects by itself so long for each call [default: 60s, or twice its
    /// --timeout]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(super) plugin_timeout: Option<Duration>,

    /// Whom to ask about these connections, an address or a URL; sent in the User-Agent of HTTP
    /// requests [default: pathspider's own page]
    #[arg(long, value_name = "TEXT", value_parser = contact)]
    pub(super) contact: Option<String>,

    /// Keep this many octets of the body of an HTTP response; the rest is not read
    #[arg(long, value_name = "OCTETS", default_value_t = BODY_LIMIT,
          value_parser = clap::value_parser!(u32).range(..=67_108_864))]
    pub(super) body_limit: u32,

    /// Keep this many octets of each captured packet
    #[arg(long, value_name = "OCTETS", default_value_t = 512,
          value_parser = clap::value_parser!(u32).range(128..=262_144))]
    pub(super) snaplen: u32,

    /// Give the capture a buffer of this many mebibytes
    #[arg(long, value_name = "MIB", default_value_t = 64,
          value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(super) capture_buffer: u32,

    #[command(flatten)]
    pub(super) watching: Watching,

    #[command(flatten)]
    pub(super) targets: Targets,

    #[command(flatten)]
    pub(super) keeping: Keeping,
}

/// Octets of an HTTP response's body that are kept.
pub(super) const BODY_LIMIT: u32 = 64 * 1024;

/// Checks that a text can stand in a User-Agent's comment (RFC 9110, section 5.6.5).
fn contact(text: &str) -> Result<String, String> {
    let fits = |c: char| (c == ' ' || c.is_ascii_graphic()) && !['(', ')', '\\'].contains(&c);
    if !text.trim().is_empty() && text.chars().all(fits) {
        return Ok(text.to_owned());
    }
    Err("it is sent in an HTTP header: ASCII without parentheses and backslashes".to_owned())
}

/// PATHspider 0.9's whole command line. Its options may stand between and after the files, so it
/// is read anew once it is clear that there is no command.
#[derive(Debug, Parser)]
#[command(name = "pathspider", disable_help_flag = true)]
pub(super) struct Files {
    #[arg(long, value_name = "DIR", hide = true)]
    pub(super) plugin_dir: Vec<PathBuf>,

    #[arg(long, hide = true)]
    pub(super) insecure_plugins: bool,

    #[arg(short, long, hide = true)]
    pub(super) verbose: bool,

    #[command(flatten)]
    pub(super) general: General,

    /// Read targets from this file, as ndjson or CSV
    #[arg(value_name = "INPUTFILE", requires = "output_file", conflicts_with = "input")]
    pub(super) input_file: PathBuf,

    /// Write records to this file
    #[arg(value_name = "OUTPUTFILE", conflicts_with = "output")]
    pub(super) output_file: Option<PathBuf>,
}

/// The parser of the whole command line. `name` is the program's, by which it was called.
pub(super) fn parser(name: &str) -> clap::Command {
    let shown = ["interface", "workers"];
    let general = option_ids();
    Arguments::command()
        .bin_name(name)
        .override_usage(format!(
            "{name} COMMAND …\n       \
             {name} [OPTIONS] PLUGIN [PLUGIN'S OPTIONS] <INPUT >OUTPUT\n       \
             {name} [OPTIONS] [-p PLUGIN] INPUTFILE OUTPUTFILE"
        ))
        .after_help(format!(
            "The second form is PATHspider 1.0's and the third 0.9's; both take ndjson or CSV, and \
             the options of `{name} measure`."
        ))
        .mut_args(move |argument| {
            let id = argument.get_id().as_str();
            let hide = general.iter().any(|other| other == id) && !shown.contains(&id);
            if hide { argument.hide(true) } else { argument }
        })
}

/// The arguments of [`MeasureOptions`].
pub(super) fn option_arguments() -> impl Iterator<Item = clap::Arg> {
    let command = MeasureOptions::augment_args(clap::Command::new("measure"));
    command.get_arguments().cloned().collect::<Vec<_>>().into_iter()
}

fn option_ids() -> Vec<String> {
    option_arguments().map(|argument| argument.get_id().to_string()).collect()
}

/// The options that these words give; of one that is given twice, the later counts.
///
/// # Errors
///
/// The parser's message: the words were checked one by one, but not together.
pub(super) fn measure_options(words: Vec<OsString>) -> Result<MeasureOptions, clap::Error> {
    let later_counts = |argument: clap::Arg| match argument.get_action() {
        ArgAction::Append => argument,
        _ => {
            let id = argument.get_id().clone();
            argument.overrides_with(id)
        }
    };
    let command = MeasureOptions::augment_args(clap::Command::new("measure"));
    let matches =
        command.mut_args(later_counts).no_binary_name(true).try_get_matches_from(words)?;
    MeasureOptions::from_arg_matches(&matches)
}
