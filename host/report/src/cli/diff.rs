//! `pathspider diff`.

use std::path::PathBuf;

use clap::Args;

use super::exit::{Exit, Failure};
use super::reading::{self, Read};
use super::{report, write, write_json};
use crate::compare::{Comparison, Settings};
use crate::gather::Side;
use crate::show::comparison::text;

/// `pathspider diff`.
#[derive(Debug, Args)]
#[command(after_help = "\
A target is compared with itself: the same measurement, address and port, or name. Whether a change is \
more than chance is tested by McNemar's test, and exactly where fewer than 25 targets changed; p is not \
corrected for the number of tests. A target whose verdicts within A, or within B, differ is \"(several)\" \
there, and in no test.")]
pub(super) struct DiffArgs {
    /// Records of before: a file, or a folder of them
    #[arg(value_name = "A")]
    before: PathBuf,

    /// Records of after
    #[arg(value_name = "B")]
    after: PathBuf,

    /// Show the changes by this key
    #[arg(long, value_name = "KEY", value_parser = report::key, default_value = "info.ASN")]
    by: String,

    /// Leave values of the key with fewer pairs than this out of the ranking
    #[arg(long, value_name = "N", default_value_t = 10)]
    min: u64,

    /// Show so many rows of each ranking
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,

    /// Write all figures as one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs `pathspider diff`.
pub(super) fn run(arguments: &DiffArgs, command: Vec<String>) -> Result<Exit, Failure> {
    let (before, after) = (std::slice::from_ref(&arguments.before), &arguments.after);
    let sets = [(Side::A, before), (Side::B, std::slice::from_ref(after))];
    let Read { context, gathered, inputs } =
        reading::records(&sets, std::slice::from_ref(&arguments.by))?;
    let exit = reading::end(&inputs);
    let settings = Settings { command, min: arguments.min };
    let comparison = Comparison::new(&gathered, &context, inputs, settings);
    match arguments.json {
        true => write_json(&comparison)?,
        false => write(&text(&comparison, arguments.top))?,
    }
    Ok(exit)
}
