//! Owns `pathspider-lab bench`: its options, and where its report goes.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValuesParser, RangedU64ValueParser};
use pathspider_lab::bench::{Case, Report, Settings, markdown, measured, readable, rewrite, run};
use pathspider_lab::runner::default_pathspider;
use pathspider_lab::{Error, Result};

use super::{Verdict, say};

#[derive(Args)]
pub(super) struct Bench {
    /// What to measure; all that does not take minutes, if left out
    #[arg(value_name = "CASE", value_parser = PossibleValuesParser::new(Case::ALL.map(Case::name)))]
    cases: Vec<String>,
    /// Measure what takes minutes, too
    #[arg(long, conflicts_with = "cases")]
    long: bool,
    /// The pathspider to run [default: the one beside this program]
    #[arg(long, value_name = "PATH", value_parser = super::program)]
    pathspider: Option<PathBuf>,
    /// Targets of each case [default: the case's own number]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=2_000_000))]
    targets: Option<u32>,
    /// Rounds; every program has its turn in each. What takes minutes has one [default: 5]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..=1000))]
    rounds: Option<usize>,
    /// Targets in flight, in pathspider and in the bare loop [default: 1000, or the case's own]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    workers: Option<u32>,
    /// Leave out the programs of others
    #[arg(long)]
    no_others: bool,
    /// Print the report, every run in it, as one JSON object
    #[arg(long)]
    json: bool,
    /// Write the tables into this page, between its comments bench:begin and bench:end
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

impl Bench {
    pub(super) fn run(self) -> Result<Verdict> {
        let cases = match &*self.cases {
            [] => Case::ALL.into_iter().filter(|case| self.long || !case.is_long()).collect(),
            names => names.iter().map(|name| name.parse()).collect::<Result<Vec<Case>>>()?,
        };
        if let Some(page) = &self.write {
            // Found now, and not after minutes.
            readable(page)?;
        }
        let settings = Settings {
            pathspider: self.pathspider.unwrap_or_else(default_pathspider),
            cases,
            targets: self.targets,
            rounds: self.rounds,
            workers: self.workers.map(|workers| workers as usize),
            others: !self.no_others,
        };
        let mut told = Ok(());
        let report = run(&settings, |case, run| {
            if !self.json && told.is_ok() {
                told = say(&format!("{}\n", measured(case, run)));
            }
        })?;
        told?;
        let text = markdown(&report);
        if let Some(page) = &self.write {
            rewrite(page, &text)?;
        }
        say(&if self.json { json(&report)? } else { format!("\n{text}") })?;
        Ok(Verdict::of(report.is_right()))
    }
}

fn json(report: &Report) -> Result<String> {
    let text = serde_json::to_string(report)
        .map_err(|error| Error::Io { action: "write the report".into(), source: error.into() })?;
    Ok(text + "\n")
}
