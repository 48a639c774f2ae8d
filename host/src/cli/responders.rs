//! The arguments that say how targets are asked which packets came to them.

use std::path::PathBuf;

use clap::Args;
use pathspider_arrivals::{CREDENTIALS, Key, PORT};

use super::exit::{Exit, Failure};
use crate::forward::Responders;
use pathspider_runtime::text;

/// Octets of a packet that are compared, and what they stand in.
const SNAPLEN: u32 = 2_048;

/// The far end, where one owns it.
#[derive(Debug, Args)]
#[command(next_help_heading = "At the far end")]
pub(super) struct ResponderOptions {
    /// Ask targets whose line says `"responder": true` which packets came to them, and compare these with
    /// what left: `pathspider respond` answers there. The file has the key, and nobody else may read it
    #[arg(long, value_name = "FILE")]
    responder_key: Option<PathBuf>,

    /// The UDP port at which these targets are asked
    #[arg(long, value_name = "PORT", default_value_t = PORT, requires = "responder_key",
          value_parser = clap::value_parser!(u16).range(1..))]
    responder_port: u16,
}

impl ResponderOptions {
    /// How they are asked; nothing unless they are.
    ///
    /// # Errors
    ///
    /// The file has no key, or is open to others.
    pub(super) fn responders(&self) -> Result<Option<Responders>, Failure> {
        let Some(path) = &self.responder_key else { return Ok(None) };
        let credentials = std::env::var_os(CREDENTIALS).map(PathBuf::from);
        let key = Key::read(path, credentials.as_deref()).map_err(|error| {
            Failure::new(Exit::NoInput, format!("--responder-key: {} {error}", text::path(path)))
        })?;
        Ok(Some(Responders { key, port: self.responder_port }))
    }

    /// Octets that are captured of each packet at the least.
    pub(super) fn least_snaplen(&self) -> u32 {
        if self.responder_key.is_some() { SNAPLEN } else { 0 }
    }
}
