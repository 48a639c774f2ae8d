//! Writes what was found: records, one JSON object a line, and the summary of a run.

mod records;
mod summary;

pub use records::{Output, OutputError, RecordWriter};
pub use summary::Summary;
