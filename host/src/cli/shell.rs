//! What shells and `man` need: completions and manual pages, made from the parser.

use std::fs;
use std::io::Write;
use std::path::Path;

use clap::{Args, Command};
use clap_complete::Shell;
use serde::Serialize;

use super::exit::{Exit, Failure};
use pathspider_runtime::{streams, text};

/// `pathspider completions`.
#[derive(Debug, Args)]
#[command(after_help = "For bash, for example: \
                  pathspider completions bash >/etc/bash_completion.d/pathspider")]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Writes a shell's completions to standard output.
pub(super) fn completions(
    arguments: &CompletionsArgs,
    mut parser: Command,
) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    let name = parser.get_bin_name().unwrap_or("pathspider").to_owned();
    clap_complete::generate(arguments.shell, &mut parser, name, &mut script);
    write(&script)
}

/// Writes a manual page for the program and one for each command into a folder.
pub(super) fn manual(folder: &Path, parser: Command) -> Result<Exit, Failure> {
    fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(parser, folder))
        .map(|()| Exit::Finished)
        .map_err(|error| {
            Failure::new(Exit::NoOutput, format!("cannot write to {}: {error}", folder.display()))
        })
}

/// Writes to standard output.
pub(super) fn write(text: &[u8]) -> Result<Exit, Failure> {
    streams::output().write_all(text).map(|()| Exit::Finished).map_err(|error| {
        Failure::new(Exit::NoOutput, format!("cannot write to standard output: {error}"))
    })
}

/// Writes one JSON object to standard output.
pub(super) fn write_json(value: &impl Serialize) -> Result<Exit, Failure> {
    write(&to_json(value)?)
}

/// A JSON object on lines of its own, for people too.
pub(super) fn to_json(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| Failure::new(Exit::Failed, error))?;
    Ok((text::json(&text) + "\n").into_owned().into_bytes())
}
