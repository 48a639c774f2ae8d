//! `pathspider export`.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use pathspider_runtime::{say, text};

use super::networks::Networks;
use super::reading::{self, Named};
use crate::export::{Anonymiser, Settings, export};
use crate::figures::Inputs;
use crate::gather::Side;
use pathspider_program::{Exit, Failure};

/// `pathspider export`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("format").required(true).multiple(true).args(["parquet", "csv", "pto"])))]
#[command(after_help = "\
DIR is a folder that does not exist yet, or is empty. It gets three tables: targets (one row for each record), \
flows (one row for each connection, if the records have connections) and runs. Columns are named like the \
keys of records; a dot goes into objects (info.ASN). Values without a column stand in the column more, as JSON.

With --anonymise, addresses are encrypted. Addresses with a common prefix have a common prefix afterwards too. \
Names, texts of targets, and keys of targets without --keep are left out.")]
pub(super) struct ExportArgs {
    /// Records (ndjson, perhaps compressed), or folders of them; - or none is standard input
    #[arg(value_name = "FILE|DIR")]
    files: Vec<PathBuf>,

    /// Write Parquet into this folder, partitioned by measurement, campaign, vantage point and date
    #[arg(long, value_name = "DIR")]
    parquet: Option<PathBuf>,

    /// Write CSV into this folder: targets.csv, flows.csv, runs.csv
    #[arg(long, value_name = "DIR")]
    csv: Option<PathBuf>,

    /// Write sets of observations for the Path Transparency Observatory into this folder
    #[arg(long, value_name = "DIR")]
    pto: Option<PathBuf>,

    #[command(flatten)]
    networks: Networks,

    /// Encrypt addresses with the key in this file: 64 hexadecimal digits
    #[arg(long, value_name = "KEYFILE")]
    anonymise: Option<PathBuf>,

    /// With --anonymise, keep this key of targets (info.ASN) as it is; may be given several times
    #[arg(long, value_name = "KEY", requires = "anonymise")]
    keep: Vec<String>,
}

/// Runs `pathspider export`.
pub(super) fn run(arguments: ExportArgs) -> Result<Exit, Failure> {
    let anonymiser = arguments.anonymise.map(|path| {
        Anonymiser::read(&path).map_err(|error| {
            Failure::new(
                Exit::NoInput,
                format!("cannot use the key in {}: {error}", text::path(&path)),
            )
        })
    });
    let Named { found, abouts, mut bad } = Named::find(&[(Side::A, &arguments.files)])?;
    let abouts = abouts.into_iter().map(|(about, _)| about).collect();
    let sources = found.sources.clone();
    let settings = Settings {
        parquet: arguments.parquet,
        csv: arguments.csv,
        pto: arguments.pto,
        anonymiser: anonymiser.transpose()?,
        kept: arguments.keep,
        databases: arguments.networks.open()?,
        threads: reading::threads(),
    };
    let mut exported =
        export(sources, abouts, settings).map_err(|failed| Failure::new(Exit::NoOutput, failed))?;
    bad.merge(std::mem::take(&mut exported.bad));
    let inputs = Inputs::new(&found, &bad, exported.records, 0);
    reading::something(&inputs)?;
    if inputs.records == 0 {
        return Ok(reading::end(&inputs));
    }
    exported.keep().map_err(|failed| Failure::new(Exit::NoOutput, failed))?;
    let of = |count, one, more| format!("{count} {}", text::of(count, one, more));
    let records = of(inputs.records, "record", "records");
    say!("{records} of {}", of(inputs.files, "file", "files"));
    Ok(reading::end(&inputs))
}
