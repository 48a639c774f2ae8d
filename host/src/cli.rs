//! The command line: raw arguments are validated first, then resolved into settings; each outcome
//! has its exit status in one place. Nothing is measured here.

mod apart;
mod beside;
mod check;
mod complete;
mod doctor;
mod exit;
mod filter;
mod forms;
mod help;
mod keeping;
mod labels;
mod list;
mod locating;
mod measure;
mod metadata;
mod names;
mod observe;
mod options;
mod pages;
mod parser;
mod plugin_args;
mod plugin_info;
mod probe;
mod rejudge;
mod responders;
mod restore;
mod schema;
mod shell;
mod source;
mod targets;
mod trace;
mod trace_with;
mod version;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::{ArgMatches, Args, FromArgMatches};
use pathspider_plugin_api::{Level, abi};

use exit::{Exit, Failure};
use options::{General, MeasureOptions};
use parser::{Arguments, Command};
use pathspider_plugins::{Registry, SearchPath, tasks};
use pathspider_runtime::privileges;
use pathspider_runtime::say;
use pathspider_runtime::threads::SingleThread;
use pathspider_runtime::{closed, crash, ending, files, process, streams, witness};
use pathspider_shell::error;

/// Runs the program with these arguments, the first being its name. `commit`: what it was built from,
/// where the build knew.
pub fn main(
    arguments: impl IntoIterator<Item = OsString>,
    commit: Option<&'static str>,
) -> ExitCode {
    let single = SingleThread::at_start();
    process::keep_children();
    let arguments = locating::spelled_out(arguments);
    if let Some(code) = tasks::main(&arguments) {
        return code;
    }
    // Where no descriptor is left for it, none is for what follows.
    let _ = closed::fails();
    crash::watch();
    ending::watch();
    ending::end(carry_out(&arguments, commit, single) as u8)
}

/// Does what the arguments ask for, and tells why it could not.
fn carry_out(arguments: &[OsString], commit: Option<&str>, single: SingleThread) -> Exit {
    let result = files::fail_at_limit()
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot handle signals: {error}")))
        .and_then(|()| run(arguments, commit, single));
    conclude(arguments, result)
}

/// Says why something was not done, and what it ends with; the last thing that a process does.
fn conclude(arguments: &[OsString], result: Result<Exit, Failure>) -> Exit {
    let exit = match result {
        Ok(exit) => exit,
        Err(Failure::Parser(error)) => {
            let told = error::told(&error, &help_for(arguments));
            if let Some(line) = &told {
                say!("{line}");
            }
            say::end();
            return if told.is_some() { Exit::Usage } else { Exit::Finished };
        }
        Err(Failure::Told { exit, message }) => {
            say!("{message}");
            exit
        }
    };
    let is_whole = streams::are_whole();
    if !is_whole {
        say!(
            "descriptors that are this program's own were closed, and only a plugin can have done \
             that: later errors say nothing about the targets"
        );
    }
    let is_refused = exit == Exit::PluginRefused;
    let exit = if is_whole || is_refused { exit } else { Exit::Failed };
    say::end();
    exit
}

/// The command that shows what is possible where these arguments are wrong.
fn help_for(arguments: &[OsString]) -> String {
    let names = commands(&parser::plain("pathspider"));
    let mut words = arguments.iter().skip(1).filter_map(|word| word.to_str());
    match words.find(|word| names.iter().any(|name| name == word)) {
        Some(command) => format!("pathspider help {command}"),
        None => "pathspider --help".to_owned(),
    }
}

