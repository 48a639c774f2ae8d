//! The options of a measurement that are not its plugin's, the same in every form of the command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, FromArgMatches};

use super::keeping::Keeping;
use super::labels::Labelling;
use super::locating::LocatingOptions;
use super::responders::ResponderOptions;
use super::targets::{Targets, time};
use crate::engine::Requests;
use crate::progress::Showing;
use pathspider_runtime::files;

/// The options of a measurement that are not its plugin's, in every form.
#[derive(Debug, Args)]
pub(super) struct MeasureOptions {
    #[command(flatten)]
    pub(super) running: Running,

    /// Read targets from this file: ndjson or CSV, perhaps compressed; - is standard input
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub(super) input: PathBuf,

    /// Take every line of the input for a comma-separated row, also if it begins with a brace. The
    /// columns are ip,port,host or ip,port,host,rank or rank,domain, or as the first row names them
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

    /// Time limit for each call into a plugin [default: 60s, or twice its --timeout]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(super) plugin_timeout: Option<Duration>,

    /// Say in the User-Agent of HTTP requests whom to ask about them: an address or a URL [default:
    /// pathspider's own page]
    #[arg(long, value_name = "TEXT", value_parser = contact)]
    pub(super) contact: Option<String>,

    /// Keep this many octets of the body of an HTTP response, and do not read the rest
    #[arg(long, value_name = "OCTETS", default_value_t = BODY_LIMIT,
          value_parser = clap::value_parser!(u32).range(..=67_108_864))]
    pub(super) body_limit: u32,

    /// Keep this many octets of each captured packet
    #[arg(long, value_name = "OCTETS", default_value_t = 512,
          value_parser = clap::value_parser!(u32).range(128..=262_144))]
    pub(super) snaplen: u32,

    /// Size of the capture's buffer, in mebibytes [default: 16 to 64, by --workers]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(super) capture_buffer: Option<u32>,

    /// Write what would be measured as one JSON object, and end: no target is read, nothing is sent
    #[arg(long)]
    pub(super) dry_run: bool,

    /// Stop, as after a first signal, when the process with this number is gone. It has to be the process
    /// that started this program
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(u32).range(1..=0x3fff_ffff))]
    pub(super) parent: Option<u32>,

    #[command(flatten)]
    pub(super) watching: Watching,

    #[command(flatten)]
    pub(super) targets: Targets,

    #[command(flatten)]
    pub(super) locating: LocatingOptions,

    #[command(flatten)]
    pub(super) responders: ResponderOptions,

    #[command(flatten)]
    pub(super) labelling: Labelling,

    #[command(flatten)]
    pub(super) keeping: Keeping,
}

impl MeasureOptions {
    /// What HTTP requests say, and what is kept of their responses.
    pub(super) fn requests(&self) -> Requests {
        Requests { contact: self.contact.clone(), body_limit: self.body_limit as usize }
    }
}

/// Octets of an HTTP response's body that are kept.
const BODY_LIMIT: u32 = 64 * 1024;

/// Checks that a text can stand in a User-Agent's comment (RFC 9110, section 5.6.5).
fn contact(text: &str) -> Result<String, String> {
    let fits = |c: char| (c == ' ' || c.is_ascii_graphic()) && !['(', ')', '\\'].contains(&c);
    if !text.trim().is_empty() && text.chars().all(fits) {
        return Ok(text.to_owned());
    }
    Err("it is sent in an HTTP header: ASCII without parentheses and backslashes".to_owned())
}

/// How targets are reached and watched, in every form.
#[derive(Debug, Args)]
pub(super) struct Running {
    /// Connect from this interface, and capture on it [default: the default route's]
    #[arg(short, long, value_name = "IF")]
    pub(super) interface: Option<String>,

    /// Measure N targets at the same time [default: 100]
    #[arg(short, long, alias = "worker-count", value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) workers: Option<u32>,
}

/// How a run is shown while it goes.
#[derive(Debug, Args)]
pub(super) struct Watching {
    /// Show only warnings and errors while it runs
    #[arg(short, long)]
    pub(super) quiet: bool,

    /// Write a row of CSV to this file each second: done, rate, in flight, losses, conditions. An
    /// earlier run's file is replaced
    #[arg(long, value_name = "FILE")]
    pub(super) status_file: Option<PathBuf>,
}

impl From<Watching> for Showing {
    fn from(watching: Watching) -> Showing {
        Showing {
            quiet: watching.quiet,
            status_file: watching.status_file.map(|path| files::absolute(&path)),
        }
    }
}

impl Running {
    /// How many targets are measured at the same time.
    pub(super) fn workers(&self) -> usize {
        self.workers.unwrap_or(100) as usize
    }
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

/// The options of a measurement, as they are written.
pub(super) fn measure_option_names() -> Vec<String> {
    let command = MeasureOptions::augment_args(clap::Command::new("measure"));
    let names = command.get_arguments().filter_map(clap::Arg::get_long);
    names.map(|name| format!("--{name}")).collect()
}

/// The arguments of [`MeasureOptions`].
pub(super) fn option_arguments() -> impl Iterator<Item = clap::Arg> {
    let command = MeasureOptions::augment_args(clap::Command::new("measure"));
    command.get_arguments().cloned().collect::<Vec<_>>().into_iter()
}

pub(super) fn option_ids() -> Vec<String> {
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
