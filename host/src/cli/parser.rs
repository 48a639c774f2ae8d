//! The parser of the whole command line: the commands, and what can stand before them. The arguments
//! of a command are declared where the command is.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{CommandFactory, Parser, Subcommand};
use pathspider_shell::with_examples;

use super::beside::BesideArgs;
use super::check::CheckArgs;
use super::complete::CompleteArgs;
use super::doctor::DoctorArgs;
use super::filter::FilterArgs;
use super::help::HelpArgs;
use super::measure::Measure;
use super::metadata::MetadataArgs;
use super::observe::ObserveArgs;
use super::options::{General, option_ids};
use super::pages::ABOUTS;
use super::probe::ProbeArgs;
use super::rejudge::RejudgeArgs;
use super::restore::RestoreArgs;
use super::shell::{CompletionsArgs, ManArgs};
use super::trace::TraceArgs;

/// pathspider measures whether the Internet's paths carry transport protocols and their extensions
/// unharmed.
///
/// It connects to each target with a baseline configuration and with each experimental one, watches
/// the packets on the wire, and concludes from them what the path did.
#[derive(Debug, Parser)]
#[command(name = "pathspider", disable_help_subcommand = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Option<Command>,

    /// List the plugins that can be used, and the files that were rejected
    #[arg(short, long)]
    pub(super) list_plugins: bool,

    /// Show all about a plugin: options, configurations, chains, conditions, privileges
    #[arg(long, value_name = "PLUGIN", conflicts_with = "list_plugins")]
    pub(super) plugin_info: Option<String>,

    /// Write --list-plugins or --plugin-info as one JSON object
    #[arg(long)]
    pub(super) json: bool,

    /// Look for plugins in this folder first; may be given several times
    #[arg(long, value_name = "DIR", global = true)]
    pub(super) plugin_dir: Vec<PathBuf>,

    /// As root, take plugins also from files and folders that others own or can write to. These
    /// others then get root's privileges
    #[arg(long, global = true)]
    pub(super) insecure_plugins: bool,

    /// Show also what plugins say for debugging
    #[arg(short, long, global = true)]
    pub(super) verbose: bool,

    #[command(flatten)]
    pub(super) general: General,
}

impl Arguments {
    /// The option that shows something by itself, where one is given.
    pub(super) fn alone(&self) -> Option<&'static str> {
        match (self.list_plugins, &self.plugin_info) {
            (true, _) => Some("--list-plugins"),
            (false, Some(_)) => Some("--plugin-info"),
            (false, None) => None,
        }
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Measure the paths to all targets of the input
    Measure(Box<Measure>),
    /// Make every measurement that applies to these targets, and say on one page what was found
    Probe(ProbeArgs),
    /// Show where on the path to these targets packets are changed, dropped or refused
    Trace(TraceArgs),
    /// Watch whatever passes, and write a record of every flow
    Observe(ObserveArgs),
    /// Pick records or targets by their conditions and keys
    Filter(FilterArgs),
    /// Show what records say: shares, by network and over time, failures, round trips
    #[command(disable_help_flag = true)]
    Report(BesideArgs),
    /// Compare two sets of records, target by target
    #[command(disable_help_flag = true)]
    Diff(BesideArgs),
    /// Write records as tables for other programs: Parquet, CSV, sets of observations
    #[command(disable_help_flag = true)]
    Export(BesideArgs),
    /// Carry out a campaign: several measurements of the same targets, perhaps repeated
    #[command(disable_help_flag = true)]
    Campaign(BesideArgs),
    /// Measure, from this place, the campaigns that are submitted to a server
    #[command(disable_help_flag = true)]
    Agent(BesideArgs),
    /// Tell whoever has the key which packets of a measurement came to this machine
    #[command(disable_help_flag = true)]
    Respond(BesideArgs),
    /// Conclude again from the records and the capture of an earlier run
    Rejudge(RejudgeArgs),
    /// Check plugins' files against the contract
    Check(CheckArgs),
    /// Check whether this machine can measure, and say what mends it
    Doctor(DoctorArgs),
    /// Make or amend the metadata beside files of records
    Metadata(MetadataArgs),
    /// Write the JSON Schema of records
    Schema,
    /// Undo what killed runs had changed in the system
    Restore(RestoreArgs),
    /// Show help for a command or a plugin
    Help(HelpArgs),
    /// Write a script that completes this program's arguments in a shell
    Completions(CompletionsArgs),
    /// Write the manual pages into a folder
    #[command(hide = true)]
    Man(ManArgs),
    /// Say what could stand in place of a word, for completions
    #[command(hide = true)]
    Complete(CompleteArgs),
    /// A plugin (1.0) or an input file (0.9), and what follows it.
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

/// The parser of the whole command line, with the examples that help shows. `name` is the program's,
/// by which it was called.
pub(super) fn parser(name: &str) -> clap::Command {
    with_examples(plain(name), ABOUTS)
}

/// The same without examples: manual pages have a section for them.
pub(super) fn plain(name: &str) -> clap::Command {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Where people look for what an option does.
    const PAGES: [&str; 7] = [
        include_str!("../../../README.md"),
        include_str!("../../../docs/commands.md"),
        include_str!("../../../docs/inputs.md"),
        include_str!("../../../docs/output.md"),
        include_str!("../../../docs/performance.md"),
        include_str!("../../../docs/plugins.md"),
        include_str!("../../../docs/records.md"),
    ];

    fn is_documented(option: &str) -> bool {
        let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '-');
        PAGES
            .iter()
            .any(|page| page.match_indices(option).any(|(at, _)| ends(&page[at + option.len()..])))
    }

    #[test]
    fn each_option_is_documented() {
        let mut parser = parser("pathspider");
        parser.build();
        let commands = parser.get_subcommands().filter(|command| !command.is_hide_set());
        let mut missing = Vec::new();
        for command in commands.chain([&parser]) {
            for option in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
                let Some(long) = option.get_long() else { continue };
                let option = format!("--{long}");
                if !is_documented(&option) {
                    missing.push(format!("{} {option}", command.get_name()));
                }
            }
        }
        assert!(missing.is_empty(), "in none of the pages: {missing:#?}");
    }
}
