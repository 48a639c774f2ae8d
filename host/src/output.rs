//! Writes what was found: records, one JSON object a line, and the summary of a run.

mod metadata;
mod records;
mod resume;
mod sink;
mod summary;

pub(crate) use metadata::{
    FILE_TYPE, FILE_TYPE_KEY, Metadata, OWNER, TIME_END, TIME_START, beside, time, time_at_last,
};
pub use records::{Output, OutputError, RecordWriter};
pub(crate) use resume::{Good, scan};
pub(crate) use sink::Codec;
pub use summary::Summary;
