//! Owns measuring an emulated lab: which paths a plugin is to be run on, with which arguments, and
//! one comparison of all of them.

use std::path::PathBuf;
use std::time::Duration;

use super::{Comparison, Measurement, Target, compare};
use crate::emulated::{EmulatedLab, INTERFACE, LabPath};
use crate::error::Result;

/// How the paths of a lab are measured.
#[derive(Clone, Debug)]
pub struct Suite {
    /// The program.
    pub pathspider: PathBuf,
    /// Jobs in flight.
    pub workers: usize,
    /// Whether every run is judged again from its records and packets.
    pub rejudge: bool,
}

/// What a suite measured with one plugin.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Every path that states something of the plugin, beside what was found.
    pub comparison: Comparison,
    /// Time spent, all runs together.
    pub elapsed: Duration,
    /// The most memory a run held at once, in bytes.
    pub peak_memory: u64,
}

/// The arguments of a plugin that fit most scenarios.
fn usual_arguments(plugin: &str) -> &'static [&'static str] {
    match plugin {
        "ecn" | "mss" | "tcpopt" => &["--connect", "tcp", "--timeout", "3"],
        _ => &["--timeout", "3"],
    }
}

/// The port a plugin connects to when a scenario states none.
fn usual_port(plugin: &str, arguments: &[String]) -> u16 {
    let connects = |mode: &str| arguments.iter().any(|argument| argument.contains(mode));
    match plugin {
        _ if connects("https") => 443,
        _ if connects("http") => 80,
        _ if connects("dns") => 53,
        "tfo" | "udpzero" | "dnsresolv" => 53,
        _ => 80,
    }
}

impl Suite {
    /// The command for `plugin`, with `arguments` in place of its usual ones.
    pub fn measurement(&self, plugin: &str, arguments: Option<&[String]>) -> Measurement {
        let usual = || usual_arguments(plugin).iter().map(ToString::to_string).collect();
        Measurement {
            pathspider: self.pathspider.clone(),
            interface: INTERFACE.into(),
            workers: self.workers,
            options: Vec::new(),
            plugin: plugin.into(),
            arguments: arguments.map_or_else(usual, <[String]>::to_vec),
            rejudge: self.rejudge,
        }
    }

    /// Measures with `plugin` every path of `lab` that states something of it: one run for all
    /// paths that want the same arguments.
    ///
    /// # Errors
    /// When pathspider cannot be run or fails, or concludes something else when it judges again.
    pub fn measure(&self, lab: &EmulatedLab, plugin: &str) -> Result<Measured> {
        let mut runs: Vec<(Measurement, Vec<&LabPath>)> = Vec::new();
        for path in lab.paths() {
            let Some(expectation) = path.scenario.expect.get(plugin) else {
                continue;
            };
            let measurement = self.measurement(plugin, expectation.arguments.as_deref());
            match runs.iter_mut().find(|(known, _)| known.arguments == measurement.arguments) {
                Some((_, paths)) => paths.push(path),
                None => runs.push((measurement, vec![path])),
            }
        }
        let (mut elapsed, mut peak_memory) = (Duration::ZERO, 0);
        let mut records = Vec::new();
        for (measurement, paths) in &runs {
            let targets = paths.iter().flat_map(|path| targets(path, measurement));
            let run = measurement.run(lab.vantage(), targets)?;
            elapsed += run.finished.elapsed;
            peak_memory = peak_memory.max(run.finished.peak_memory);
            records.extend(run.records);
        }
        let own = lab.paths().iter().filter(|path| path.scenario.expect.contains_key(plugin));
        let all = own.flat_map(|path| targets(path, &self.measurement(plugin, None)));
        Ok(Measured { comparison: compare(plugin, all, &records), elapsed, peak_memory })
    }
}

fn targets<'a>(
    path: &'a LabPath,
    measurement: &Measurement,
) -> impl Iterator<Item = Target<'a>> + use<'a> {
    let stated = path.scenario.targets.port;
    let port = stated.unwrap_or_else(|| usual_port(&measurement.plugin, &measurement.arguments));
    path.targets.iter().map(move |&address| Target { truth: &path.truth, address, port })
}
