//! Writes what was found: records, one JSON object a line, and the summary of a run.

mod metadata;
mod records;
mod resume;
mod sink;
mod summary;

pub(crate) use metadata::{
    FILE_TYPE, FILE_TYPE_KEY, Metadata, OWNER, TIME_END, TIME_START, beside,
};
pub use records::{Opening, Output, OutputError, RecordWriter};
pub(crate) use resume::scan;
pub use summary::Summary;
