//! Reads the records that a command line names, and says what of them it cannot read.

use std::path::PathBuf;
use std::thread;

use pathspider_records::find::Found;
use pathspider_records::{About, Bad, Fault, read};
use pathspider_runtime::say;
use pathspider_runtime::text::visible;

use super::exit::{Exit, Failure};
use crate::figures::Inputs;
use crate::gather::{Context, Gathered, Gathering, Side};

/// The most faults that are named one by one.
const MOST_NAMED: usize = 20;

/// The most characters of a reason.
const LONGEST: usize = 200;

/// What was read.
pub(super) struct Read {
    pub(super) context: Context,
    pub(super) gathered: Gathered,
    pub(super) inputs: Inputs,
}

/// Finds and reads all records of one set, or of two that are compared.
pub(super) fn records(sets: &[(Side, &[PathBuf])], keys: &[String]) -> Result<Read, Failure> {
    let (mut all, mut sources) = (Found::default(), Vec::new());
    let mut bad = Bad::default();
    for &(side, paths) in sets {
        let found = pathspider_records::find(paths);
        for source in &found.sources {
            let about = source.path().map_or(Ok(None), About::beside);
            let about = about.unwrap_or_else(|error| {
                bad.add(sources.len(), Fault::Metadata, 0, error);
                None
            });
            sources.push((about.unwrap_or_default(), side));
        }
        all.sources.extend(found.sources);
        all.passed_over.extend(found.passed_over);
        all.twice.extend(found.twice);
        all.closed.extend(found.closed);
    }
    let context = Context::new(sources, keys);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let (read, not_read) =
        read(&all.sources, &context.wanted(), threads, || Gathering::new(&context));
    bad.merge(not_read);
    let mut gathered = Gathered::new(&context);
    read.into_iter().for_each(|part| gathered.merge(part.gathered()));
    let mut gathered = gathered.attributed(&context);
    gathered.sort();
    let records = gathered.entries.len() as u64;
    let inputs = Inputs::new(&all, &bad, records, gathered.outcomes.crowded);
    complain(&inputs);
    if inputs.records == 0 {
        let message = match inputs.files {
            0 => "none of the files can be read, or there is none",
            _ => "no record was read",
        };
        return Err(Failure::new(Exit::NoInput, message));
    }
    Ok(Read { context, gathered, inputs })
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
    if inputs.bad.is_empty() { Exit::Finished } else { Exit::FinishedWithErrors }
}
