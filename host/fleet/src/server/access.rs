//! Where the server is, who we are there, and whether it is one that we can use.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::{ConnectErrorKind, ConnectOptions, ServerAddr};
use clap::Args;
use pathspider_runtime::text::{path as shown, visible};

use super::{LONGEST_REASON, Server, TIMEOUT};
use crate::exit::{Exit, Failure};

/// How often a silent server is asked whether it is there.
const PING: Duration = Duration::from_secs(10);

/// The longest pause before it is tried again to reach the server.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The oldest server that has what is asked for: a message for each subject that nothing replaces, and
/// messages that are got by their subjects.
const OLDEST: (u32, u32) = (2, 9);

/// Where the server is, and who we are there.
#[derive(Debug, Clone, Args)]
pub(crate) struct Access {
    /// The NATS server: nats://HOST:PORT, or tls://HOST:PORT
    #[arg(long, value_name = "URL", value_parser = url)]
    pub(crate) server: String,

    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

/// A server's address.
pub(crate) fn url(text: &str) -> Result<String, String> {
    let (scheme, host) = text.split_once("://").unwrap_or(("nats", text));
    let is_known = ["nats", "tls", "ws", "wss"].contains(&scheme);
    if is_known && !host.is_empty() && text.parse::<ServerAddr>().is_ok() {
        Ok(text.to_owned())
    } else {
        Err("write nats://HOST:PORT or tls://HOST:PORT".to_owned())
    }
}

/// Who we are, and whom we trust.
#[derive(Debug, Clone, Args)]
pub(crate) struct Credentials {
    /// The file with the seed of our NKey, as `server-config` writes it
    #[arg(long, value_name = "FILE", conflicts_with = "creds")]
    nkey: Option<PathBuf>,

    /// The file with our credentials, as nsc writes it
    #[arg(long, value_name = "FILE")]
    creds: Option<PathBuf>,

    /// The authorities that may sign the server's certificate, as a PEM file [default: the system's]
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
}

impl Credentials {
    /// The first of these options that is given.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let all = [("--nkey", &self.nkey), ("--creds", &self.creds), ("--tls-ca", &self.tls_ca)];
        all.into_iter().find(|(_, file)| file.is_some()).map(|(option, _)| option)
    }

    fn options(&self) -> Result<ConnectOptions, Failure> {
        let mut options = ConnectOptions::new()
            .name("pathspider-fleet")
            .ping_interval(PING)
            .connection_timeout(TIMEOUT)
            .request_timeout(Some(TIMEOUT))
            .reconnect_delay_callback(|tries| {
                let pause = Duration::from_millis(100).saturating_mul(1 << tries.min(5));
                if tries == 0 { Duration::ZERO } else { pause.min(LONGEST_PAUSE) }
            });
        if let Some(path) = &self.creds {
            options = options.credentials(&read(path)?).map_err(|error| {
                let message = format!("{} has no credentials: {error}", shown(path));
                Failure::new(Exit::NoInput, message)
            })?;
        }
        if let Some(path) = &self.nkey {
            let seed = read(path)?.trim().to_owned();
            nkeys::KeyPair::from_seed(&seed).map_err(|error| {
                let message = format!("{} has no seed of an NKey: {error}", shown(path));
                Failure::new(Exit::NoInput, message)
            })?;
            options = options.nkey(seed);
        }
        if let Some(path) = &self.tls_ca {
            // Said here, for the library names no file.
            read(path)?;
            options = options.add_root_certificates(path.clone()).require_tls(true);
        }
        Ok(options)
    }
}

impl Access {
    /// Connects.
    ///
    /// # Errors
    ///
    /// The server is not there, refuses us, or is too old.
    pub(crate) async fn connect(&self) -> Result<Server, Failure> {
        let server = visible(&self.server, LONGEST_REASON);
        let client = self.credentials.options()?.connect(&self.server).await.map_err(|error| {
            let why = match error.kind() {
                ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
                    "it refuses this client: give the right --nkey or --creds".to_owned()
                }
                kind => {
                    let is_silent =
                        matches!(kind, ConnectErrorKind::Io | ConnectErrorKind::TimedOut);
                    let advice = if is_silent { "; does a NATS server run there?" } else { "" };
                    format!("{}{advice}", visible(&super::trouble(error).reason, LONGEST_REASON))
                }
            };
            Failure::new(Exit::NoServer, format!("cannot use the server {server}: {why}"))
        })?;
        let version = client.server_info().version;
        if is_too_old(&version) {
            let (major, minor) = OLDEST;
            let message = format!(
                "the server {server} is nats-server {}, and version {major}.{minor} is needed: it keeps no \
                 message for good in a subject of its own",
                visible(&version, 40)
            );
            return Err(Failure::new(Exit::NoServer, message));
        }
        Ok(Server::new(client))
    }
}

fn is_too_old(version: &str) -> bool {
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().ok());
    let found = numbers.next().flatten().zip(numbers.next().flatten());
    found.is_some_and(|found| found < OLDEST)
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| {
        Failure::new(Exit::NoInput, format!("cannot read {}: {error}", shown(path)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        for (version, expected) in
            [("2.9.10", false), ("2.15.1", false), ("2.8.4", true), ("1.9.0", true), ("?", false)]
        {
            assert_eq!(is_too_old(version), expected, "{version}");
        }
    }
}
