//! Conversations: packets of a plugin's own making that depend on answers.
//!
//! A conversation is a state machine of the plugin's. The host calls it, one call at a time, and does
//! what it asks for: sends packets, waits, ends.
//!
//! ```
//! use std::time::Duration;
//!
//! use pathspider_plugin_api::forge::{Packet, dns_query};
//! use pathspider_plugin_api::{Conversation, Next, Result, Turn, packet};
//!
//! /// Asks twice, the second time when the first question was answered.
//! struct Twice {
//!     answers: u8,
//! }
//!
//! impl Twice {
//!     fn ask(&self, turn: &mut Turn<'_>) -> Result<Next> {
//!         let query = dns_query("example.com", turn.seed() as u16 ^ u16::from(self.answers))?;
//!         let packet = Packet::to(turn.remote().ip()).source(turn.local().ip());
//!         let datagram = packet.udp(turn.remote().port(), &query);
//!         turn.send(datagram.source_port(turn.local().port()).bytes()?);
//!         Ok(Next::WaitFor(Duration::from_millis(500)))
//!     }
//! }
//!
//! impl Conversation for Twice {
//!     fn protocol(&self) -> u8 {
//!         packet::protocol::UDP
//!     }
//!
//!     fn begin(&mut self, turn: &mut Turn<'_>) -> Result<Next> {
//!         self.ask(turn)
//!     }
//!
//!     fn packet(&mut self, _: &packet::Packet<'_>, turn: &mut Turn<'_>) -> Result<Next> {
//!         self.answers += 1;
//!         if self.answers == 2 { Ok(Next::Done) } else { self.ask(turn) }
//!     }
//!
//!     fn timer(&mut self, turn: &mut Turn<'_>) -> Result<Next> {
//!         self.ask(turn)
//!     }
//! }
//! ```

#[cfg(feature = "tcp-client")]
pub mod tcp;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::error::Result;
use crate::outcome::{Outcome, State};
use crate::packet::{Packet, protocol};

/// A conversation with the target of one connection: a state machine that the host calls.
///
/// It is made in `connect` and given to [`Connect::conversation`](crate::Connect::conversation). The
/// host calls one function at a time, on any thread, and waits for none of them: a call that takes
/// long delays this conversation alone.
pub trait Conversation: Send + 'static {
    /// The transport protocol's IANA number; TCP unless it says otherwise.
    fn protocol(&self) -> u8 {
        protocol::TCP
    }

    /// It begins: the first call. What it sends opens the flow.
    ///
    /// # Errors
    ///
    /// Here and in the other functions: the job has no record but the reason.
    fn begin(&mut self, turn: &mut Turn<'_>) -> Result<Next>;

    /// A packet came: one of the target that answers what was sent, or an ICMP error about a packet
    /// that was sent ([`Packet::icmp`]), with its quote.
    ///
    /// It is what the capture has: checksums may be unfinished, and where the machine joins segments
    /// on their way in, several are one packet.
    ///
    /// # Errors
    ///
    /// As for `begin`.
    fn packet(&mut self, packet: &Packet<'_>, turn: &mut Turn<'_>) -> Result<Next>;

    /// The time has come that the last [`Next::WaitFor`] named.
    ///
    /// # Errors
    ///
    /// As for `begin`.
    fn timer(&mut self, turn: &mut Turn<'_>) -> Result<Next> {
        let _ = turn;
        Ok(Next::Wait)
    }

    /// It has ended: the last call. What it says is the connection's outcome, with keys of the
    /// plugin's own. The host adds the keys of the flow, and has the last word on
    /// [`Ending::Overrun`].
    fn end(&mut self, ending: Ending) -> Outcome {
        ending.outcome()
    }
}

impl Conversation for Box<dyn Conversation> {
    fn protocol(&self) -> u8 {
        (**self).protocol()
    }

    fn begin(&mut self, turn: &mut Turn<'_>) -> Result<Next> {
        (**self).begin(turn)
    }

    fn packet(&mut self, packet: &Packet<'_>, turn: &mut Turn<'_>) -> Result<Next> {
        (**self).packet(packet, turn)
    }

    fn timer(&mut self, turn: &mut Turn<'_>) -> Result<Next> {
        (**self).timer(turn)
    }

    fn end(&mut self, ending: Ending) -> Outcome {
        (**self).end(ending)
    }
}

/// What a conversation waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The next packet.
    Wait,
    /// The next packet, or for this long: then `timer` is called. Every call sets it anew.
    WaitFor(Duration),
    /// Nothing: it is over.
    Done,
}

crate::variants! {
    /// Why a conversation ended.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    #[non_exhaustive]
    pub enum Ending {
        /// It said so ([`Next::Done`]).
        Done,
        /// The connection's time-out.
        Timeout,
        /// More packets came than it took: some were lost, so the rest says nothing.
        Overrun,
    }
}

impl Ending {
    /// The reason in records where it took its packets too slowly.
    pub const OVERRUN: &'static str = "overrun";

