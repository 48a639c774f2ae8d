//! Owns the command line: what can be asked for, and how outcomes become exit statuses.

mod bench;
mod check;
mod demo;
mod run;
mod speed;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use pathspider_lab::{Error, Result};

/// Network paths with known faults, on this machine, for trying and testing pathspider.
///
/// Needs root, or a kernel that allows user namespaces. The machine's own network is not touched
/// and nothing is left behind.
#[derive(Parser)]
#[command(version, after_help = STATUSES)]
struct Arguments {
    #[command(subcommand)]
    command: Asked,
}

const STATUSES: &str = "Exit status: 0 all as expected; 1 something measured differs; \
    2 wrong arguments; 3 the lab or pathspider failed. `run` and `shell` give their command's own.";

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
    /// Compare pathspider's speed with a bare connect loop's on the same targets
    Bench(bench::Bench),
    /// Measure how fast the path emulator itself is
    Speed(speed::Speed),
}

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
    let arguments = Arguments::parse();
    let outcome = match arguments.command {
        // What there is can be told without any privilege.
        Asked::List(list) => list.run(),
        command => pathspider_lab::net::prepare().and_then(|()| match command {
            Asked::Demo(demo) => demo.run(),
            Asked::Check(check) => check.run(),
            Asked::List(list) => list.run(),
            Asked::Run(run) => run.run(),
            Asked::Shell(shell) => shell.run(),
            Asked::Bench(bench) => bench.run(),
            Asked::Speed(speed) => speed.run(),
        }),
    };
    match outcome {
        Ok(Verdict::Right) => ExitCode::SUCCESS,
        Ok(Verdict::Different) => ExitCode::from(1),
        Ok(Verdict::Exit(status)) => ExitCode::from(status),
        Err(error) => {
            eprintln!("pathspider-lab: {error}");
            ExitCode::from(3)
        }
    }
}

/// Everything a command prints goes through here, so that a closed pipe is an error like others.
fn say(text: &str) -> Result<()> {
    use std::io::Write;
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    written.map_err(|source| Error::Io { action: "write to standard output".into(), source })
}
