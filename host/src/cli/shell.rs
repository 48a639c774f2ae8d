//! What shells and `man` need: completions and manual pages, made from the parser.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Command};
use pathspider_plugins::Registry;
use pathspider_shell::complete::{Shell, script};
use pathspider_shell::{About, manual};
use serde::Serialize;

use super::exit::{Exit, Failure};
use super::pages::{ABOUTS, RUN, RUN_ENVIRONMENT, RUN_FILES};
use super::plugin_info::PluginInfo;
use super::{names, plugin_args};
use pathspider_runtime::{say, streams, text};

/// `pathspider completions`.
#[derive(Debug, Args)]
#[command(after_help = "The script asks pathspider for plugins, their options and values, \
                  interfaces and conditions. `make install` puts it where the shells look.")]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Writes a shell's completions to standard output.
pub(super) fn completions(arguments: &CompletionsArgs, parser: &Command) -> Result<Exit, Failure> {
    let name = parser.get_bin_name().unwrap_or("pathspider");
    write(script(arguments.shell, name).as_bytes())
}

/// `pathspider man`.
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// The folder
    folder: PathBuf,
    /// Plugins that get a page too
    plugins: Vec<String>,
}

/// Writes manual pages into a folder: of the program, of each command, and of these plugins.
pub(super) fn manual(
    arguments: &ManArgs,
    parser: Command,
    registry: &Registry,
) -> Result<Exit, Failure> {
    let folder = &arguments.folder;
    let no_output = |error: io::Error| {
        Failure::new(Exit::NoOutput, format!("cannot write to {}: {error}", folder.display()))
    };
    manual::write_all(parser, ABOUTS, folder).map_err(no_output)?;
    for name in &arguments.plugins {
        // Where the folder is another user's, root takes no plugins from there.
        let found = match names::find(registry, name) {
            Ok(found) => found,
            Err(Failure::Told { message, .. }) => {
                say!("no manual page for {name}: {message}");
                continue;
            }
            Err(failure) => return Err(failure),
        };
        let info = PluginInfo::gather(found, registry);
        let page = format!("pathspider-{}", found.info.name);
        let command = plugin_args::command(&found.info, &found.options)
            .about(found.info.description.clone())
            .display_name(page.clone());
        // Its examples have its name, so they are among its sections.
        let about = About {
            command: "",
            examples: &[],
            exits: RUN,
            files: RUN_FILES,
            environment: RUN_ENVIRONMENT,
            see_also: &["pathspider-measure", "pathspider"],
        };
        manual::page(command, Some(&about), &info.sections())
            .and_then(|text| manual::write(folder, &page, &text))
            .map_err(no_output)?;
    }
    Ok(Exit::Finished)
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
