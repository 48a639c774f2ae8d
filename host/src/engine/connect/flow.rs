//! The flow of a connection: what the observer is asked for, and the keys that tell which it was.

use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

use pathspider_plugin_api::packet::protocol;
use pathspider_plugin_api::{Connect, ConnectKind, Job, Outcome};

use super::Attempt;
use crate::engine::stamp;
use pathspider_observer::{Claim, Endpoint};

/// The flow of a connection whose first packet was sent.
pub(in crate::engine) struct Flow {
    pub(super) protocol: u8,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) started: SystemTime,
}

impl Flow {
    /// The target's end of it.
    pub(in crate::engine) fn endpoint(&self) -> Endpoint {
        Endpoint { protocol: self.protocol, address: self.remote.ip(), port: self.remote.port() }
    }

    /// Asks the observer for this flow, which ends now.
    pub(in crate::engine) fn into_claim(self, id: u64) -> Claim {
        Claim {
            id,
            protocol: self.protocol,
            local: self.local,
            remote: self.remote,
            started_ns: since_epoch(self.started),
            ended_ns: since_epoch(SystemTime::now()),
            last_ns: None,
        }
    }

    /// The attempt's end, with the keys that tell which flow it was.
    pub(in crate::engine) fn end(self, outcome: Outcome) -> Attempt {
        let outcome = stamp(
            outcome
                .with("sip", self.local.ip())
                .with("sp", self.local.port())
                .with("dip", self.remote.ip())
                .with("dp", self.remote.port())
                .with("proto", self.protocol),
            self.started,
        );
        Attempt { outcome, flow: Some(self) }
    }
}

fn since_epoch(time: SystemTime) -> i64 {
    let nanos = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_nanos());
    i64::try_from(nanos).unwrap_or(i64::MAX)
}

/// Where a plugin that connects by itself could connect to.
pub(in crate::engine) fn possible_endpoints(job: &Job) -> [Endpoint; 2] {
    [protocol::TCP, protocol::UDP].map(|protocol| Endpoint {
        protocol,
        address: job.target(),
        port: job.port(),
    })
}

/// The flow that a plugin made by itself, where it tells which one it was.
pub(in crate::engine) fn own_flow(
    job: &Job,
    connect: &Connect,
    started: SystemTime,
) -> Option<Flow> {
    if connect.kind() != ConnectKind::Done {
        return None;
    }
    let settings = connect.settings();
    let address: IpAddr = settings.str("sip")?.parse().ok()?;
    let port = u16::try_from(settings.u64("sp")?).ok()?;
    Some(Flow {
        protocol: settings.u64("proto").and_then(|p| u8::try_from(p).ok()).unwrap_or(protocol::TCP),
        local: SocketAddr::new(address, port),
        remote: SocketAddr::new(job.target(), job.port()),
        started,
    })
}
