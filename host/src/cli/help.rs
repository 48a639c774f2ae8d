//! `pathspider help`, for commands and for plugins, and `--plugin-info`.

use clap::{Args, Command};

use super::exit::{Exit, Failure};
use super::plugin_info::PluginInfo;
use super::{beside, names, plugin_args, shell};
use pathspider_plugins::{Found, Registry};

/// `pathspider help`.
#[derive(Debug, Args)]
pub(super) struct HelpArgs {
    /// A command, a plugin, or `measure` and a plugin
    #[arg(value_name = "COMMAND or PLUGIN")]
    topic: Vec<String>,
}

/// Shows help for the program, a command, or a plugin. A plugin that is named like a command has
/// its help at `help measure PLUGIN`.
pub(super) fn run(
    arguments: &HelpArgs,
    parser: Command,
    commands: &[&str],
    registry: impl Fn() -> Registry,
) -> Result<Exit, Failure> {
    let topic: Vec<&str> = arguments.topic.iter().map(String::as_str).collect();
    match topic[..] {
        [] => by_parser(parser, &["--help"]),
        ["measure", name] => about(name, &registry(), false),
        [command] if beside::is_beside(command) => beside::help(command),
        [command] if commands.contains(&command) => by_parser(parser, &[command, "--help"]),
        [name] => {
            let registry = registry();
            if names::is_plugin(&registry, name) {
                about(name, &registry, false)
            } else {
                Err(names::unknown(&registry, commands, name))
            }
        }
        [first, ..] => Err(Failure::new(
            Exit::Usage,
            format!("help takes a command or a plugin; see pathspider help {first}"),
        )),
    }
}

/// Shows the help that the parser makes itself.
fn by_parser(parser: Command, words: &[&str]) -> Result<Exit, Failure> {
    let parser = parser.no_binary_name(true);
    parser.try_get_matches_from(words).map(|_| Exit::Finished).map_err(Failure::Parser)
}

/// Shows all about the plugin of a name.
pub(super) fn about(name: &str, registry: &Registry, json: bool) -> Result<Exit, Failure> {
    let found = names::find(registry, name)?;
    if json {
        shell::write_json(&PluginInfo::gather(found, registry))
    } else {
        plugin(found, registry)
    }
}

/// Shows all about a plugin.
pub(super) fn plugin(found: &Found, registry: &Registry) -> Result<Exit, Failure> {
    let mut command = plugin_args::command(&found.info, &found.options);
    let help = command.render_help();
    let rest = PluginInfo::gather(found, registry).text();
    show(&format!(
        "{help}\nThe options of `pathspider measure` may stand here too: pathspider help measure\n\
         {rest}"
    ))
}

fn show(text: &impl ToString) -> Result<Exit, Failure> {
    shell::write(text.to_string().as_bytes())
}
