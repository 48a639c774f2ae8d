//! `pathspider report`.

use std::path::PathBuf;

use clap::Args;
use pathspider_runtime::say;

use super::networks::Networks;
use super::ranking::{Ranking, key};
use super::reading::{self, Read};
use super::{write, write_file, write_json};
use crate::figures::{Report, Settings};
use crate::gather::Side;
use crate::show::html;
use crate::show::report::{Extent, text};
use crate::threshold::{Threshold, Verdict};
use pathspider_program::{Exit, Failure};

/// The keys that records are grouped by where none is asked for, if they tell records apart.
const KEYS: [&str; 7] =
    ["vantage", "round", "ip_version", "dp", "info.ASN", "dip_asn", "dip_country"];

/// `pathspider report`.
#[derive(Debug, Args)]
#[command(after_help = "\
Each share is of the records that have a verdict on its aspect. Records whose packets were not sent, \
applied or observed are left out of the share, and counted. Intervals are Wilson's, of 95 %.

KEY is a key of records; a dot goes into objects (info.ASN). Beside them there are ip_version, prefix \
(/24 and /48) and date. LIMIT is a condition, <, <=, > or >=, and a share or a number of cases: \
'ecn.connectivity.broken > 5%'. The exit status is 11 if the limit is passed, or if no record has a \
verdict on it, or the measurement has no such condition.")]
pub(super) struct ReportArgs {
    /// Records (ndjson, perhaps compressed), or folders of them; - or none is standard input
    #[arg(value_name = "FILE|DIR")]
    files: Vec<PathBuf>,

    /// Show shares by this key; may be given several times. By default, aspects with something impaired
    /// are shown by each key that has more than one value
    #[arg(long, value_name = "KEY", value_parser = key)]
    by: Vec<String>,

    #[command(flatten)]
    ranking: Ranking,

    #[command(flatten)]
    networks: Networks,

    /// Write a page with tables and pictures to this file; the page needs no other file
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    html: Option<PathBuf>,

    /// Replace a page that exists already
    #[arg(long, requires = "html")]
    force: bool,

    /// End with status 11 if this limit is passed; may be given several times
    #[arg(long, value_name = "LIMIT")]
    fail_if: Vec<Threshold>,
}

/// Runs `pathspider report`.
pub(super) fn run(arguments: &ReportArgs, command: Vec<String>) -> Result<Exit, Failure> {
    let are_asked = !arguments.by.is_empty();
    let keys = if are_asked { arguments.by.clone() } else { KEYS.map(str::to_owned).to_vec() };
    let Read { context, gathered, inputs } =
        reading::records(&[(Side::A, &arguments.files)], &keys, &arguments.networks)?;
    let mut exit = reading::end(&inputs);
    let settings = Settings { command, min: arguments.ranking.min, are_asked };
    let report = Report::new(&gathered, &context, inputs, settings);
    match &arguments.html {
        Some(file) => write_file(file, arguments.force, html::page(&report).as_bytes())?,
        None if arguments.ranking.json => write_json(&report)?,
        None => write(&text(&report, Extent { top: arguments.ranking.top, is_all: are_asked }))?,
    }
    let is_misspelt = |condition: &str| context.abouts().any(|about| about.lacks(condition));
    for limit in &arguments.fail_if {
        let aspects = report.measurements.iter().flat_map(|measured| &measured.aspects);
        match limit.judge(aspects, is_misspelt) {
            Verdict::Kept(_) => {}
            Verdict::Passed(said) => {
                say!("passed: {said}");
                exit = Exit::Passed;
            }
            Verdict::NoCases(said) => {
                say!("cannot be judged: {said}");
                exit = Exit::Passed;
            }
        }
    }
    Ok(exit)
}
