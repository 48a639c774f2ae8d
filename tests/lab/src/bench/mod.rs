//! Owns the speed comparison: a bare connect loop and pathspider on the same live targets, in turn,
//! in the same network, so that what the machine does besides touches both.

mod connect_loop;
mod emulator;

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use crate::error::Result;
use crate::kernel::{Group, KernelLab, standard_groups};
use crate::runner::{Measurement, Target, compare};

pub use connect_loop::{LoopResult, connect_loop};
pub use emulator::{EmulatorSpeed, emulator_speed};

/// What to compare.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Live targets.
    pub targets: u16,
    /// Rounds; each measures the loop and then pathspider.
    pub rounds: usize,
    /// Connections the bare loop keeps in flight.
    pub in_flight: usize,
    /// How pathspider is run; `None` measures the loop alone.
    pub measurement: Option<Measurement>,
}

/// One round.
#[derive(Clone, Debug, Serialize)]
pub struct Round {
    /// Targets a second of the bare loop, two connections to each.
    pub loop_targets_per_second: f64,
    /// Connections of the bare loop that failed.
    pub loop_failed: usize,
    /// pathspider's part of the round.
    pub pathspider: Option<PathspiderRound>,
}

/// What pathspider did in one round.
#[derive(Clone, Debug, Serialize)]
pub struct PathspiderRound {
    /// Targets a second, from the start of the process to its end.
    pub targets_per_second: f64,
    /// Seconds from start to end.
    pub seconds: f64,
    /// Seconds of processor time, user and kernel, used by the process.
    pub cpu_seconds: f64,
    /// Its speed as a share of the bare loop's.
    pub share_of_loop: f64,
    /// Records with `pathspider.missed_flows` or `pathspider.not_observed`.
    pub flows_missed: usize,
    /// Records with other conditions than expected, those with missed flows among them.
    pub wrong: usize,
    /// Targets without a record.
    pub no_record: usize,
    /// The most resident memory held at once, in bytes.
    pub peak_memory: u64,
}

/// All rounds and their medians.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Targets in each round.
    pub targets: u16,
    /// The rounds, in order.
    pub rounds: Vec<Round>,
    /// Median of the loop's targets a second.
    pub median_loop: f64,
    /// Median of pathspider's targets a second.
    pub median_pathspider: Option<f64>,
    /// Median of the shares of each round.
    pub median_share: Option<f64>,
}

/// Makes the network and runs all rounds; `progress` hears of each as it ends.
///
/// # Errors
/// When the network cannot be made or pathspider fails.
pub fn run(settings: &Settings, mut progress: impl FnMut(&Round)) -> Result<Report> {
    let mut groups = standard_groups(settings.targets, 0);
    groups.truncate(1);
    let lab = KernelLab::new(groups)?;
    let group = &lab.groups()[0];
    let addresses: Vec<SocketAddr> =
        group.addresses().map(|address| (address, group.port()).into()).collect();

    let mut rounds = Vec::new();
    for _ in 0..settings.rounds {
        let bare = lab.vantage().enter(|| connect_loop(&addresses, settings.in_flight))??;
        let loop_rate = rate(settings.targets, bare.elapsed);
        let pathspider = match &settings.measurement {
            Some(measurement) => Some(measure(&lab, group, measurement, loop_rate)?),
            None => None,
        };
        let round =
            Round { loop_targets_per_second: loop_rate, loop_failed: bare.failed, pathspider };
        progress(&round);
        rounds.push(round);
    }
    let part = |value: fn(&PathspiderRound) -> f64| {
        let values: Vec<f64> =
            rounds.iter().filter_map(|round| round.pathspider.as_ref()).map(value).collect();
        median(values)
    };
    Ok(Report {
        targets: settings.targets,
        median_loop: median(rounds.iter().map(|r| r.loop_targets_per_second).collect())
            .unwrap_or(0.0),
        median_pathspider: part(|p| p.targets_per_second),
        median_share: part(|p| p.share_of_loop),
        rounds,
    })
}

fn measure(
    lab: &KernelLab,
    group: &Group,
    measurement: &Measurement,
    loop_rate: f64,
) -> Result<PathspiderRound> {
    let targets: Vec<Target<'_>> = group
        .addresses()
        .map(|address| Target { truth: &group.truth, address, port: group.port() })
        .collect();
    let run = measurement.run(lab.vantage(), targets.iter().copied())?;
    let comparison = compare(&measurement.plugin, targets.iter().copied(), &run.records);
    let own_rate = rate(group.ipv4, run.finished.elapsed);
    let no_record: usize = comparison.rows.iter().map(crate::runner::Row::missing).sum();
    let right: usize = comparison.rows.iter().map(crate::runner::Row::right).sum();
    Ok(PathspiderRound {
        targets_per_second: own_rate,
        seconds: run.finished.elapsed.as_secs_f64(),
        cpu_seconds: run.finished.cpu.as_secs_f64(),
        share_of_loop: own_rate / loop_rate,
        flows_missed: comparison.count(&["pathspider.missed_flows", "pathspider.not_observed"]),
        wrong: run.records.len().saturating_sub(right),
        no_record,
        peak_memory: run.finished.peak_memory,
    })
}

fn rate(targets: u16, elapsed: Duration) -> f64 {
    f64::from(targets) / elapsed.as_secs_f64()
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        length if length % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }
}
