//! Jobs: the targets of a run, read from ndjson or CSV, looked up where they are names, and let
//! through or not: duplicates, blocklists, limits.

mod columns;
mod complaints;
mod courtesy;
mod csv;
mod done;
mod extent;
mod fed;
mod feeder;
mod gate;
mod kept;
mod lines;
mod meaning;
mod ndjson;
mod place;
mod prefixes;
mod reader;
mod resolve;
mod rules;
mod scans;
mod seen;
mod shape;
mod shuffle;
mod special;
mod tally;
mod target;
mod utf16;
mod verbatim;
mod wrong;

pub use courtesy::{Blocklist, BlocklistError, Courtesy, Refusal};
pub use done::Done;
pub(crate) use done::{Identity, TargetKey};
pub use fed::Fed;
pub use feeder::{Feed, Feeder, feed};
pub use lines::{Input, Lines, ReadError};
pub use ndjson::parse_record;
pub(crate) use ndjson::parse_to_the_letter;
pub(crate) use place::in_ascii;
pub use reader::{Format, JobReader};
pub(crate) use resolve::addresses;
pub use rules::{Feeding, Rules};
pub use shuffle::random_seed;
pub use tally::Counts;
pub(crate) use target::Keys;
pub(crate) use verbatim::Verbatim;
