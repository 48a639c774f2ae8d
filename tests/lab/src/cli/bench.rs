//! Owns `pathspider-lab bench`: its options, and how its report is printed.

use std::path::PathBuf;

use clap::Args;
use pathspider_lab::bench::{Report, Round, Settings, run};
use pathspider_lab::kernel::INTERFACE;
use pathspider_lab::runner::{Measurement, default_pathspider};
use pathspider_lab::{Error, Result};

use super::Verdict;

#[derive(Args)]
pub(super) struct Bench {
    /// The pathspider to run [default: the one beside this program]
    #[arg(long, value_name = "PATH")]
    pathspider: Option<PathBuf>,
    /// Measure the bare connect loop alone
    #[arg(long, conflicts_with = "pathspider")]
    loop_only: bool,
    /// Live targets
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u16).range(1..=65_000))]
    targets: u16,
    /// Rounds, each of the loop and then pathspider
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,
    /// Jobs in flight in pathspider, and targets in flight in the loop
    #[arg(short, long, value_name = "N", default_value_t = 1000)]
    workers: usize,
    /// What pathspider measures
    #[arg(long, value_name = "NAME", default_value = "ecn", value_parser = ["ecn", "evilbit"])]
    plugin: String,
    /// Print the report as one JSON object
    #[arg(long)]
    json: bool,
}

impl Bench {
    pub(super) fn run(self) -> Result<Verdict> {
        let measurement = (!self.loop_only).then(|| Measurement {
            pathspider: self.pathspider.unwrap_or_else(default_pathspider),
            interface: INTERFACE.into(),
            workers: self.workers,
            arguments: arguments(&self.plugin),
            plugin: self.plugin,
        });
        let settings = Settings {
            targets: self.targets,
            rounds: self.rounds,
            in_flight: self.workers,
            measurement,
        };
        if !self.json {
            println!(
                "{} live targets, {} in flight, two connections to each; targets/s by round:\n\n\
                 {:>6} {:>10} {:>11} {:>8} {:>7} {:>6} {:>10} {:>9} {:>7}",
                self.targets,
                self.workers,
                "round",
                "bare loop",
                "pathspider",
                "share",
                "missed",
                "wrong",
                "no record",
                "peak MiB",
                "CPU s"
            );
        }
        let mut number = 0;
        let report = run(&settings, |round| {
            number += 1;
            if !self.json {
                println!("{}", line(number, round));
            }
        })?;
        if self.json {
            let text = serde_json::to_string(&report).map_err(|error| Error::Io {
                action: "write the report".into(),
                source: error.into(),
            })?;
            println!("{text}");
        } else {
            print_medians(&report);
        }
        let wrong = |round: &Round| {
            let pathspider = round.pathspider.as_ref();
            round.loop_failed > 0 || pathspider.is_some_and(|p| p.wrong + p.no_record > 0)
        };
        Ok(if report.rounds.iter().any(wrong) { Verdict::Different } else { Verdict::Right })
    }
}

/// What has a plugin do a handshake, or as little as it can.
fn arguments(plugin: &str) -> Vec<String> {
    let words: &[&str] = if plugin == "ecn" { &["--connect", "tcp"] } else { &[] };
    words.iter().map(ToString::to_string).collect()
}

fn line(number: usize, round: &Round) -> String {
    let bare = format!("{number:>6} {:>10.0}", round.loop_targets_per_second);
    match &round.pathspider {
        None => bare,
        Some(p) => format!(
            "{bare} {:>11.0} {:>7.1}% {:>7} {:>6} {:>10} {:>9.1} {:>7.2}",
            p.targets_per_second,
            p.share_of_loop * 100.0,
            p.flows_missed,
            p.wrong,
            p.no_record,
            p.peak_memory as f64 / f64::from(1 << 20),
            p.cpu_seconds,
        ),
    }
}

fn print_medians(report: &Report) {
    let mut text = format!("\nmedian {:>10.0}", report.median_loop);
    if let (Some(rate), Some(share)) = (report.median_pathspider, report.median_share) {
        text += &format!(" {rate:>11.0} {:>7.1}%", share * 100.0);
    }
    println!("{text}");
}
