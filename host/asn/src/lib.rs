//! Which autonomous system, prefix and country an address is in, as local files say. No service is
//! ever asked.
//!
//! Files are MaxMind DBs (GeoLite2, DB-IP, IPinfo and others) and CAIDA's prefix2as. What a file is
//! follows from its content, perhaps compressed with gzip, zstd or xz. Of several files, the first
//! that knows the system gives system and prefix, and the first that knows the country gives that.

mod mmdb;
mod prefix2as;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use pathspider_runtime::decompress;
use serde::Serialize;

use mmdb::Mmdb;
use prefix2as::Prefix2As;

/// A file larger than this is no database: the largest of today's have some hundred megabytes.
const LARGEST: u64 = 2 << 30;

/// What is known of an address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Network {
    /// Its autonomous system. Of a prefix that several announce, the first that the file names.
    pub asn: Option<u32>,
    /// The prefix that the file has the system for. In prefix2as it is the announced one; a MaxMind
    /// DB may split or join those.
    pub prefix: Option<IpNet>,
    /// Its country.
    pub country: Option<Country>,
}

/// A country, by its two letters (ISO 3166-1).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Country([u8; 2]);

impl Country {
    /// The country of these two letters; `None` for other texts.
    pub fn new(text: &str) -> Option<Country> {
        match text.as_bytes() {
            &[a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Some(Country([a.to_ascii_uppercase(), b.to_ascii_uppercase()]))
            }
            _ => None,
        }
    }

    /// The two letters, in upper case.
    pub fn as_str(&self) -> &str {
        // They are ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Databases of networks, in the order in which they are asked.
#[derive(Debug, Default)]
pub struct Databases(Vec<Database>);

#[derive(Debug)]
struct Database {
    path: PathBuf,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Mmdb(Box<Mmdb>),
    Prefix2As(Prefix2As),
}

/// What a database is, for whoever reads results that come of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Described {
    /// Its file.
    pub file: String,
    /// Its format: `mmdb` or `prefix2as`.
    pub format: &'static str,
    /// The name that it gives itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// When it was made, in seconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub built: Option<u64>,
    /// How many prefixes it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefixes: Option<usize>,
}

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
        "{} is no database of networks that is known here: {reason}. Read are MaxMind DBs (.mmdb) \
         with AS or country, and CAIDA's prefix2as (lines such as 192.0.2.0<TAB>24<TAB>64500)",
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

impl Databases {
    /// Reads files, in the order in which they are to be asked.
    ///
    /// # Errors
    ///
    /// One of them cannot be read, or is none.
    pub fn open<P: AsRef<Path>>(paths: &[P]) -> Result<Databases, AsnError> {
        paths
            .iter()
            .map(|path| Database::open(path.as_ref()))
            .collect::<Result<_, _>>()
            .map(Databases)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is known of an address.
    pub fn find(&self, address: IpAddr) -> Network {
        let address = address.to_canonical();
        let mut found = Network::default();
        for database in &self.0 {
            let more = database.find(address);
            if found.asn.is_none() {
                (found.asn, found.prefix) = (more.asn, more.prefix);
            }
            found.country = found.country.or(more.country);
            if found.asn.is_some() && found.country.is_some() {
                break;
            }
        }
        found
    }

    /// The files.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|database| &*database.path)
    }

    /// What they are.
    pub fn described(&self) -> Vec<Described> {
        self.0.iter().map(Database::described).collect()
    }
}

impl Database {
    fn open(path: &Path) -> Result<Database, AsnError> {
        let octets = read(path).map_err(|error| AsnError::Read { path: path.to_owned(), error })?;
        let content = if mmdb::is_one(&octets) {
            let reason = |reason| AsnError::Format { path: path.to_owned(), reason };
            Content::Mmdb(Box::new(Mmdb::read(octets).map_err(reason)?))
        } else {
            Content::Prefix2As(Prefix2As::read(path, &octets)?)
        };
        Ok(Database { path: path.to_owned(), content })
    }

    fn find(&self, address: IpAddr) -> Network {
        match &self.content {
            Content::Mmdb(mmdb) => mmdb.find(address),
            Content::Prefix2As(prefixes) => prefixes.find(address),
        }
    }

    fn described(&self) -> Described {
        let file = self.path.display().to_string();
        match &self.content {
            Content::Mmdb(mmdb) => Described {
                file,
                format: "mmdb",
                database: Some(mmdb.name().to_owned()),
                built: Some(mmdb.built()),
                prefixes: None,
            },
            Content::Prefix2As(prefixes) => Described {
                file,
                format: "prefix2as",
                database: None,
                built: None,
                prefixes: Some(prefixes.len()),
            },
        }
    }
}

/// A file's octets, decompressed.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let mut octets = Vec::new();
    decompress::by_content(Box::new(file))?.take(LARGEST + 1).read_to_end(&mut octets)?;
    match octets.len() as u64 > LARGEST {
        true => Err(io::Error::new(io::ErrorKind::FileTooLarge, "it has more than 2 GiB")),
        false => Ok(octets),
    }
}
