//! Jobs: the targets of a run, read from ndjson or CSV, looked up where they are names, and let
//! through or not: duplicates, blocklists, limits.

mod courtesy;
mod csv;
mod done;
mod extent;
mod feeder;
mod gate;
mod lines;
mod ndjson;
mod prefixes;
mod reader;
mod resolve;
mod rules;
mod seen;
mod shuffle;
mod special;
mod tally;
mod target;

pub use courtesy::{Blocklist, BlocklistError, Courtesy, Refusal};
pub use done::Done;
pub(crate) use done::Identity;
pub use feeder::{Feed, Feeder, feed};
pub use lines::{Input, Lines, ReadError};
pub use ndjson::parse_record;
pub use reader::{Format, JobReader, Numbered};
pub use rules::{Feeding, Rules};
pub use shuffle::random_seed;
pub use tally::Counts;
