//! Which autonomous system, prefix and country an address is in, as local files say. No service is
//! ever asked.
//!
//! Files are MaxMind DBs (GeoLite2, DB-IP, IPinfo and others) and CAIDA's prefix2as. What a file is
//! follows from its content, perhaps compressed with gzip, zstd or xz. Of several files, the first
//! that knows the system gives system and prefix, and the first that knows the country gives that.

mod databases;
mod error;
mod mmdb;
mod network;
mod prefix2as;
#[cfg(test)]
mod tests;

pub use databases::{Databases, Described};
pub use error::AsnError;
pub use network::{Country, Network};
