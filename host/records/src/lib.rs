//! What a record is: the names and shapes of its keys, for whatever writes and reads them; and for
//! readers, a target's line, its conditions, the metadata beside, and how files and folders of records
//! are found and read.
//!
//! It knows nothing of how records come about. What it reads was written by other versions of the
//! program, by PATHspider, or by somebody's script, so it takes what it understands and says of the
//! rest what it is.

pub mod condition;
pub mod find;
pub mod keys;
pub mod metadata;
pub mod names;
pub mod read;
pub mod record;
pub mod shape;

mod answered;
mod blocks;
mod scalar;

pub use answered::Answered;
pub use condition::{Class, Parts, Remark};
pub use find::{Found, Source, find};
pub use keys::{KeyPath, Wanted};
pub use metadata::{About, Counts, DeclaredField, Run};
pub use read::{Bad, Begun, Fault, Piece, Wrong, is_record, pieces, read};
pub use record::{Flow, Record, Time};
pub use scalar::Scalar;
