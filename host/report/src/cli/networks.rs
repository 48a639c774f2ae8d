//! Files that say in which networks addresses are.

use std::path::PathBuf;

use clap::Args;
use pathspider_asn::Databases;

use pathspider_program::{Exit, Failure};

/// Where networks are looked up.
#[derive(Debug, Args)]
pub(super) struct Networks {
    /// Look up the networks of targets (dip_asn, dip_prefix, dip_country) in this file if records lack them:
    /// a MaxMind DB or CAIDA's prefix2as. May be given several times
    #[arg(long, value_name = "FILE")]
    asn_db: Vec<PathBuf>,
}

impl Networks {
    /// Reads the files.
    pub(super) fn open(&self) -> Result<Databases, Failure> {
        Databases::open(&self.asn_db).map_err(|error| Failure::new(Exit::NoInput, error))
    }

    /// The key that has the system.
    pub(super) fn key(&self) -> &'static str {
        if self.asn_db.is_empty() { "info.ASN" } else { "dip_asn" }
    }
}
