//! Owns the command line: what can be asked for, and how outcomes become exit statuses.

mod bench;
mod check;
mod demo;
mod fleet;
mod run;
mod speed;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use pathspider_lab::scenario::Scenario;
use pathspider_lab::{Error, Result};
use pathspider_shell::{About, Named, error, manual, with_examples};

/// Network paths with known faults, on this machine, for trying and testing pathspider.
///
/// Needs root, or a kernel that allows user namespaces. The machine's own network is not touched
/// and nothing is left behind.
#[derive(Parser)]
#[command(name = "pathspider-lab", version, after_help = STATUSES)]
struct Arguments {
    #[command(subcommand)]
    command: Asked,
}

const STATUSES: &str = "Exit status: 0 all as expected; 1 something measured differs; \
    2 wrong arguments; 3 the lab or pathspider failed. `run`, `shell` and `fleet` give their command's own.";

#[derive(Subcommand)]
enum Asked {
    /// Measure every scenario with the plugins it is for, and compare with what is true
    Demo(demo::Demo),
    /// Measure some or all scenarios with every plugin they state something of
    Check(check::Check),
    /// Show the scenarios that ship with the lab
    List(run::List),
    /// Run a command at the vantage point of a scenario
    Run(run::Run),
    /// Open a shell at the vantage point of a scenario
    Shell(run::Shell),
    /// Make vantage points with an agent each and a NATS server, and run a command beside the server
    Fleet(fleet::Fleet),
    /// Compare pathspider's speed with a bare connect loop's on the same targets
    Bench(bench::Bench),
    /// Measure how fast the path emulator itself is
    Speed(speed::Speed),
    /// Write the manual page into a folder
    #[command(hide = true)]
    Man {
        /// The folder
        folder: PathBuf,
    },
}

/// What help and the manual page say beside the options.
const ABOUTS: &[About] = &[About {
    command: "",
    examples: &[
        ("See measurements of paths with known faults", "pathspider-lab demo"),
        ("List the paths", "pathspider-lab list"),
        (
            "Measure over one of them",
            "pathspider-lab run ecn-syn-dropped -- sh -c 'pathspider ecn -i $LAB_INTERFACE \
             --allow-special --input $LAB_JOBS'",
        ),
        (
            "See a campaign on three vantage points",
            "pathspider-lab fleet 3 -- sh -c 'pathspider campaign status x --server $LAB_SERVER --nkey $LAB_KEY'",
        ),
        ("Compare a plugin's conclusions with what is true", "pathspider-lab check --plugin ecn"),
    ],
    exits: &[
        (0, "all is as expected"),
        (1, "something that was measured differs from what is true"),
        (2, "the arguments make no sense"),
        (3, "the lab or pathspider failed; run and shell give the status of their command"),
    ],
    files: &[("*.toml", "paths of your own: docs/lab.md says how to write them")],
    environment: ENVIRONMENT,
    see_also: &["pathspider", "pathspider-measure", "pathspider-check"],
}];

const ENVIRONMENT: &[Named] = &[
    ("LAB_INTERFACE", "for the command of run and shell: the interface to measure from"),
    ("LAB_TARGET, LAB_TARGET6", "the same: the first targets"),
    ("LAB_JOBS", "the same: a file of targets for pathspider"),
    ("LAB_VANTAGE_1, LAB_VANTAGE_2, …", "the same: the network namespaces of the vantage points"),
    ("PATHSPIDER_PLUGIN_PATH", "folders of plugins, for pathspider"),
];

/// How a command that did its work ended.
enum Verdict {
    /// As expected.
    Right,
    /// Something differed.
    Different,
    /// As the program it ran did.
    Exit(u8),
}

impl Verdict {
    fn of(right: bool) -> Self {
        if right { Verdict::Right } else { Verdict::Different }
    }
}

/// Runs the program.
pub(crate) fn main() -> ExitCode {
    let parsed = with_examples(Arguments::command(), ABOUTS).try_get_matches();
    let arguments = match parsed.and_then(|matches| Arguments::from_arg_matches(&matches)) {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    let outcome = match arguments.command {
        // What there is can be shown without any privilege.
        Asked::List(list) => list.run(),
        Asked::Man { folder } => write_manual(&folder),
        command => pathspider_lab::net::prepare().and_then(|()| match command {
            Asked::Demo(demo) => demo.run(),
            Asked::Check(check) => check.run(),
            Asked::List(list) => list.run(),
            Asked::Run(run) => run.run(),
            Asked::Shell(shell) => shell.run(),
            Asked::Fleet(fleet) => fleet.run(),
            Asked::Bench(bench) => bench.run(),
            Asked::Speed(speed) => speed.run(),
            Asked::Man { folder } => write_manual(&folder),
        }),
    };
    match outcome {
        Ok(Verdict::Right) => ExitCode::SUCCESS,
        Ok(Verdict::Different) => ExitCode::from(1),
        Ok(Verdict::Exit(status)) => ExitCode::from(status),
        Err(error) => {
            eprintln!("pathspider-lab: {error}");
            ExitCode::from(if matches!(error, Error::Usage { .. }) { 2 } else { 3 })
        }
    }
}

/// Prints help, or says in one line what is wrong with the arguments.
fn usage(error: &clap::Error) -> ExitCode {
    let parser = Arguments::command();
    let command = std::env::args().nth(1).filter(|word| parser.find_subcommand(word).is_some());
    let help = match command {
        Some(command) => format!("pathspider-lab help {command}"),
        None => "pathspider-lab --help".to_owned(),
    };
    let Some(line) = error::told(error, &help) else { return ExitCode::SUCCESS };
    eprintln!("pathspider-lab: {line}");
    ExitCode::from(2)
}

/// A program that is there.
fn program(text: &str) -> std::result::Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_file() { Ok(path) } else { Err("there is no such file".to_owned()) }
}

fn write_manual(folder: &Path) -> Result<Verdict> {
    manual::write_all(Arguments::command(), ABOUTS, folder)
        .map(|()| Verdict::Right)
        .map_err(|source| Error::Io { action: format!("write to {}", folder.display()), source })
}

/// Leaves out scenarios whose servers this kernel cannot be, and says so.
fn leave_out_impossible(scenarios: &mut Vec<Scenario>) -> Result<()> {
    let lacks = |scenario: &Scenario| pathspider_lab::targets::lacks(&scenario.server);
    for scenario in scenarios.iter() {
        if let Some(reason) = lacks(scenario) {
            say(&format!("{} is left out: {reason}\n", scenario.name))?;
        }
    }
    scenarios.retain(|scenario| lacks(scenario).is_none());
    Ok(())
}

/// Everything a command prints goes through here, so that a closed pipe is an error like others.
fn say(text: &str) -> Result<()> {
    use std::io::Write;
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    written.map_err(|source| Error::Io { action: "write to standard output".into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_name_paths_that_there_are() {
        let lines = ABOUTS.iter().flat_map(|about| about.examples).map(|(_, line)| *line);
        let named =
            lines.filter_map(|line| line.strip_prefix("pathspider-lab run ")?.split(' ').next());
        let named: Vec<&str> = named.collect();
        assert!(!named.is_empty());
        for name in named {
            assert!(pathspider_lab::scenario::find(name).is_ok(), "{name}");
        }
    }
}
