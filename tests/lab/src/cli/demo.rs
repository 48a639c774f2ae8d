//! Owns `pathspider-lab demo`: the first thing a newcomer sees.

mod turns;

use std::cmp::Reverse;
use std::sync::mpsc;
use std::thread;

use clap::Args;
use pathspider_lab::emulated::EmulatedLab;
use pathspider_lab::runner::{Measured, Suite, speaks_quic};
use pathspider_lab::scenario::Scenario;
use pathspider_lab::{Error, Result, scenario};

use self::turns::{AT_ONCE, Turns};
use super::check::{Pathspider, show};
use super::{Verdict, leave_out_impossible, say};

#[derive(Args)]
pub(super) struct Demo {
    #[command(flatten)]
    pathspider: Pathspider,
    /// Targets of each version, IPv4 and IPv6, behind each path
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..=4000))]
    targets: u16,
}

/// What is measured with one plugin by the same arguments, on a network of its own.
struct Part {
    /// Its plugin's number.
    plugin: usize,
    /// Whether it makes handshakes of QUIC.
    is_quic: bool,
    /// How long a connection may take, in seconds.
    patience: u32,
    scenarios: Vec<Scenario>,
}

impl Demo {
    pub(super) fn run(self) -> Result<Verdict> {
        let suite = self.pathspider.suite();
        let mut scenarios = scenario::builtin()?;
        leave_out_impossible(&mut scenarios)?;
        let plugins = by_plugin(scenarios);
        let parts = parts(&plugins);
        let paths: usize = plugins.iter().map(|(_, scenarios)| scenarios.len()).sum();
        say(&format!(
            "\nNetworks on this machine, made for this run: vantage points, {paths} paths with known\n\
             faults, and targets behind them, in IPv4 and IPv6. The table compares what pathspider\n\
             found from the vantage points with what is true:\n"
        ))?;
        let (mut right, mut targets) = (true, 0);
        measure_all(&suite, self.targets, &plugins, &parts, |(plugin, scenarios), measured| {
            let place = |path: &str| scenarios.iter().position(|one| one.name == path);
            let measured = Measured::joined(plugin, measured, place);
            right &= measured.comparison.is_right();
            targets += measured.comparison.targets();
            present(plugin, &suite, &measured)
        })?;
        let verdict = if right { "✓ all" } else { "✗ not all" };
        say(&format!("\n {verdict} {paths} paths measured as they are ({targets} targets)\n"))?;
        Ok(Verdict::of(right))
    }
}

/// A plugin's name, and the scenarios that state something of it.
type Stated = (String, Vec<Scenario>);

/// The scenarios of each plugin, in the order of their first.
fn by_plugin(scenarios: Vec<Scenario>) -> Vec<Stated> {
    let mut groups: Vec<Stated> = Vec::new();
    for scenario in scenarios {
        for plugin in scenario.expect.keys() {
            match groups.iter_mut().find(|(known, _)| known == plugin) {
                Some((_, group)) => group.push(scenario.clone()),
                None => groups.push((plugin.clone(), vec![scenario.clone()])),
            }
        }
    }
    groups
}

/// What is measured by the same arguments of each plugin: first what may take longest, so that nobody waits for it
/// alone at the end.
fn parts(plugins: &[Stated]) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for (number, (plugin, scenarios)) in plugins.iter().enumerate() {
        let arguments = |scenario: &Scenario| scenario.expect[plugin].arguments.clone();
        let mut groups: Vec<Vec<Scenario>> = Vec::new();
        for scenario in scenarios {
            match groups.iter_mut().find(|group| arguments(&group[0]) == arguments(scenario)) {
                Some(group) => group.push(scenario.clone()),
                None => groups.push(vec![scenario.clone()]),
            }
        }
        parts.extend(groups.into_iter().map(|scenarios| {
            let arguments = arguments(&scenarios[0]).unwrap_or_default();
            let mut words = arguments.iter().skip_while(|word| *word != "--timeout").skip(1);
            let patience = words.next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
            let is_quic = speaks_quic(plugin, &arguments);
            Part { plugin: number, is_quic, patience, scenarios }
        }));
    }
    parts.sort_by_key(|part| Reverse(part.patience));
    parts
}

/// Measures all parts, some of them at the same time, and gives each plugin's together, in the plugins' order.
fn measure_all(
    suite: &Suite,
    targets: u16,
    plugins: &[Stated],
    parts: &[Part],
    mut give: impl FnMut(&Stated, Vec<Measured>) -> Result<()>,
) -> Result<()> {
    let turns = Turns::new(parts);
    let (done, found) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            let (turns, done) = (&turns, done.clone());
            scope.spawn(move || {
                while let Some(turn) = turns.begin() {
                    let Part { plugin, scenarios, .. } = turn.part;
                    let lab = EmulatedLab::new(scenarios.clone(), targets);
                    let measured = lab.and_then(|lab| suite.measure(&lab, &plugins[*plugin].0));
                    // Nobody listens where another part has failed.
                    if done.send((*plugin, measured)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(done);
        let mut together: Vec<Vec<Measured>> = plugins.iter().map(|_| Vec::new()).collect();
        for (number, plugin) in plugins.iter().enumerate() {
            let whole = parts.iter().filter(|part| part.plugin == number).count();
            while together[number].len() < whole {
                let (number, measured) = found.recv().map_err(|_| Error::Invalid {
                    subject: plugin.0.clone(),
                    message: "measuring it panicked".into(),
                })?;
                together[number].push(measured?);
            }
            give(plugin, std::mem::take(&mut together[number]))?;
        }
        Ok(())
    })
}

fn present(plugin: &str, suite: &Suite, measured: &Measured) -> Result<()> {
    let line = suite.measurement(plugin).command_line("jobs.ndjson", "out.ndjson");
    say(&format!("\npathspider {}\n\n", line.join(" ")))?;
    show(measured)
}
