//! The flow of a connection: what the observer is asked for, and the keys that tell which it was.

use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

use pathspider_plugin_api::packet::protocol;
use pathspider_plugin_api::{Connect, ConnectKind, Job, Outcome, State};

use super::Attempt;
use crate::engine::Account;
use pathspider_observer::{Claim, ConnectionId, Endpoint, Notice, Seek};

/// The flow of a connection whose first packet was sent, or may have been.
pub(in crate::engine) struct Flow {
    pub(super) protocol: u8,
    /// Our end. `None` where the plugin connected by itself and does not say it: then the protocol
    /// is not known either, and the observer looks for the flow.
    pub(in crate::engine) local: Option<SocketAddr>,
    pub(super) remote: SocketAddr,
    pub(super) started: SystemTime,
}

impl Flow {
    /// The target's end of it: what was expected of it.
    pub(in crate::engine) fn endpoints(&self) -> Vec<Endpoint> {
        let protocols: &[u8] = match self.local {
            Some(_) => &[self.protocol],
            None => &OWN_PROTOCOLS,
        };
        let (address, port) = (self.remote.ip(), self.remote.port());
        protocols.iter().map(|&protocol| Endpoint { protocol, address, port }).collect()
    }

    /// Asks the observer for this flow, which ends now.
    pub(in crate::engine) fn into_notice(self, id: ConnectionId) -> Notice {
        let started_ns = since_epoch(self.started);
        let ended_ns = since_epoch(SystemTime::now());
        let Flow { protocol, local, remote, .. } = self;
        let Some(local) = local else {
            let remotes = endpoints(remote);
            return Notice::Seek(Seek { id, remotes, started_ns, ended_ns });
        };
        let last_ns = None;
        Notice::Claim(Claim { id, protocol, local, remote, started_ns, ended_ns, last_ns })
    }

    /// The attempt's end, with the keys that tell which flow it was.
    pub(in crate::engine) fn end(self, outcome: Outcome) -> Attempt {
        let account = Account::new(outcome, self.started);
        let account = Box::new(account.on(self.protocol, self.local, self.remote));
        Attempt { account, flow: Some(self) }
    }
}

fn since_epoch(time: SystemTime) -> i64 {
    let nanos = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_nanos());
    i64::try_from(nanos).unwrap_or(i64::MAX)
}

/// The protocols that a plugin is expected to use that connects by itself.
const OWN_PROTOCOLS: [u8; 2] = [protocol::TCP, protocol::UDP];

/// Where a plugin that connects by itself could connect to.
pub(in crate::engine) fn possible_endpoints(job: &Job) -> [Endpoint; 2] {
    endpoints(SocketAddr::new(job.target(), job.port()))
}

fn endpoints(remote: SocketAddr) -> [Endpoint; 2] {
    let (address, port) = (remote.ip(), remote.port());
    OWN_PROTOCOLS.map(|protocol| Endpoint { protocol, address, port })
}

/// The flow of a connection that a plugin made by itself, where it may have one: a job that has a
/// name only has no target that could be observed.
pub(in crate::engine) fn own_flow(
    job: &Job,
    connect: &Connect,
    started: SystemTime,
) -> Option<Flow> {
    let settings = connect.settings();
    let is_skipped = settings.u64("spdr_state") == Some(State::Skipped.number().into());
    if connect.kind() != ConnectKind::Done || job.target().is_unspecified() || is_skipped {
        return None;
    }
    let local = || {
        let address: IpAddr = settings.str("sip")?.parse().ok()?;
        let port = u16::try_from(settings.u64("sp")?).ok()?;
        Some(SocketAddr::new(address, port))
    };
    Some(Flow {
        protocol: settings.u64("proto").and_then(|p| u8::try_from(p).ok()).unwrap_or(protocol::TCP),
        local: local(),
        remote: SocketAddr::new(job.target(), job.port()),
        started,
    })
}
