//! Owns `pathspider-lab check`: the table of path × plugin, for all scenarios or some.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;
use clap::builder::RangedU64ValueParser;
use pathspider_lab::emulated::EmulatedLab;
use pathspider_lab::runner::{Measured, Suite, default_pathspider, render};
use pathspider_lab::{Error, Result, scenario};

use super::{Verdict, leave_out_impossible, say};

/// Which pathspider is run, and how.
#[derive(Args)]
pub(super) struct Pathspider {
    /// The pathspider to run [default: the one beside this program]
    #[arg(long, value_name = "PATH", value_parser = super::program)]
    pathspider: Option<PathBuf>,
    /// Jobs in flight
    #[arg(short, long, value_name = "N", default_value_t = 200,
          value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    workers: usize,
    /// Have it conclude again from each run's records and packets, and fail where that differs
    #[arg(long)]
    rejudge: bool,
}

impl Pathspider {
    pub(super) fn suite(self) -> Suite {
        let pathspider = self.pathspider.unwrap_or_else(default_pathspider);
        Suite { pathspider, workers: self.workers, rejudge: self.rejudge }
    }
}

#[derive(Args)]
pub(super) struct Check {
    #[command(flatten)]
    pathspider: Pathspider,
    /// Only with these plugins; all that the scenarios state something of, if left out
    #[arg(long, value_name = "NAME")]
    plugin: Vec<String>,
    /// Measure with SYNs that nobody goes on with (--connect syn), where a plugin has them, and compare what
    /// a handshake shows
    #[arg(long)]
    syn: bool,
    /// Targets of each version, IPv4 and IPv6, behind each path
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=65_000))]
    targets: u16,
    /// Names of scenarios, beginnings such as 'ecn-*', or files of your own (*.toml); all that
    /// ship with the lab, if left out
    #[arg(value_name = "SCENARIO")]
    scenarios: Vec<String>,
}

impl Check {
    pub(super) fn run(self) -> Result<Verdict> {
        let mut scenarios = if self.scenarios.is_empty() {
            scenario::builtin()?
        } else {
            scenario::find_all(&self.scenarios)?
        };
        let wanted = |plugin: &String| self.plugin.is_empty() || self.plugin.contains(plugin);
        scenarios.retain(|scenario| scenario.expect.keys().any(wanted));
        leave_out_impossible(&mut scenarios)?;
        let mut plugins: BTreeSet<String> = scenarios
            .iter()
            .flat_map(|scenario| scenario.expect.keys())
            .filter(|plugin| wanted(plugin))
            .cloned()
            .collect();
        if plugins.is_empty() {
            return Err(none_of("none of the scenarios states what is expected of such a plugin"));
        }
        let suite = self.pathspider.suite();
        if self.syn {
            plugins.retain(|plugin| suite.has_syn(plugin));
        }
        if plugins.is_empty() {
            return Err(none_of(
                "--syn leaves nothing to measure: no such plugin has `--connect syn`",
            ));
        }
        let lab = EmulatedLab::new(scenarios, self.targets)?;
        let mut right = true;
        for plugin in plugins {
            say(&format!("\n{plugin}\n"))?;
            let measured = if self.syn {
                suite.measure_by_syn(&lab, &plugin)?
            } else {
                suite.measure(&lab, &plugin)?
            };
            show(&measured)?;
            right &= measured.comparison.is_right();
        }
        Ok(Verdict::of(right))
    }
}

/// Why no plugin is left to be measured with.
fn none_of(why: &str) -> Error {
    Error::Usage { subject: "--plugin".into(), message: why.into() }
}

/// Prints a table, in colour on a terminal, and what it took.
pub(super) fn show(measured: &Measured) -> Result<()> {
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    say(&format!(
        "{}   in {:.1} s, with at most {:.0} MiB of memory\n",
        render(&measured.comparison, colour),
        measured.elapsed.as_secs_f64(),
        measured.peak_memory as f64 / f64::from(1 << 20),
    ))
}
