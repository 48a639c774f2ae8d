//! The command line: `report`, `diff` and `export`, each of which `pathspider` starts under its own
//! name.

mod diff;
mod exit;
mod export;
mod networks;
mod ranking;
mod reading;
mod report;

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use pathspider_runtime::files::Existing;
use pathspider_runtime::{closed, files, say, text};
use serde::Serialize;

use exit::{Exit, Failure};

/// From records to answers: what `pathspider report`, `diff` and `export` start.
#[derive(Debug, Parser)]
#[command(name = "pathspider", bin_name = "pathspider", version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
enum Command {
    /// Show what records say: shares, by network and over time, failures, round trips
    Report(report::ReportArgs),
    /// Compare two sets of records, target by target
    Diff(diff::DiffArgs),
    /// Write records as tables for other programs: Parquet, CSV, sets of observations
    Export(export::ExportArgs),
    /// Write the manual pages into a folder
    #[command(hide = true)]
    Man {
        /// The folder
        folder: PathBuf,
    },
}

/// Runs the program with these arguments, the first being its name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    // Where no descriptor is left for it, none is for what follows.
    let _ = closed::fails();
    let words: Vec<OsString> = arguments.into_iter().collect();
    let result = files::fail_at_limit()
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot handle signals: {error}")))
        .and_then(|()| run(&words));
    let exit = match result {
        Ok(exit) => exit,
        Err(Failure::Parser(error)) => exit::of_clap(&error),
        Err(Failure::Told { exit, message }) => {
            say!("{message}");
            exit
        }
    };
    exit.into()
}

fn run(words: &[OsString]) -> Result<Exit, Failure> {
    let matches = Arguments::command().try_get_matches_from(words)?;
    let arguments = Arguments::from_arg_matches(&matches)?;
    let command = as_typed(words);
    match arguments.command {
        Command::Report(arguments) => report::run(&arguments, command),
        Command::Diff(arguments) => diff::run(&arguments, command),
        Command::Export(arguments) => export::run(arguments),
        Command::Man { folder } => manual(&folder),
    }
}

/// The command as somebody types it who wants the same again.
fn as_typed(words: &[OsString]) -> Vec<String> {
    let words = words.iter().skip(1).map(|word| word.to_string_lossy().into_owned());
    std::iter::once("pathspider".to_owned()).chain(words).collect()
}

/// Writes a manual page for each command into a folder, beside the measuring program's.
fn manual(folder: &Path) -> Result<Exit, Failure> {
    let write = |command: &clap::Command| {
        let name = format!("pathspider-{}", command.get_name());
        let mut page = Vec::new();
        // The name that `man` shows is the page's.
        let named = command.clone().name(name.clone());
        clap_mangen::Man::new(named).render(&mut page)?;
        fs::write(folder.join(format!("{name}.1")), page)
    };
    let mut parser = Arguments::command();
    parser.build();
    let mut shown = parser.get_subcommands().filter(|command| !command.is_hide_set());
    fs::create_dir_all(folder).and_then(|()| shown.try_for_each(write)).map_err(|error| {
        Failure::new(Exit::NoOutput, format!("cannot write to {}: {error}", folder.display()))
    })?;
    Ok(Exit::Finished)
}

/// Writes to standard output.
fn write(text: &str) -> Result<(), Failure> {
    io::stdout().write_all(text.as_bytes()).map_err(|error| {
        Failure::new(Exit::NoOutput, format!("cannot write to standard output: {error}"))
    })
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

/// Writes one JSON object to standard output, on lines of its own.
fn write_json(value: &impl Serialize) -> Result<(), Failure> {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| Failure::new(Exit::Failed, error))?;
    write(&(text::json(&text) + "\n"))
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
