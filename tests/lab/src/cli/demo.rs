//! Owns `pathspider-lab demo`: the first thing a newcomer sees.

use clap::Args;
use pathspider_lab::emulated::EmulatedLab;
use pathspider_lab::{Result, scenario};

use super::check::{Pathspider, show};
use super::{Verdict, say};

const PLUGIN: &str = "ecn";

#[derive(Args)]
pub(super) struct Demo {
    #[command(flatten)]
    pathspider: Pathspider,
    /// Targets of each version, IPv4 and IPv6, behind each path
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..=4000))]
    targets: u16,
}

impl Demo {
    pub(super) fn run(self) -> Result<Verdict> {
        let mut scenarios = scenario::builtin()?;
        scenarios.retain(|scenario| scenario.expect.contains_key(PLUGIN));
        let lab = EmulatedLab::new(scenarios, self.targets)?;
        let suite = self.pathspider.suite();
        let targets: usize = lab.paths().iter().map(|path| path.targets.len()).sum();
        say(&format!(
            "\nA network on this machine, made for this run: a vantage point, {} paths of which we\n\
             know what each does, and {targets} targets behind them, half of them IPv6.\n\
             Measured from the vantage point with\n\n  pathspider {}\n\n\
             what pathspider found beside what is true:\n\n",
            lab.paths().len(),
            suite.measurement(PLUGIN, None).command_line("jobs.ndjson", "out.ndjson").join(" ")
        ))?;
        let measured = suite.measure(&lab, PLUGIN)?;
        show(&measured)?;
        Ok(Verdict::of(measured.comparison.is_right()))
    }
}
