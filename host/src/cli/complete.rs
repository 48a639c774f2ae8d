//! The hidden command that completions call: what could stand in place of a word.

use std::ffi::OsString;

use clap::{Arg, Args, Command};
use pathspider_shell::complete::{self, Shell, Value, with_values};

use super::exit::{Exit, Failure};
use super::options::MeasureOptions;
use super::{beside, plugin_args, shell};
use pathspider_observer::interface;
use pathspider_plugins::Registry;
use pathspider_plugins::check::RULES;

/// What a shell's script asks.
#[derive(Debug, Args)]
pub(super) struct CompleteArgs {
    /// The shell
    shell: Shell,
    /// The place of the word among the words
    index: usize,
    /// The words, the program's name first
    #[arg(last = true)]
    words: Vec<OsString>,
}

/// Writes what could stand there, a line each.
pub(super) fn run(
    arguments: CompleteArgs,
    parser: Command,
    registry: &Registry,
) -> Result<Exit, Failure> {
    let CompleteArgs { shell, index, words } = arguments;
    let command = words.get(1).map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    if index > 1 && beside::is_beside(&command) {
        // Such a program knows neither interfaces nor plugins.
        let known = Known::of(&parser, registry);
        return match known.of_option(words.get(index - 1)) {
            Some(values) => {
                let value = with_values(Arg::new("value"), values);
                let words = words.into_iter().skip(index - 1).collect();
                shell::write(&complete::lines(Command::new("value").arg(value), shell, words, 1))
            }
            None => beside::complete(&command, shell, index, words),
        };
    }
    shell::write(&complete::lines(knowing(parser, registry), shell, words, index))
}

/// What values may be.
struct Known {
    plugins: Vec<Value>,
    topics: Vec<Value>,
    interfaces: Vec<Value>,
    chains: Vec<Value>,
    conditions: Vec<Value>,
    rules: Vec<Value>,
}

/// The parser with plugins as commands, and with what values may be.
fn knowing(parser: Command, registry: &Registry) -> Command {
    let known = Known::of(&parser, registry);
    let plugins = registry.found.iter().map(|found| {
        plugin_args::known(&found.info, &found.options).about(found.info.description.clone())
    });
    let plugins: Vec<Command> = plugins.collect();
    let is_free = |name: &str| parser.find_subcommand(name).is_none();
    let others: Vec<Command> =
        plugins.iter().filter(|plugin| is_free(plugin.get_name())).cloned().collect();
    let measure = |command: Command| {
        let about = command.get_about().cloned().unwrap_or_default();
        MeasureOptions::augment_args(Command::new("measure").about(about)).subcommands(plugins)
    };
    taught(parser.mut_subcommand("measure", measure).subcommands(others), &known)
}

fn taught(command: Command, known: &Known) -> Command {
    let command = command.mut_subcommands(|subcommand| taught(subcommand, known));
    command.mut_args(|argument| match known.of_argument(&argument) {
        Some(values) => with_values(argument, values),
        None => argument,
    })
}

fn value(name: &str, meaning: &str) -> Value {
    (name.to_owned(), meaning.to_owned())
}

impl Known {
    fn of(parser: &Command, registry: &Registry) -> Known {
        let plugins = || registry.found.iter().map(|found| &found.info);
        let commands = parser.get_subcommands().filter(|command| !command.is_hide_set());
        let about = |command: &Command| command.get_about().map(ToString::to_string);
        Known {
            plugins: plugins().map(|info| value(&info.name, &info.description)).collect(),
            topics: commands
                .map(|command| value(command.get_name(), &about(command).unwrap_or_default()))
                .chain(plugins().map(|info| value(&info.name, &info.description)))
                .collect(),
            interfaces: interface::names().iter().map(|name| value(name, "")).collect(),
            chains: registry
                .chains()
                .list()
                .iter()
                .map(|entry| value(&entry.full_name(), &entry.info.description))
                .collect(),
            conditions: plugins()
                .flat_map(|info| &info.conditions)
                .map(|condition| value(&condition.name, &condition.meaning))
                .collect(),
            rules: RULES.iter().map(|rule| value(rule.name, rule.demands)).collect(),
        }
    }

    /// What may follow an option of a program beside this one.
    fn of_option(&self, option: Option<&OsString>) -> Option<&Vec<Value>> {
        match option?.to_str()? {
            "-i" | "--interface" => Some(&self.interfaces),
            "--allow-plugin" => Some(&self.plugins),
            _ => None,
        }
    }

    /// What an argument's value may be, by the argument's name in the parser.
    fn of_argument(&self, argument: &Arg) -> Option<&Vec<Value>> {
        match argument.get_id().as_str() {
            "interface" => Some(&self.interfaces),
            "plugin" | "plugin_info" | "with" => Some(&self.plugins),
            "topic" => Some(&self.topics),
            "chains" => Some(&self.chains),
            "condition" | "without" => Some(&self.conditions),
            "rule" => Some(&self.rules),
            _ => None,
        }
    }
}
