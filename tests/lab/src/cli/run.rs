//! Owns the commands that put a person, or a person's program, at the vantage point: `run`,
//! `shell`, and `list`, which says what there is.

use std::fmt::Write;
use std::process::Command;

use clap::Args;
use pathspider_lab::emulated::{EmulatedLab, INTERFACE};
use pathspider_lab::{Result, scenario};

use super::{Verdict, say};

#[derive(Args)]
pub(super) struct Run {
    /// A scenario's name, the beginning of several such as 'ecn-*', or a file (*.toml)
    #[arg(value_name = "SCENARIO")]
    scenario: String,
    /// Targets of each version written into jobs.ndjson
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=65_000))]
    targets: u16,
    /// Vantage points, at least; as many as the scenarios name, if left out
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=200))]
    vantages: u8,
    /// The command. LAB_INTERFACE is the interface to measure from, LAB_TARGET and LAB_TARGET6 the
    /// first targets, LAB_JOBS a file of jobs for pathspider, LAB_VANTAGE_1 and so on the network
    /// namespaces of the vantage points
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

#[derive(Args)]
pub(super) struct Shell {
    /// A scenario's name, the beginning of several such as 'ecn-*', or a file (*.toml)
    #[arg(value_name = "SCENARIO")]
    scenario: String,
    /// Targets of each version written into the file of jobs
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=65_000))]
    targets: u16,
    /// Vantage points, at least; as many as the scenarios name, if left out
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=200))]
    vantages: u8,
}

#[derive(Args)]
pub(super) struct List {}

impl Run {
    pub(super) fn run(self) -> Result<Verdict> {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]);
        at_vantage(&self.scenario, (self.targets, self.vantages), &mut command, false)
    }
}

impl Shell {
    pub(super) fn run(self) -> Result<Verdict> {
        let shell = std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
        at_vantage(&self.scenario, (self.targets, self.vantages), &mut Command::new(shell), true)
    }
}

impl List {
    pub(super) fn run(self) -> Result<Verdict> {
        let scenarios = scenario::builtin()?;
        let width = scenarios.iter().map(|scenario| scenario.name.len()).max().unwrap_or(0);
        let mut text = String::new();
        for scenario in &scenarios {
            let plugins: Vec<&str> = scenario.expect.keys().map(String::as_str).collect();
            let (name, plugins) = (&scenario.name, plugins.join(" "));
            let _ = writeln!(text, "{name:width$}  {:<10} {}", plugins, scenario.summary);
        }
        say(&text)?;
        Ok(Verdict::Right)
    }
}

/// Makes the lab and runs `command` in it; its exit status becomes the lab's.
fn at_vantage(
    wanted: &str,
    (targets, vantages): (u16, u8),
    command: &mut Command,
    tell: bool,
) -> Result<Verdict> {
    let lab = EmulatedLab::with_vantages(scenario::find(wanted)?, targets, vantages)?;
    let jobs = pathspider_lab::runner::WorkDir::new()?;
    let file = jobs.file("jobs.ndjson");
    lab.write_jobs(&file)?;
    command.env("LAB_INTERFACE", INTERFACE).env("LAB_JOBS", &file);
    for (vantage, number) in lab.vantages().iter().zip(1..) {
        command.env(format!("LAB_VANTAGE_{number}"), vantage.path());
    }
    let all = || lab.paths().iter().flat_map(|path| &path.targets);
    if let Some(target) = all().find(|target| target.is_ipv4()) {
        command.env("LAB_TARGET", target.to_string());
    }
    if let Some(target) = all().find(|target| target.is_ipv6()) {
        command.env("LAB_TARGET6", target.to_string());
    }
    if tell {
        say(&format!(
            "At the vantage point; exit leaves and removes it.\n\n\
             interface  {INTERFACE} ($LAB_INTERFACE)\n\
             jobs       {} ($LAB_JOBS)\n{}\n",
            file.display(),
            lab.describe()
        ))?;
    }
    let finished = lab.run(command)?;
    // As shells do: a signal shows as 128 and its number.
    use std::os::unix::process::ExitStatusExt;
    let signal = || finished.status.signal().map_or(3, |signal| 128 + signal);
    Ok(Verdict::Exit(finished.status.code().unwrap_or_else(signal) as u8))
}
