//! What whoever connects tells the observer, and what it answers.

use std::net::{IpAddr, SocketAddr};

use pathspider_plugin_api::{Error, FlowRecord};
use tokio::sync::oneshot;

use super::connection::ConnectionId;

/// The remote end of connections. The port is 0 for protocols without ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The transport protocol's IANA number.
    pub protocol: u8,
    /// The address.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
}

/// A connection that has ended, and whose flow is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The connection.
    pub id: ConnectionId,
    /// The transport protocol's IANA number.
    pub protocol: u8,
    /// Our address and port; port 0 for protocols without ports.
    pub local: SocketAddr,
    /// The target's address and port.
    pub remote: SocketAddr,
    /// Before the connection's first packet, in nanoseconds since the Unix epoch.
    pub started_ns: i64,
    /// After its last packet of interest.
    pub ended_ns: i64,
    /// The time of its flow's last packet, where that is known already: of a connection that is
    /// judged again. Then it is answered for this reason alone.
    pub last_ns: Option<i64>,
}

/// A connection that has ended, of which nobody knows our end: a plugin that connects by itself need
/// not say it, and knows none of a connection that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seek {
    /// The connection.
    pub id: ConnectionId,
    /// Where it may have gone to, as it was expected.
    pub remotes: [Endpoint; 2],
    /// Before the connection's first packet, in nanoseconds since the Unix epoch.
    pub started_ns: i64,
    /// After its last packet of interest.
    pub ended_ns: i64,
}

/// A request to be told at once of a flow's first answer: packets that were forged have no socket
/// that would tell.
#[derive(Debug)]
pub struct Await {
    /// The transport protocol's IANA number.
    pub protocol: u8,
    /// Our address and port; port 0 for protocols without ports.
    pub local: SocketAddr,
    /// The target's address and port.
    pub remote: SocketAddr,
    /// Who is told. The claim of the flow takes the request back.
    pub answer: oneshot::Sender<Answer>,
}

/// What came back first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// A packet of the other side that is neither of those below.
    Packet,
    /// A TCP segment with RST.
    Reset,
    /// An ICMP error about a packet of the flow.
    Icmp {
        /// Whether it is ICMPv6.
        is_v6: bool,
        /// Its type.
        kind: u8,
        /// Its code.
        code: u8,
    },
}

/// What whoever connects tells the observer.
#[derive(Debug)]
pub enum Notice {
    /// A connection to there is about to begin. Sent before its first packet.
    Expect(Endpoint),
    /// Whoever is about to send a flow's first packet wants to know of its first answer. It needs
    /// [`Settings::answers`](super::Settings::answers).
    Await(Await),
    /// A connection that was expected did not begin.
    Withdraw(Endpoint),
    /// A connection that was expected has ended. It is answered by one [`Observation`], and it
    /// also takes the expectation back.
    Claim(Claim),
    /// As a claim, of a connection of which nobody knows our end. It takes the expectations of all
    /// its remote ends back.
    Seek(Seek),
}

/// The answer to a [`Claim`] or a [`Seek`].
#[derive(Debug, Clone)]
pub struct Observation {
    /// The connection that was claimed.
    pub id: ConnectionId,
    /// What the chains found; `None` when no packet of the connection was seen.
    pub flow: Option<FlowRecord>,
    /// The first failure of a chain on the flow.
    pub failure: Option<Error>,
    /// Our end of the flow, where nobody knew it.
    pub local: Option<SocketAddr>,
}
