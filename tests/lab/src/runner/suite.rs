//! Owns measuring an emulated lab: which paths a plugin is to be run on, with which arguments, and
//! one comparison of all of them.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::Deserialize;

use super::{Comparison, Measurement, Target, compare, opening, plugin_waiver};
use crate::emulated::{EmulatedLab, INTERFACE, LabPath};
use crate::error::Result;
use crate::truth::Truth;

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

impl Measured {
    /// All these together, with the paths in the order of what `key` gives for their names.
    pub fn joined<K: Ord>(plugin: &str, parts: Vec<Self>, key: impl Fn(&str) -> K) -> Self {
        Self {
            elapsed: parts.iter().map(|part| part.elapsed).sum(),
            peak_memory: parts.iter().map(|part| part.peak_memory).max().unwrap_or(0),
            comparison: Comparison::joined(
                plugin,
                parts.into_iter().map(|part| part.comparison),
                key,
            ),
        }
    }
}

/// The arguments of a plugin that fit most scenarios, of the options that it has.
fn usual_arguments(plugin: &str, has: impl Fn(&str) -> bool) -> Vec<String> {
    let mut usual = Vec::new();
    if matches!(plugin, "ecn" | "mss" | "tcpopt") {
        usual.extend(["--connect", "tcp"]);
    }
    if has("timeout") {
        usual.extend(["--timeout", "3"]);
    }
    usual.into_iter().map(str::to_owned).collect()
}

/// The most jobs in flight of a run that speaks QUIC: the processors of this machine do it at both ends, so
/// many handshakes at a time last longer than a target is waited for.
const MOST_OF_QUIC: usize = 80;

/// Whether a run makes handshakes of QUIC.
pub fn speaks_quic(plugin: &str, arguments: &[String]) -> bool {
    matches!(plugin, "h3" | "quic" | "quicecn") || arguments.iter().any(|word| word == "quic")
}

/// What the lab reads of a plugin's description.
#[derive(Deserialize)]
struct Described {
    options: Vec<Named>,
}

/// An option.
#[derive(Deserialize)]
struct Named {
    name: String,
    /// The words of a choice.
    choices: Option<Vec<String>>,
}

impl Suite {
    /// The command for `plugin`, with its usual arguments.
    pub fn measurement(&self, plugin: &str) -> Measurement {
        let options = self.options_of(plugin);
        let has = |name: &str| options.iter().any(|option| option.name == name);
        let arguments = usual_arguments(plugin, has);
        Measurement {
            pathspider: self.pathspider.clone(),
            interface: INTERFACE.into(),
            workers: self.workers_of(plugin, &arguments),
            options: Vec::new(),
            plugin: plugin.into(),
            arguments,
            rejudge: self.rejudge,
        }
    }

    /// Jobs in flight of a run.
    fn workers_of(&self, plugin: &str, arguments: &[String]) -> usize {
        let most = if speaks_quic(plugin, arguments) { MOST_OF_QUIC } else { usize::MAX };
        self.workers.min(most)
    }

    /// The options that a plugin has, by the program's word; none where it gives none, for the run says
    /// why.
    fn options_of(&self, plugin: &str) -> Vec<Named> {
        let mut command = Command::new(&self.pathspider);
        command.args(plugin_waiver(&self.pathspider)).args(["--plugin-info", plugin, "--json"]);
        let said = command.stdin(Stdio::null()).output();
        let described = said.ok().and_then(|said| serde_json::from_slice(&said.stdout).ok());
        described.map_or_else(Vec::new, |described: Described| described.options)
    }

    /// Whether `plugin` can do with SYNs that nobody goes on with.
    pub fn has_syn(&self, plugin: &str) -> bool {
        let options = self.options_of(plugin);
        let mut words = options.iter().filter(|option| option.name == "connect");
        words.any(|option| option.choices.iter().flatten().any(|word| word == "syn"))
    }

