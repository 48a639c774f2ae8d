//! Writes what was found: records, one JSON object a line; the metadata beside them; and what a run
//! came to. What is found is decided before (`merger`).

mod answer;
mod cause;
mod chance;
mod codec;
mod counted;
mod flow;
mod job_id;
mod json;
mod metadata;
mod origin;
mod recipe;
mod records;
mod resume;
mod sink;
mod summary;
mod told;

pub(crate) use answer::{Answers, connection, is_carried, sign};
pub use cause::{Cause, Here};
pub(crate) use codec::Codec;
pub use counted::Counted;
pub(crate) use flow::Keys;
pub(crate) use job_id::{JobId, ReadJobId};
pub(crate) use metadata::{
    FILE_TYPE, FILE_TYPE_KEY, Metadata, OWNER, TIME_END, TIME_START, beside, time, time_at_last,
};
pub use origin::{Labels, Origin, RunNumber};
pub use recipe::{Recipe, RecipeOfPlugin, RecipeOfRecords};
pub use records::{Output, OutputError, RecordWriter};
pub(crate) use resume::{Good, scan};
pub use summary::Summary;
pub use told::{Line, Told};
