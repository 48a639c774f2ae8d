//! `pathspider diff`.

use std::path::PathBuf;

use clap::Args;
use pathspider_runtime::text;

use super::networks::Networks;
use super::ranking::{Ranking, key};
use super::reading::{self, Read};
use super::{write, write_json};
use crate::compare::{Comparison, Settings};
use crate::gather::Side;
use crate::show::comparison;
use pathspider_program::{Exit, Failure};

/// `pathspider diff`.
#[derive(Debug, Args)]
#[command(after_help = "\
Each target is compared with itself: records of the same measurement with the same address and port, or the \
same name. McNemar's test says whether a change is more than chance; if fewer than 25 targets changed, the \
test is exact. p is not corrected for the number of tests. If the verdicts on a target differ within A or \
within B, the target is shown as \"(several)\" and is in no test.")]
pub(super) struct DiffArgs {
    /// The earlier records: a file, or a folder of them
    #[arg(value_name = "A")]
    before: PathBuf,

    /// The later records
    #[arg(value_name = "B")]
    after: PathBuf,

    /// Show the changes by this key; by default info.ASN, with --asn-db dip_asn
    #[arg(long, value_name = "KEY", value_parser = key)]
    by: Option<String>,

    #[command(flatten)]
    ranking: Ranking,

    #[command(flatten)]
    networks: Networks,
}

/// Runs `pathspider diff`.
pub(super) fn run(arguments: &DiffArgs, command: Vec<String>) -> Result<Exit, Failure> {
    let (before, after) = (std::slice::from_ref(&arguments.before), &arguments.after);
    let sets = [(Side::A, before), (Side::B, std::slice::from_ref(after))];
    let networks = &arguments.networks;
    let key = arguments.by.clone().unwrap_or_else(|| networks.key().to_owned());
    let Read { context, gathered, inputs } = reading::records(&sets, &[key], networks)?;
    for (side, path) in [(Side::A, &arguments.before), (Side::B, after)] {
        if !gathered.entries.iter().any(|entry| entry.side == side) && inputs.records > 0 {
            let message =
                format!("there is nothing to compare: no record was read of {}", text::path(path));
            return Err(Failure::new(Exit::NoInput, message));
        }
    }
    let exit = reading::end(&inputs);
    let settings = Settings { command, min: arguments.ranking.min };
    let comparison = Comparison::new(&gathered, &context, inputs, settings);
    if arguments.ranking.json {
        write_json(&comparison)?
    } else {
        write(&comparison::text(&comparison, arguments.ranking.top))?
    }
    Ok(exit)
}
