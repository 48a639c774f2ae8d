//! `pathspider export`: records as tables for other programs.
//!
//! `sources` looks at the first records of each file, from which and from what is `declared` a `schema`
//! is made for each measurement. Then threads read; `rows` makes batches of columns of each piece of a
//! file, and in the order of the pieces they are added to what is written: `parquet`, `csv`, `pto`.

mod anonymous;
mod batch;
mod chunk;
mod csv;
mod declared;
mod folder;
mod keys;
mod kind;
mod parquet;
mod pto;
mod rows;
mod schema;
mod sources;
mod turns;

use std::io;
use std::path::PathBuf;

use pathspider_asn::Databases;
use pathspider_records::{About, Bad, Source, pieces};
use pathspider_runtime::text;

pub(crate) use anonymous::Anonymiser;
use batch::Batch;
use declared::Secrecy;
use folder::Folder;
use rows::{Making, Plan};
use schema::Learning;
use turns::Turns;

/// What is written, and how.
pub(crate) struct Settings {
    /// The folders of each format.
    pub(crate) parquet: Option<PathBuf>,
    pub(crate) csv: Option<PathBuf>,
    pub(crate) pto: Option<PathBuf>,
    /// Makes addresses unknown.
    pub(crate) anonymiser: Option<Anonymiser>,
    /// Keys of targets that are published all the same.
    pub(crate) kept: Vec<String>,
    /// Where the networks of targets are looked up.
    pub(crate) databases: Databases,
    pub(crate) threads: usize,
}

/// What was written.
pub(crate) struct Exported {
    pub(crate) records: u64,
    /// What was not read.
    pub(crate) bad: Bad,
    folders: Vec<Folder>,
}

impl Exported {
    /// Gives the folders their names.
    pub(crate) fn keep(self) -> Result<(), Failed> {
        self.folders.into_iter().try_for_each(|folder| {
            let path = folder.path().to_owned();
            folder.keep().map_err(|error| Failed { path, error })
        })
    }
}

/// A folder that cannot be written.
#[derive(Debug)]
pub(crate) struct Failed {
    path: PathBuf,
    error: io::Error,
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot write to {}: {}", text::path(&self.path), self.error)
    }
}

/// What is written into one folder.
enum Output {
    Parquet(parquet::Dataset),
    Csv(Box<csv::Files>),
    Pto(pto::Sets),
}

impl Output {
    /// Adds the rows of a piece of a file.
    fn add(&mut self, batches: &[&Batch]) -> io::Result<()> {
        match self {
            Output::Parquet(dataset) => batches.iter().try_for_each(|batch| dataset.add(batch)),
            Output::Csv(files) => files.add(batches),
            Output::Pto(sets) => batches.iter().try_for_each(|batch| sets.add(batch)),
        }
    }
}

/// What all turns are taken at.
struct Outputs {
    all: Vec<(PathBuf, Output)>,
    failed: Option<Failed>,
}

impl Outputs {
    /// Adds rows to all outputs; whether that goes on.
    fn add(&mut self, batches: &[&Batch]) -> bool {
        for (path, output) in &mut self.all {
            if let Err(error) = output.add(batches) {
                self.failed = Some(Failed { path: path.clone(), error });
                return false;
            }
        }
        true
    }
}

/// Exports these sources, beside which that stands.
pub(crate) fn export(
    sources: Vec<Source>,
    abouts: Vec<About>,
    settings: Settings,
) -> Result<Exported, Failed> {
    let Settings { parquet, csv, pto, anonymiser, kept, databases, threads } = settings;
    let folder = |path: Option<PathBuf>| {
        path.map(|path| Folder::new(&path).map_err(|error| Failed { path, error })).transpose()
    };
    let (parquet, csv, pto) = (folder(parquet)?, folder(csv)?, folder(pto)?);

    let mut learning = Learning::default();
    let (begun, beside) = sources::look(sources, abouts, &mut learning);
    let schemas = learning.schemas(|name| {
        if kept.iter().any(|kept| kept == name) { Secrecy::Kept } else { Secrecy::Hidden }
    });
    let plan = Plan::new(schemas, beside, anonymiser, databases);

    let mut all = Vec::new();
    if let Some(folder) = &parquet {
        let dataset = parquet::Dataset::new(folder.inside().to_owned(), threads);
        all.push((folder.path().to_owned(), Output::Parquet(dataset)));
    }
    if let Some(folder) = &csv {
        let path = folder.path().to_owned();
        match csv::Files::new(folder.inside(), &plan.schemas) {
            Ok(files) => all.push((path, Output::Csv(Box::new(files)))),
            Err(error) => return Err(Failed { path, error }),
        }
    }
    if let Some(folder) = &pto {
        let sets = pto::Sets::new(folder.inside().to_owned());
        all.push((folder.path().to_owned(), Output::Pto(sets)));
    }

    let turns = Turns::new(Outputs { all, failed: None });
    let (made, bad) = pieces(
        begun,
        threads,
        || Making::new(&plan),
        |making, piece, bad| {
            piece.lines(bad, |number, line| making.line(piece.source, number, line));
            let batches = making.ended();
            let goes_on = turns.at(piece.place, |outputs| outputs.add(&batches));
            making.clear();
            goes_on
        },
    );
    let records = made.iter().map(|making| making.records).sum();
    let mut outputs = turns.into_inner();
    outputs.add(&plan.runs().ended());
    if let Some(failed) = outputs.failed {
        return Err(failed);
    }
    let names: Vec<String> = match plan.anonymiser {
        None => plan.sources.iter().map(|beside| beside.name.clone()).collect(),
        Some(_) => Vec::new(),
    };
    for (path, output) in outputs.all {
        let finished = match output {
            Output::Parquet(dataset) => dataset.finish(),
            Output::Csv(files) => files.finish(),
            Output::Pto(sets) => sets.finish(&names),
        };
        finished.map_err(|error| Failed { path, error })?;
    }
    Ok(Exported { records, bad, folders: [parquet, csv, pto].into_iter().flatten().collect() })
}
