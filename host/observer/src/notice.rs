//! What whoever connects tells the observer, and what it answers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pathspider_plugin_api::{Error, FlowRecord};
use tokio::sync::mpsc;

use super::connection::ConnectionId;
use super::ttls::Ttls;

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

/// A connection that has ended, and whose local end nobody knows: a plugin that connects by itself need
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

/// A request to report at once what comes on a flow, for forged packets have no socket that would notice
/// it. The claim of the flow takes the request back, and so does [`Notice::Forget`].
#[derive(Debug)]
pub struct Await {
    /// The transport protocol's IANA number.
    pub protocol: u8,
    /// Our address and port; port 0 for protocols without ports.
    pub local: SocketAddr,
    /// The target's address and port.
    pub remote: SocketAddr,
    /// What is wanted, and where the notices go.
    pub wanted: Wanted,
}

/// What of a flow somebody waits for.
#[derive(Debug)]
pub enum Wanted {
    /// Its first answer, in the name of this connection.
    First(ConnectionId),
    /// The packet with which a chain calls the flow complete; before it, a reset or an ICMP error.
    Done(ConnectionId),
    /// All packets that come.
    All(Follow),
}

impl Wanted {
    /// Whether whoever waited is gone.
    pub(crate) fn is_over(&self) -> bool {
        match self {
            Wanted::First(_) | Wanted::Done(_) => false,
            Wanted::All(follow) => follow.queue.is_closed(),
        }
    }
}

/// Whoever follows a flow: gets a copy of each packet that comes, and a notice when one did not fit.
#[derive(Debug)]
pub struct Follow {
    queue: mpsc::Sender<Heard>,
    is_overrun: Arc<AtomicBool>,
}

/// The other end: packets of a flow that is followed.
#[derive(Debug)]
pub struct Following {
    queue: mpsc::Receiver<Heard>,
    is_overrun: Arc<AtomicBool>,
}

/// A packet of a flow that is followed: the IP packet as far as it was captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Capture time, nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// Its octets from the IP header on.
    pub octets: Vec<u8>,
    /// Octets of the IP packet on the wire.
    pub length: u32,
}

impl Follow {
    /// A queue of this many packets.
    pub fn new(room: usize) -> (Follow, Following) {
        let (queue, come) = mpsc::channel(room);
        let is_overrun = Arc::<AtomicBool>::default();
        let following = Following { queue: come, is_overrun: Arc::clone(&is_overrun) };
        (Follow { queue, is_overrun }, following)
    }

    /// Hands a packet over, without waiting. `false` where nobody takes it, now or any more.
    pub(crate) fn hand_over(&self, heard: impl FnOnce() -> Heard) -> bool {
        match self.queue.try_reserve() {
            Ok(room) => {
                room.send(heard());
                true
            }
            Err(error) => {
                let is_full = matches!(error, mpsc::error::TrySendError::Full(()));
                self.is_overrun.store(is_full, Ordering::Release);
                false
            }
        }
    }
}

impl Following {
    /// The next packet; waits for it. `None` when the flow is not followed any more.
    pub async fn next(&mut self) -> Option<Heard> {
        self.queue.recv().await
    }

    /// The next packet, if there is one already.
    pub fn try_next(&mut self) -> Option<Heard> {
        self.queue.try_recv().ok()
    }

    /// Whether a packet did not fit, so that the flow is not followed any more.
    pub fn is_overrun(&self) -> bool {
        self.is_overrun.load(Ordering::Acquire)
    }
}

/// The answer to a connection whose first answer, or whose completion, was wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// The connection.
    pub id: ConnectionId,
    /// What came.
    pub answer: Answer,
}

/// What came back first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// A packet of the other side that is neither of those below.
    Packet,
    /// A TCP segment with RST.
    Reset,
    /// An ICMP error about a packet of the flow, in the word that a socket's failure has in records.
    Icmp(&'static str),
}

/// What whoever connects tells the observer.
#[derive(Debug)]
pub enum Notice {
    /// A connection to there is about to begin. Sent before its first packet.
    Expect(Endpoint),
    /// The same, and the sender of its first packet wants notices of what comes on its flow. It needs
    /// [`Settings::answers`](super::Settings::answers).
    Await(Await),
    /// A connection that was expected did not begin.
    Withdraw(Endpoint),
    /// Notices of this flow are no longer wanted: its first packet was not sent.
    Forget {
        /// The transport protocol's IANA number.
        protocol: u8,
        /// Our address and port.
        local: SocketAddr,
        /// The target's.
        remote: SocketAddr,
    },
    /// A connection that was expected has ended. It is answered by one [`Observation`], and it
    /// also takes the expectation back.
    Claim(Claim),
    /// As a claim of a connection whose local end nobody knows. It takes the expectations of all
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
    /// From how far its answers came.
    pub ttls: Ttls,
    /// An ICMP error about what left us, whether or not a chain looks at such: the first that a
    /// socket learns of, else the first.
    pub error: Option<IcmpError>,
}

impl Observation {
    /// No packet of that connection was seen.
    pub fn nothing(id: ConnectionId) -> Observation {
        let ttls = Ttls::default();
        Observation { id, flow: None, failure: None, local: None, ttls, error: None }
    }
}

/// An ICMP error about a packet that left us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IcmpError {
    /// Its type.
    pub kind: u8,
    /// Its code.
    pub code: u8,
    /// Who sent it.
    pub from: IpAddr,
    /// What it comes to, in the word that a failure has in records; `None` where a socket is not told
    /// of it.
    pub word: Option<&'static str>,
}
