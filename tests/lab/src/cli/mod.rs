//! Owns the command line: what can be asked for, and how outcomes become exit statuses.

mod bench;
mod demo;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    2 wrong arguments; 3 the lab or pathspider failed.";

#[derive(Subcommand)]
enum Asked {
    /// Measure every kind of path with pathspider and compare with what is known of it
    Demo(demo::Demo),
    /// Compare pathspider's speed with a bare connect loop's on the same targets
    Bench(bench::Bench),
}

/// How a command that did its work ended.
enum Verdict {
    /// As expected.
    Right,
    /// Something differed.
    Different,
}

/// Runs the program.
pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = pathspider_lab::net::prepare().and_then(|()| match arguments.command {
        Asked::Demo(demo) => demo.run(),
        Asked::Bench(bench) => bench.run(),
    });
    match outcome {
        Ok(Verdict::Right) => ExitCode::SUCCESS,
        Ok(Verdict::Different) => ExitCode::from(1),
        Err(error) => {
            eprintln!("pathspider-lab: {error}");
            ExitCode::from(3)
        }
    }
}