    /// What it comes to where nothing else is known.
    pub fn outcome(self) -> Outcome {
        let failed = |state, reason: &'static str| Outcome::new(state).with("spdr_error", reason);
        match self {
            Ending::Done => Outcome::new(State::Ok),
            Ending::Timeout => failed(State::Timeout, "timeout"),
            Ending::Overrun => failed(State::Failed, Ending::OVERRUN),
        }
    }
}

/// One call of a conversation: what the host knows, and where packets are sent.
pub struct Turn<'a> {
    scene: &'a Scene,
    packets: Vec<Vec<u8>>,
}

impl<'a> Turn<'a> {
    pub(crate) fn new(scene: &'a Scene) -> Turn<'a> {
        Turn { scene, packets: Vec::new() }
    }

    /// The time since the conversation began.
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.scene.now_ns)
    }

    /// Our address and port. The kernel answers nothing there.
    pub fn local(&self) -> SocketAddr {
        self.scene.local.get()
    }

    /// The target's address and port.
    pub fn remote(&self) -> SocketAddr {
        self.scene.remote.get()
    }

    /// Octets of the largest IP packet that the interface takes.
    pub fn mtu(&self) -> usize {
        self.scene.mtu as usize
    }

    /// A number that no other conversation has and that nobody can foresee: for sequence numbers and
    /// identifiers.
    pub fn seed(&self) -> u64 {
        self.scene.seed
    }

    /// Sends an IP packet of the flow when the call has returned. It leaves as it is, as those of
    /// [`Connect::packets`](crate::Connect::packets) do, so it has [`local`](Turn::local) and
    /// [`remote`](Turn::remote), or zeros for the host to fill in. One of another flow breaks the
    /// contract.
    pub fn send(&mut self, packet: Vec<u8>) {
        self.packets.push(packet);
    }

    pub(crate) fn into_packets(self) -> Vec<Vec<u8>> {
        self.packets
    }
}

/// What the host knows of a conversation.
// Crosses by reference: fields may be appended, never moved or removed (see `abi`).
#[repr(C)]
#[derive(Debug, Clone)]
pub struct Scene {
    /// Nanoseconds since it began.
    now_ns: u64,
    seed: u64,
    local: End,
    remote: End,
    mtu: u32,
}

/// One end of a flow.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct End {
    /// IPv4 as IPv6 has it (RFC 4291, section 2.5.5.2).
    address: [u8; 16],
    is_ipv6: bool,
    port: u16,
}

/// For the test that pins it.
#[cfg(test)]
pub(crate) fn pinned() -> [crate::abi::Fields; 2] {
    let scene = crate::abi::pinned_fields!(Scene { now_ns, seed, local, remote, mtu });
    [scene, crate::abi::pinned_fields!(End { address, is_ipv6, port })]
}

impl Scene {
    /// A conversation between these ends, at its begin; for hosts, and for tests of conversations.
    pub fn new(local: SocketAddr, remote: SocketAddr, mtu: u32, seed: u64) -> Scene {
        Scene { now_ns: 0, seed, local: End::new(local), remote: End::new(remote), mtu }
    }

    /// So much time has passed since it began.
    pub fn at(&mut self, now: Duration) -> &Scene {
        self.now_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        self
    }
}

impl End {
    fn new(end: SocketAddr) -> End {
        let (address, is_ipv6) = match end.ip() {
            IpAddr::V4(v4) => (v4.to_ipv6_mapped().octets(), false),
            IpAddr::V6(v6) => (v6.octets(), true),
        };
        End { address, is_ipv6, port: end.port() }
    }

    fn get(&self) -> SocketAddr {
        let address = Ipv6Addr::from(self.address);
        let address = match address.to_ipv4_mapped() {
            Some(v4) if !self.is_ipv6 => v4.into(),
            _ => address.into(),
        };
        SocketAddr::new(address, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scene_keeps_its_ends() {
        for (local, remote) in [("192.0.2.1:9", "198.51.100.2:80"), ("[::1]:1", "[::2]:65535")] {
            let (local, remote) = (local.parse().unwrap(), remote.parse().unwrap());
            let mut scene = Scene::new(local, remote, 1500, 7);
            let turn = Turn::new(scene.at(Duration::from_millis(20)));
            assert_eq!((turn.local(), turn.remote()), (local, remote));
            let rest = (turn.now(), turn.mtu(), turn.seed());
            assert_eq!(rest, (Duration::from_millis(20), 1500, 7));
        }
    }

    #[test]
    fn each_ending_has_an_outcome() {
        let words = Ending::ALL.map(|ending| {
            let outcome = ending.outcome();
            (outcome.state(), outcome.failure().map(str::to_owned))
        });
        let [done, timeout, overrun] = words;
        assert_eq!(done, (State::Ok, None));
        assert_eq!(timeout, (State::Timeout, Some("timeout".to_owned())));
        assert_eq!(overrun, (State::Failed, Some("overrun".to_owned())));
    }
}