fn run(words: &[OsString], commit: Option<&str>, single: SingleThread) -> Result<Exit, Failure> {
    let parser = parser::parser(&called_by(words)).version(version::text(commit));
    let commands = commands(&parser);
    let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    let matches = parser.clone().try_get_matches_from(words)?;
    let arguments = Arguments::from_arg_matches(&matches)?;
    if let Some(option) = arguments.alone()
        && let Some(word) = matches.subcommand_name()
    {
        let message = format!("{option} stands without a command, and {word:?} follows it");
        return Err(Failure::new(Exit::Usage, message));
    }
    // A campaign measures in the end: its program starts this one, with its privileges.
    if !matches!(arguments.command, Some(Command::Campaign(_) | Command::Agent(_))) {
        privileges::no_more();
    }
    abi::set_log(if arguments.verbose { log_all } else { log });
    let looks_only = matches!(arguments.command, Some(Command::Doctor(_) | Command::Complete(_)));
    if !looks_only && !matches!(arguments.command, Some(Command::Restore(_))) {
        restore::first();
    }
    let after = match &arguments.command {
        Some(Command::Measure(measure)) => measure.plugin.get(1..),
        Some(Command::Other(words)) => words.get(1..),
        _ => None,
    };
    let (folders, is_insecure) = plugin_args::places(after.unwrap_or_default());
    let folders = [arguments.plugin_dir, folders].concat();
    let is_insecure = arguments.insecure_plugins || is_insecure;
    let path = SearchPath::resolve(&folders, is_insecure);
    let registry = |single: &SingleThread| {
        // What is found may be loaded.
        witness::begin(single);
        Registry::scan(&path)
    };
    if arguments.list_plugins {
        // None is loaded.
        return list::plugins(&Registry::scan(&path), &path, arguments.json);
    }
    if let Some(name) = &arguments.plugin_info {
        return help::about(name, &registry(&single), arguments.json);
    }
    if arguments.json {
        return Err(Failure::new(Exit::Usage, "--json goes with --list-plugins or --plugin-info"));
    }
    let is_command = !matches!(arguments.command, None | Some(Command::Other(_)));
    if is_command && !as_words::<General>(&matches).is_empty() {
        return Err(Failure::new(
            Exit::Usage,
            "options of a command stand after it: pathspider measure -i IF PLUGIN",
        ));
    }
    match arguments.command {
        Some(Command::Measure(measure)) => {
            let before = matches.subcommand_matches("measure");
            let before = before.map(as_words::<MeasureOptions>).unwrap_or_default();
            let registry = registry(&single);
            measure::command(before, measure.plugin, single, &registry)
        }
        Some(Command::Probe(probe)) => probe::run(&probe, single, &Registry::scan(&path)),
        Some(Command::Trace(arguments)) if arguments.with.is_empty() => trace::run(&arguments),
        Some(Command::Trace(arguments)) => {
            trace_with::run(&arguments, single, &Registry::scan(&path))
        }
        Some(Command::Check(check)) => check::run(check, &path),
        Some(Command::Doctor(doctor)) => doctor::run(doctor, &path),
        Some(Command::Complete(asked)) => {
            let parser = parser::plain(&called_by(words));
            complete::run(asked, parser, &registry(&single))
        }
        Some(Command::Observe(observe)) => {
            let registry = registry(&single);
            observe::run(observe, single, &registry)
        }
        Some(Command::Filter(filter)) => filter::run(filter),
        Some(Command::Rejudge(arguments)) => rejudge::run(arguments, &registry(&single)),
        Some(Command::Report(arguments)) => beside::run("report", arguments),
        Some(Command::Diff(arguments)) => beside::run("diff", arguments),
        Some(Command::Export(arguments)) => beside::run("export", arguments),
        Some(Command::Campaign(arguments)) => {
            beside::run_with_plugins("campaign", arguments, &folders, is_insecure)
        }
        Some(Command::Agent(arguments)) => {
            beside::run_with_plugins("agent", arguments, &folders, is_insecure)
        }
        Some(Command::Respond(arguments)) => beside::run("respond", arguments),
        Some(Command::Schema) => schema::run(),
        Some(Command::Metadata(arguments)) => metadata::run(&arguments),
        Some(Command::Restore(arguments)) => restore::run(&arguments),
        Some(Command::Help(topic)) => help::run(&topic, parser, &commands, || registry(&single)),
        Some(Command::Completions(arguments)) => shell::completions(&arguments, &parser),
        Some(Command::Man(arguments)) => {
            let parser = parser::plain("pathspider").version(version::text(commit));
            shell::manual(&arguments, parser, &registry(&single))
        }
        other => {
            let words = forms::Words {
                all: words,
                rest: if let Some(Command::Other(rest)) = other { rest } else { Vec::new() },
                before: as_words::<MeasureOptions>(&matches),
                general: arguments.general,
            };
            let registry = registry(&single);
            forms::run(words, &commands, single, &registry)
        }
    }
}

/// The program's name: it may be called by a link, as `pspdr`.
fn called_by(words: &[OsString]) -> String {
    let name = words.first().and_then(|word| Path::new(word).file_name());
    name.map_or_else(|| "pathspider".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// The names of all commands that help shows.
fn commands(parser: &clap::Command) -> Vec<String> {
    let shown = parser.get_subcommands().filter(|command| !command.is_hide_set());
    shown.map(|command| command.get_name().to_owned()).collect()
}

/// Those of a group's arguments that the command line has.
fn as_words<A: Args>(matches: &ArgMatches) -> Vec<OsString> {
    let command = A::augment_args(clap::Command::new(""));
    plugin_args::as_words(command.get_arguments().cloned(), matches)
}

fn log(level: Level, message: &str) {
    if level > Level::Debug {
        log_all(level, message);
    }
}

fn log_all(_: Level, message: &str) {
    say!("{message}");
}
