//! Jobs: the targets of a run, read from ndjson or CSV.

mod csv;
mod feeder;
mod ndjson;
mod reader;

pub use feeder::{Feed, Feeder, feed};
pub use reader::{BadLine, Defaults, Format, Input, JobReader, ReadError};
