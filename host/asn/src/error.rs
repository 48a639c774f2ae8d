//! Why a database cannot be used.

use std::io;
use std::path::PathBuf;

/// A database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AsnError {
    /// It cannot be read.
    #[error("cannot read the database {}: {error}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// It is of another format.
    #[error(
        "{} is no database of networks that pathspider can read: {reason}. It reads MaxMind DBs \
         (.mmdb) with AS or country, and CAIDA's prefix2as (lines such as \
         192.0.2.0<TAB>24<TAB>64500)",
        .path.display()
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// One of its lines says something else.
    #[error(
        "{}:{line}: {text:?} is no prefix, length and AS as in 192.0.2.0<TAB>24<TAB>64500",
        .path.display()
    )]
    Line {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: u64,
        /// What stands there, as far as it is short.
        text: String,
    },
}
