//! Owns `pathspider-lab demo`: the first thing a newcomer sees.

use std::thread;

use clap::Args;
use pathspider_lab::emulated::EmulatedLab;
use pathspider_lab::runner::{Measured, Suite};
use pathspider_lab::scenario::Scenario;
use pathspider_lab::{Error, Result, scenario};

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

/// One plugin, and a network of the paths that say something of it.
struct Show {
    plugin: String,
    lab: EmulatedLab,
}

impl Demo {
    pub(super) fn run(self) -> Result<Verdict> {
        let suite = self.pathspider.suite();
        let mut scenarios = scenario::builtin()?;
        leave_out_impossible(&mut scenarios)?;
        let shows = by_plugin(scenarios)
            .into_iter()
            .map(|(plugin, scenarios)| {
                Ok(Show { plugin, lab: EmulatedLab::new(scenarios, self.targets)? })
            })
            .collect::<Result<Vec<_>>>()?;
        let paths: usize = shows.iter().map(|show| show.lab.paths().len()).sum();
        say(&format!(
            "\nNetworks on this machine, made for this run: vantage points, {paths} paths with known\n\
             faults, and targets behind them, in IPv4 and IPv6. The table compares what pathspider\n\
             found from the vantage points with what is true:\n"
        ))?;
        // Each has a network of its own, so that all can measure at the same time.
        let (mut right, mut targets) = (true, 0);
        thread::scope(|scope| {
            let running: Vec<_> = shows
                .iter()
                .map(|show| (show, scope.spawn(|| suite.measure(&show.lab, &show.plugin))))
                .collect();
            running.into_iter().try_for_each(|(show, measuring)| {
                let measured = measuring.join().map_err(|_| Error::Invalid {
                    subject: show.plugin.clone(),
                    message: "measuring it panicked".into(),
                })??;
                right &= measured.comparison.is_right();
                targets += measured.comparison.targets();
                present(show, &suite, &measured)
            })
        })?;
        let verdict = if right { "✓ all" } else { "✗ not all" };
        say(&format!("\n {verdict} {paths} paths measured as they are ({targets} targets)\n"))?;
        Ok(Verdict::of(right))
    }
}

/// The scenarios of each plugin, in the order of their first.
fn by_plugin(scenarios: Vec<Scenario>) -> Vec<(String, Vec<Scenario>)> {
    let mut groups: Vec<(String, Vec<Scenario>)> = Vec::new();
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

fn present(show_: &Show, suite: &Suite, measured: &Measured) -> Result<()> {
    let line = suite.measurement(&show_.plugin).command_line("jobs.ndjson", "out.ndjson");
    say(&format!("\npathspider {}\n\n", line.join(" ")))?;
    show(measured)
}
