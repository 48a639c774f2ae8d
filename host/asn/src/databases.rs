//! Several files, asked in their order.

use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use pathspider_runtime::decompress;
use serde::Serialize;

use crate::error::AsnError;
use crate::mmdb::{self, Mmdb};
use crate::network::Network;
use crate::prefix2as::Prefix2As;

/// A file larger than this is no database: the largest of today's have some hundred megabytes.
const LARGEST: u64 = 2 << 30;

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

/// Describes a database to readers of results that were made with it.
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
    if octets.len() as u64 > LARGEST {
        Err(io::Error::new(io::ErrorKind::FileTooLarge, "it has more than 2 GiB"))
    } else {
        Ok(octets)
    }
}
