//! The command line: `report`, `diff` and `export`. `pathspider` starts each under its own name.
//! No figure is made here.

mod diff;
mod export;
mod networks;
mod ranking;
mod reading;
mod report;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use pathspider_program::{Aside, Exit, Failure, write, write_json};
use pathspider_runtime::files::{self, Existing};
use pathspider_runtime::text;
use pathspider_shell::{About, Named, Status, with_examples};

/// From records to answers: what `pathspider report`, `diff` and `export` start.
#[derive(Debug, Parser)]
#[command(name = "pathspider", bin_name = "pathspider", version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// What help and the manual pages say of each command beside its options.
const ABOUTS: &[About] = &[
    About {
        command: "report",
        examples: &[
            ("Show what records say", "pathspider report ecn.ndjson"),
            ("Compare vantage points", "pathspider report --by vantage campaign/"),
            ("Make a page for a browser", "pathspider report --html ecn.html ecn.ndjson"),
            (
                "End with status 11 if too much is broken",
                "pathspider report --fail-if 'ecn.connectivity.broken > 5%' ecn.ndjson",
            ),
        ],
        exits: &[
            Exit::Finished.status(),
            Exit::Failed.status(),
            Exit::Usage.status(),
            Exit::NoInput.status(),
            Exit::NoOutput.status(),
            Exit::FinishedWithErrors.status(),
            Exit::Passed.status(),
        ],
        files: FILES,
        environment: ENVIRONMENT,
        see_also: &["pathspider", "pathspider-diff", "pathspider-export", "pathspider-filter"],
    },
    About {
        command: "diff",
        examples: &[
            ("See what changed", "pathspider diff spring.ndjson autumn.ndjson"),
            ("The same by country", "pathspider diff --by info.country spring/ autumn/"),
        ],
        exits: READ,
        files: FILES,
        environment: ENVIRONMENT,
        see_also: &["pathspider", "pathspider-report"],
    },
    About {
        command: "export",
        examples: &[
            ("Make tables for DuckDB or pandas", "pathspider export --parquet tables ecn.ndjson"),
            (
                "Make tables without addresses",
                "pathspider export --csv tables --anonymise key.txt ecn.ndjson",
            ),
        ],
        exits: READ,
        files: FILES,
        environment: ENVIRONMENT,
        see_also: &["pathspider", "pathspider-report"],
    },
];

/// How a command ends that only reads.
const READ: &[Status] = &[
    Exit::Finished.status(),
    Exit::Failed.status(),
    Exit::Usage.status(),
    Exit::NoInput.status(),
    Exit::NoOutput.status(),
    Exit::FinishedWithErrors.status(),
];

const FILES: &[Named] =
    &[("FILE.meta.json", "the metadata beside a FILE of records, which are read with it")];

const ENVIRONMENT: &[Named] = &[("NO_COLOR", "if it is set, help has no colours")];

/// The commands.
#[derive(Debug, Subcommand)]
enum Command {
    /// Show what records say: shares, by network and over time, failures, round trips
    Report(report::ReportArgs),
    /// Compare two sets of records, target by target
    Diff(diff::DiffArgs),
    /// Write records as tables for other programs: Parquet, CSV, sets of observations
    Export(export::ExportArgs),
    #[command(flatten)]
    Aside(Aside),
}

/// Runs the program with these arguments, the first being its name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    pathspider_program::main(arguments, help_for, run)
}

/// The command that shows what is possible where these words are wrong.
fn help_for(words: &[OsString]) -> String {
    match words.get(1).and_then(|word| word.to_str()) {
        Some(word) if About::of(word, ABOUTS).is_some() => format!("pathspider help {word}"),
        _ => "pathspider --help".to_owned(),
    }
}

fn run(words: &[OsString]) -> Result<Exit, Failure> {
    let matches = with_examples(Arguments::command(), ABOUTS).try_get_matches_from(words)?;
    let arguments = Arguments::from_arg_matches(&matches)?;
    let command = as_typed(words);
    match arguments.command {
        Command::Report(arguments) => report::run(&arguments, command),
        Command::Diff(arguments) => diff::run(&arguments, command),
        Command::Export(arguments) => export::run(arguments),
        Command::Aside(aside) => {
            let groups = [Arguments::command().name("pathspider")];
            aside.run(Arguments::command(), &groups, ABOUTS)
        }
    }
}

/// The command as somebody types it who wants the same again.
fn as_typed(words: &[OsString]) -> Vec<String> {
    let words = words.iter().skip(1).map(|word| word.to_string_lossy().into_owned());
    std::iter::once("pathspider".to_owned()).chain(words).collect()
}

/// Writes a file as a whole; over one that is there only where that was asked for.
fn write_file(path: &Path, force: bool, content: &[u8]) -> Result<(), Failure> {
    let existing = if force { Existing::Overwrite } else { Existing::Refuse };
    // A signal ends this program as it ends any.
    let written = files::open(path, existing, &|| false)
        .and_then(|mut opened| opened.file.write_all(content));
    written.map_err(|error| {
        let reason = match error.kind() {
            io::ErrorKind::AlreadyExists => {
                "it is there already (--force writes over it)".to_owned()
            }
            _ => error.to_string(),
        };
        Failure::new(Exit::NoOutput, format!("cannot write to {}: {reason}", text::path(path)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where people look for what an option does.
    const PAGES: [&str; 2] =
        [include_str!("../../../docs/commands.md"), include_str!("../../../docs/analysing.md")];

    #[test]
    fn each_option_is_documented() {
        let mut parser = Arguments::command();
        parser.build();
        let mut missing = Vec::new();
        for command in parser.get_subcommands().filter(|command| !command.is_hide_set()) {
            for option in command.get_arguments().filter_map(|argument| argument.get_long()) {
                let option = format!("--{option}");
                if option != "--help" && !PAGES.iter().any(|page| page.contains(&option)) {
                    missing.push(format!("{} {option}", command.get_name()));
                }
            }
        }
        assert!(missing.is_empty(), "in none of the pages: {missing:#?}");
    }
}
