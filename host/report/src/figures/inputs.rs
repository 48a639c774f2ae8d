//! What was read, and what was not and why.

use pathspider_records::find::Found;
use pathspider_records::{Bad, Fault, Source};
use serde::Serialize;

/// What was read.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Inputs {
    /// Files that were read, standard input included.
    pub(crate) files: u64,
    pub(crate) records: u64,
    /// Files in folders that are none of records, by their names.
    pub(crate) passed_over: u64,
    /// Files that were named twice, and read once.
    pub(crate) twice: u64,
    /// Records with too many different conditions to be kept apart.
    pub(crate) crowded: u64,
    /// What was not read.
    pub(crate) bad: Vec<NotRead>,
}

/// What was not read of one file, for one reason.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct NotRead {
    pub(crate) file: String,
    pub(crate) fault: Fault,
    pub(crate) count: u64,
    /// The first one's line; none for a file.
    pub(crate) line: Option<u64>,
    /// What is wrong with the first one.
    pub(crate) reason: String,
}

impl Inputs {
    pub(crate) fn new(found: &Found, bad: &Bad, records: u64, crowded: u64) -> Inputs {
        let closed = bad.iter().filter(|(_, fault, _)| *fault == Fault::Closed).count() as u64;
        let name = |source: usize| found.sources.get(source).map(Source::to_string);
        let not_read = bad.iter().map(|(source, fault, example)| NotRead {
            file: name(source).unwrap_or_default(),
            fault,
            count: example.count,
            line: Some(example.line).filter(|&line| line > 0),
            reason: example.reason.clone(),
        });
        let folders = found.closed.iter().map(|(folder, error)| NotRead {
            file: pathspider_runtime::text::path(folder),
            fault: Fault::Closed,
            count: 1,
            line: None,
            reason: error.to_string(),
        });
        Inputs {
            files: found.sources.len() as u64 - closed,
            records,
            passed_over: found.passed_over.len() as u64,
            twice: found.twice.len() as u64,
            crowded,
            bad: not_read.chain(folders).collect(),
        }
    }
}
