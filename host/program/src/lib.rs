//! The frame of the programs beside `pathspider`: how they begin and end, what they write to standard output,
//! and the commands that an installation and shells call. What any other command does is not here.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use pathspider_runtime::{closed, files, say, text};
use pathspider_shell::complete::Shell;
use pathspider_shell::{About, complete, error, manual};
use serde::Serialize;

pub use pathspider_runtime::exit::Exit;

/// Why a command did not do what it was asked for.
pub type Failure = pathspider_runtime::exit::Failure<clap::Error>;

/// The commands that other programs call.
#[derive(Debug, Subcommand)]
pub enum Aside {
    /// Write the manual pages into a folder
    #[command(hide = true)]
    Man {
        /// The folder
        folder: PathBuf,
    },
    /// Say what could stand in place of a word, for completions
    #[command(hide = true)]
    Complete {
        /// The shell
        shell: Shell,
        /// The place of the word among the words
        index: usize,
        /// The words, the program's name first
        #[arg(last = true)]
        words: Vec<OsString>,
    },
}

impl Aside {
    /// Carries it out for the program of this parser. `groups` has the commands whose subcommands have manual
    /// pages, each under the name that begins these pages' names.
    ///
    /// # Errors
    ///
    /// The output takes nothing.
    pub fn run(
        self,
        parser: clap::Command,
        groups: &[clap::Command],
        abouts: &'static [About],
    ) -> Result<Exit, Failure> {
        match self {
            Aside::Man { folder } => {
                let mut groups = groups.iter();
                let written =
                    groups.try_for_each(|group| manual::write_commands(group, abouts, &folder));
                written.map_err(|error| {
                    let folder = text::path(&folder);
                    Failure::new(Exit::NoOutput, format!("cannot write to {folder}: {error}"))
                })?;
            }
            Aside::Complete { shell, index, words } => {
                write_octets(&complete::lines(parser, shell, words, index))?;
            }
        }
        Ok(Exit::Finished)
    }
}

/// Runs a program with these arguments, the first being its name. `help` gives the command that shows what is
/// possible where the arguments are wrong.
pub fn main(
    arguments: impl IntoIterator<Item = OsString>,
    help: impl FnOnce(&[OsString]) -> String,
    run: impl FnOnce(&[OsString]) -> Result<Exit, Failure>,
) -> ExitCode {
    // Where no descriptor is left for it, none is for what follows.
    let _ = closed::fails();
    let words: Vec<OsString> = arguments.into_iter().collect();
    let result = files::fail_at_limit()
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot handle signals: {error}")))
        .and_then(|()| run(&words));
    let exit = match result {
        Ok(exit) => exit,
        Err(Failure::Parser(error)) => match error::told(&error, &help(&words)) {
            Some(line) => {
                say!("{line}");
                Exit::Usage
            }
            None => Exit::Finished,
        },
        Err(Failure::Told { exit, message }) => {
            say!("{message}");
            exit
        }
    };
    exit.into()
}

/// Writes to standard output.
///
/// # Errors
///
/// It takes nothing.
pub fn write(text: &str) -> Result<(), Failure> {
    write_octets(text.as_bytes())
}

/// Writes octets to standard output.
///
/// # Errors
///
/// It takes nothing.
pub fn write_octets(octets: &[u8]) -> Result<(), Failure> {
    io::stdout().write_all(octets).map_err(|error| {
        Failure::new(Exit::NoOutput, format!("cannot write to standard output: {error}"))
    })
}

/// Writes one JSON object to standard output, on lines of its own.
///
/// # Errors
///
/// Standard output takes nothing.
pub fn write_json(value: &impl Serialize) -> Result<(), Failure> {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| Failure::new(Exit::Failed, error))?;
    write(&(text::json(&text) + "\n"))
}
