//! Reads the records that a command line names, and says what of them it cannot read.

use std::path::PathBuf;
use std::thread;

use pathspider_records::find::Found;
use pathspider_records::record::Reading;
use pathspider_records::{About, Bad, Fault, is_record, read};
use pathspider_runtime::say;
use pathspider_runtime::text::{self, visible};

use super::networks::Networks;
use crate::figures::Inputs;
use crate::gather::{Context, Gathered, Gathering, Side};
use crate::parse::Parser;
use pathspider_program::{Exit, Failure};

/// The most faults that are named one by one.
const MOST_NAMED: usize = 20;

/// The most characters of a reason.
const LONGEST: usize = 200;

/// The files of records in a folder, by their names.
const FILES: &str = "*.ndjson, *.jsonl, *.json; also *.gz, *.zst, *.xz";

/// What was read.
pub(super) struct Read {
    pub(super) context: Context,
    pub(super) gathered: Gathered,
    pub(super) inputs: Inputs,
}

/// The files that a command line names, and what stands beside them.
#[derive(Default)]
pub(super) struct Named {
    pub(super) found: Found,
    pub(super) abouts: Vec<(About, Side)>,
    pub(super) bad: Bad,
}

impl Named {
    /// Finds the files of one set, or of two that are compared.
    ///
    /// # Errors
    ///
    /// Standard input is named twice, or a set has nothing but empty folders.
    pub(super) fn find(sets: &[(Side, &[PathBuf])]) -> Result<Named, Failure> {
        let all = sets.iter().flat_map(|(_, paths)| *paths);
        if all.filter(|path| path.as_os_str() == "-").count() > 1 {
            let message = "- stands twice, and standard input is read once";
            return Err(Failure::new(Exit::Usage, message));
        }
        let mut named = Named::default();
        for &(side, paths) in sets {
            let found = pathspider_records::find(paths);
            for source in &found.sources {
                let about = source.path().map_or(Ok(None), About::beside);
                let about = about.unwrap_or_else(|error| {
                    named.bad.add(named.abouts.len(), Fault::Metadata, 0, error);
                    None
                });
                named.abouts.push((about.unwrap_or_default(), side));
            }
            let has_files = !(found.sources.is_empty() && found.closed.is_empty());
            for folder in &found.empty {
                let message =
                    format!("{}: folder has no file of records ({FILES})", text::path(folder));
                if !has_files {
                    return Err(Failure::new(Exit::NoInput, message));
                }
                say!("{message}");
            }
            named.found.sources.extend(found.sources);
            named.found.passed_over.extend(found.passed_over);
            named.found.twice.extend(found.twice);
            named.found.closed.extend(found.closed);
        }
        Ok(named)
    }
}

/// How many threads read.
pub(super) fn threads() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Finds and reads all records of one set, or of two that are compared.
pub(super) fn records(
    sets: &[(Side, &[PathBuf])],
    keys: &[String],
    networks: &Networks,
) -> Result<Read, Failure> {
    let databases = networks.open()?;
    let Named { found, abouts, mut bad } = Named::find(sets)?;
    let context = Context::new(abouts, keys, databases);
    let wanted = context.wanted();
    let (parts, not_read) = read(
        &found.sources,
        threads(),
        || (Parser::default(), Gathering::new(&context)),
        |(parser, gathering), source, line| {
            let record = parser.read(line, Reading(&wanted))?;
            is_record(record.conditions.is_some(), record.schema.as_u64())?;
            gathering.record(source, &record);
            Ok(())
        },
    );
    bad.merge(not_read);
    let mut gathered = Gathered::new(&context);
    parts.into_iter().for_each(|(_, part)| gathered.merge(part.gathered()));
    let mut gathered = gathered.attributed(&context);
    gathered.sort();
    let records = gathered.entries.len() as u64;
    let inputs = Inputs::new(&found, &bad, records, gathered.outcomes.crowded);
    something(&inputs)?;
    Ok(Read { context, gathered, inputs })
}

/// Says what was not read, and fails where no file was.
pub(super) fn something(inputs: &Inputs) -> Result<(), Failure> {
    complain(inputs);
    if inputs.files == 0 {
        let message = "none of the files can be read, or there is none";
        return Err(Failure::new(Exit::NoInput, message));
    }
    if inputs.records == 0 {
        say!("no record was read");
    }
    Ok(())
}

/// Says what was not read.
fn complain(inputs: &Inputs) {
    for not_read in inputs.bad.iter().take(MOST_NAMED) {
        let place = match not_read.line {
            Some(line) => format!("{}:{line}", not_read.file),
            None => not_read.file.clone(),
        };
        let words = not_read.fault.words(not_read.count);
        let reason = visible(&not_read.reason, LONGEST);
        match not_read.count {
            1 => say!("{place}: {words}: {reason}"),
            count => say!("{place}: the first of {count}: {words}: {reason}"),
        }
    }
    let rest = inputs.bad.len().saturating_sub(MOST_NAMED);
    if rest > 0 {
        say!("{rest} more of that kind");
    }
}

/// How a command ends that has shown all that could be read.
pub(super) fn end(inputs: &Inputs) -> Exit {
    if inputs.records == 0 {
        Exit::NoInput
    } else if inputs.bad.is_empty() {
        Exit::Finished
    } else {
        Exit::FinishedWithErrors
    }
}
