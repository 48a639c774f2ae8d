//! Owns what a benchmark gives: every run of every program, what they come to together, and which
//! columns a table has of it.

use serde::{Serialize, Serializer};

use super::case::Case;
use super::machine::Machine;

/// One run of one program.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Run {
    /// Which round, from 1.
    pub round: usize,
    /// The program, and how it ran where that differs.
    pub program: String,
    /// Why there is nothing else to tell of it.
    pub missing: Option<String>,
    /// How many targets it had.
    pub targets: u32,
    /// Seconds from its start to its end.
    pub seconds: f64,
    /// Its speed as a share of the bare loop's in the same round.
    pub share_of_loop: Option<f64>,
    /// The same of the first program's, where the case compares what pathspider does in two ways.
    pub share_of_first: Option<f64>,
    /// Seconds of processor time, user and kernel, that it used.
    pub cpu_seconds: Option<f64>,
    /// Seconds of processor time that the servers used meanwhile.
    pub server_cpu_seconds: Option<f64>,
    /// The most resident memory it held at once, in bytes.
    pub peak_memory: Option<u64>,
    /// Resident memory each second, in bytes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub memory: Vec<u64>,
    /// SYNs a second while they were being sent.
    pub syns_per_second: Option<f64>,
    /// Targets from which it got an answer.
    pub answered: Option<u32>,
    /// Targets with at least one flow that was not seen.
    pub flows_missed: Option<usize>,
    /// Targets with another verdict than the true one or with none, connections of the bare loop
    /// that failed.
    pub wrong: Option<usize>,
}

/// All runs of a case.
#[derive(Clone, Debug, Serialize)]
pub struct CaseReport {
    /// Which.
    #[serde(serialize_with = "name")]
    pub case: Case,
    /// How pathspider was run.
    pub command: String,
    /// The runs, in order.
    pub runs: Vec<Run>,
}

/// A whole benchmark.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Where it ran.
    pub machine: Machine,
    /// Its cases.
    pub cases: Vec<CaseReport>,
}

fn name<S: Serializer>(case: &Case, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(case.name())
}

/// Targets a second at which the parts of a core are given that stages take.
const FAST: f64 = 10_000.0;

/// What a table tells of a program: the median of its runs where nothing else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Targets,
    Seconds,
    /// Milliseconds of the whole run.
    Millis,
    /// Targets a second.
    Rate,
    /// Microseconds for each target.
    PerTarget,
    /// With the lowest and the highest.
    Share,
    /// The same of the program that is first in the case.
    OfFirst,
    /// Microseconds of processor time for each target.
    Cpu,
    /// Milliseconds of processor time of the whole run.
    CpuMillis,
    /// The part of a core that this is at [`FAST`].
    Core,
    /// The same of the servers.
    ServerCpu,
    Syns,
    /// Share of the targets.
    Answered,
    /// Resident memory after so much of the time.
    Tenth,
    Half,
    NineTenths,
    /// The highest of all runs.
    Peak,
    /// All runs together.
    MissedFlows,
    /// All runs together.
    Wrong,
}

impl Run {
    /// A program that did not run.
    pub(super) fn missing(program: impl Into<String>, why: impl Into<String>) -> Self {
        Self { program: program.into(), missing: Some(why.into()), ..Self::default() }
    }

    /// Targets a second.
    pub fn rate(&self) -> f64 {
        f64::from(self.targets) / self.seconds
    }

    fn micros(&self, seconds: f64) -> f64 {
        seconds * 1e6 / f64::from(self.targets)
    }

    fn memory_after(&self, share: f64) -> Option<f64> {
        let at = (self.memory.len() as f64 * share) as usize;
        self.memory.get(at).map(|bytes| *bytes as f64)
    }

    pub(super) fn value(&self, column: Column) -> Option<f64> {
        if self.missing.is_some() {
            return None;
        }
        match column {
            Column::Targets => Some(self.targets.into()),
            Column::Seconds => Some(self.seconds),
            Column::Millis => Some(self.seconds * 1e3),
            Column::Rate => Some(self.rate()),
            Column::PerTarget => Some(self.micros(self.seconds)),
            Column::Share => self.share_of_loop,
            Column::OfFirst => self.share_of_first,
            Column::Cpu => self.cpu_seconds.map(|seconds| self.micros(seconds)),
            Column::CpuMillis => self.cpu_seconds.map(|seconds| seconds * 1e3),
            Column::Core => self.cpu_seconds.map(|seconds| self.micros(seconds) * FAST / 1e6),
            Column::ServerCpu => self.server_cpu_seconds.map(|seconds| self.micros(seconds)),
            Column::Syns => self.syns_per_second,
            Column::Answered => {
                self.answered.map(|count| f64::from(count) / f64::from(self.targets))
            }
            Column::Tenth => self.memory_after(0.1),
            Column::Half => self.memory_after(0.5),
            Column::NineTenths => self.memory_after(0.9),
            Column::Peak => self.peak_memory.map(|bytes| bytes as f64),
            Column::MissedFlows => self.flows_missed.map(|count| count as f64),
            Column::Wrong => self.wrong.map(|count| count as f64),
        }
    }
}

impl CaseReport {
    /// The runs of each program on as many targets, in the order of their first.
    pub(super) fn programs(&self) -> Vec<Vec<&Run>> {
        let mut programs: Vec<Vec<&Run>> = Vec::new();
        for run in &self.runs {
            let same = |other: &Run| (&other.program, other.targets) == (&run.program, run.targets);
            match programs.iter_mut().find(|runs| same(runs[0])) {
                Some(runs) => runs.push(run),
                None => programs.push(vec![run]),
            }
        }
        programs
    }
}

impl Report {
    /// Whether every flow was seen and every verdict is the true one.
    pub fn is_right(&self) -> bool {
        let runs = self.cases.iter().flat_map(|case| &case.runs);
        runs.flat_map(|run| [run.flows_missed, run.wrong]).flatten().all(|count| count == 0)
    }
}

/// The middle of some values; `None` of none.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
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

    #[test]
    fn memory_over_time() {
        let run = Run { memory: (0..10).collect(), ..Run::default() };
        let after = [Column::Tenth, Column::Half, Column::NineTenths].map(|c| run.value(c));
        assert_eq!(after, [Some(1.0), Some(5.0), Some(9.0)]);
    }
}