    /// Measures with `plugin` every path of `lab` that states something of it: one run for all
    /// paths that want the same arguments.
    ///
    /// # Errors
    /// When pathspider cannot be run or fails, or concludes something else when it judges again.
    pub fn measure(&self, lab: &EmulatedLab, plugin: &str) -> Result<Measured> {
        let of_path = |path: &LabPath| {
            let expectation = path.scenario.expect.get(plugin)?;
            Some((path.truth.clone(), expectation.arguments.clone()))
        };
        self.measure_all(lab, plugin, of_path, |_| true)
    }

    /// The same with SYNs that nobody goes on with, as far as the handshake shows it.
    ///
    /// # Errors
    /// See [`measure`](Suite::measure).
    pub fn measure_by_syn(&self, lab: &EmulatedLab, plugin: &str) -> Result<Measured> {
        let usual = self.measurement(plugin).arguments;
        let of_path = |path: &LabPath| {
            let expectation = path.scenario.expect.get(plugin)?;
            let mut truth = path.truth.clone();
            truth.expected.insert(plugin.into(), opening::expected(expectation)?);
            let arguments = expectation.arguments.as_ref().unwrap_or(&usual);
            Some((truth, Some(opening::arguments(arguments))))
        };
        self.measure_all(lab, plugin, of_path, opening::is_seen)
    }

    /// Measures the paths with a known truth, by these arguments or the usual ones, and compares
    /// the conditions that count.
    fn measure_all(
        &self,
        lab: &EmulatedLab,
        plugin: &str,
        of_path: impl Fn(&LabPath) -> Option<(Truth, Option<Vec<String>>)>,
        counts: impl Fn(&str) -> bool,
    ) -> Result<Measured> {
        let usual = self.measurement(plugin);
        let mut runs: Vec<(Measurement, Vec<&LabPath>)> = Vec::new();
        let mut truths: Vec<(&LabPath, Truth)> = Vec::new();
        for path in lab.paths() {
            let Some((truth, arguments)) = of_path(path) else { continue };
            truths.push((path, truth));
            let arguments = arguments.unwrap_or_else(|| usual.arguments.clone());
            let workers = self.workers_of(plugin, &arguments);
            let measurement = Measurement { arguments, workers, ..usual.clone() };
            match runs.iter_mut().find(|(known, _)| known.arguments == measurement.arguments) {
                Some((_, paths)) => paths.push(path),
                None => runs.push((measurement, vec![path])),
            }
        }
        let (mut elapsed, mut peak_memory) = (Duration::ZERO, 0);
        let mut records = Vec::new();
        for (measurement, paths) in &runs {
            let run = measurement.run(lab.vantage(), in_turn(paths))?;
            elapsed += run.finished.elapsed;
            peak_memory = peak_memory.max(run.finished.peak_memory);
            records.extend(run.records);
        }
        for record in &mut records {
            record.conditions.retain(|condition| counts(condition));
        }
        let all = truths
            .iter()
            .flat_map(|(path, truth)| targets(path).map(move |target| Target { truth, ..target }));
        Ok(Measured { comparison: compare(plugin, all, &records), elapsed, peak_memory })
    }
}

/// A target of each path, then the next of each: so those that answer, and need the processors, are not all in
/// flight together.
fn in_turn<'a>(paths: &[&'a LabPath]) -> impl Iterator<Item = Target<'a>> {
    let most = paths.iter().map(|path| path.targets.len()).max().unwrap_or(0);
    let paths = paths.to_vec();
    (0..most).flat_map(move |number| {
        let of_path = move |path| targets(path).nth(number);
        paths.clone().into_iter().filter_map(of_path)
    })
}

/// The targets of a path, on the port that it states.
fn targets(path: &LabPath) -> impl Iterator<Item = Target<'_>> {
    let port = path.scenario.targets.port;
    path.targets.iter().map(move |&address| Target { truth: &path.truth, address, port })
}
