//! The command line: raw arguments are validated first, then resolved into settings; each outcome
//! has its exit status in one place.

mod args;
mod check;
mod exit;
mod list;
mod measure;
mod observe;
mod plugin_args;
mod restore;
mod targets;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use pathspider_plugin_api::Level;

use crate::crash;
use crate::plugin::{Registry, SearchPath, child};
use crate::say::say;
use args::{Arguments, Command};
use exit::{Exit, Failure};

/// Runs the program with these arguments, the first being its name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if let Some(code) = child::main(&arguments) {
        return code;
    }
    pathspider_plugin_api::abi::set_log(log);
    crash::watch();
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return exit::of_clap(&error),
    };
    let exit = match run(arguments) {
        Ok(exit) => exit,
        Err(Failure::Clap(error)) => return exit::of_clap(&error),
        Err(Failure::Told { exit, message }) => {
            say!("{message}");
            exit
        }
    };
    exit.into()
}

/// Where the messages of plugins go.
fn log(level: Level, message: &str) {
    match level {
        Level::Warning => say!("plugin: warning: {message}"),
        _ => say!("plugin: {message}"),
    }
}

fn run(arguments: Arguments) -> Result<Exit, Failure> {
    if !matches!(arguments.command, Some(Command::Restore(_))) {
        restore::first();
    }
    let path = || SearchPath::resolve(&arguments.plugin_dir, arguments.insecure_plugins);
    let registry = || Registry::scan(&path());
    if arguments.list_plugins {
        let path = path();
        return list::plugins(&Registry::scan(&path), &path);
    }
    if arguments.command.is_some() && arguments.standalone.is_used() {
        return Err(Failure::new(
            Exit::Usage,
            "options of a command stand after it: pathspider measure -i IF PLUGIN",
        ));
    }
    match arguments.command {
        Some(Command::Measure(measure)) => measure::measure(measure, &registry()),
        Some(Command::Check(check)) => check::run(check, &path()),
        Some(Command::Observe(observe)) => observe::run(observe, &registry()),
        Some(Command::Restore(arguments)) => restore::run(&arguments),
        None => measure::standalone(arguments.standalone, &registry()),
    }
}
