//! Owns `pathspider-lab demo`: the first thing a newcomer sees.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;
use pathspider_lab::kernel::{INTERFACE, KernelLab, standard_groups};
use pathspider_lab::runner::{Measurement, Target, compare, default_pathspider, render};
use pathspider_lab::{Error, Result};

use super::Verdict;

#[derive(Args)]
pub(super) struct Demo {
    /// The pathspider to run [default: the one beside this program]
    #[arg(long, value_name = "PATH")]
    pathspider: Option<PathBuf>,
    /// IPv4 targets behind each kind of path
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=65_000))]
    ipv4: u16,
    /// IPv6 targets behind each kind of path
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(0..=65_000))]
    ipv6: u16,
    /// Jobs in flight
    #[arg(short, long, value_name = "N", default_value_t = 200)]
    workers: usize,
}

impl Demo {
    pub(super) fn run(self) -> Result<Verdict> {
        let measurement = Measurement {
            pathspider: self.pathspider.unwrap_or_else(default_pathspider),
            interface: INTERFACE.into(),
            workers: self.workers,
            plugin: "ecn".into(),
            arguments: ["--connect", "tcp", "--timeout", "3"].map(String::from).to_vec(),
        };
        let lab = KernelLab::new(standard_groups(self.ipv4, self.ipv6))?;
        let targets = || {
            lab.groups().iter().flat_map(|group| {
                let target = |address| Target { truth: &group.truth, address, port: group.port() };
                group.addresses().map(target)
            })
        };
        println!(
            "\nA network on this machine: a vantage point, a router that misbehaves, and {} servers.\n\
             Running inside it:\n\n  pathspider {}\n",
            targets().count(),
            measurement.command_line("jobs.ndjson", "out.ndjson").join(" ")
        );
        let run = measurement.run(lab.vantage(), targets())?;
        let comparison = compare(&measurement.plugin, targets(), &run.records);
        let mut stdout = std::io::stdout();
        let colour = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let text = format!(
            "{}   in {:.1} s, with at most {:.0} MiB of memory\n",
            render(&comparison, colour),
            run.finished.elapsed.as_secs_f64(),
            run.finished.peak_memory as f64 / f64::from(1 << 20),
        );
        std::io::Write::write_all(&mut stdout, text.as_bytes())
            .map_err(|source| Error::Io { action: "print the table".into(), source })?;
        Ok(if comparison.is_right() { Verdict::Right } else { Verdict::Different })
    }
}
