//! `rtt`: how long the first answer took, and from how far it came.
//!
//! The time is that of the packets. It is known only where the answer can be given to one packet of
//! ours (Karn's rule, RFC 6298, section 3): of several SYNs by the time stamp that the answer echoes
//! (RFC 7323, section 3), of several DNS queries by the identifier.

use pathspider_plugin_api::chains::rtt;
use pathspider_plugin_api::packet::{Ip, Layers, Packet, Tcp, TcpFlags, tcp_option};
use pathspider_plugin_api::{Chain, ChainInfo, Fields, Verdict};

use super::dns::message::{Heading, heading};
use super::side::side;
use crate::ttls::hops;

/// Packets of ours that the first answer may be to, at the most. Where there are more, it is to none.
const ASKED: usize = 3;

/// The chain `rtt`.
#[derive(Default)]
pub struct Rtt;

/// What `rtt` remembers of a flow.
pub struct Flow {
    /// When the first of `asked` was sent.
    first_ns: i64,
    asked: [Asked; ASKED],
    /// How many asked before the answer came.
    count: u8,
    protocol: u8,
    is_answered: bool,
    /// Of the first answer.
    ttl: u8,
    /// The lowest and the highest TTL of other packets; the other way round where there were none.
    others: (u8, u8),
    round_trip: Option<u32>,
}

/// A packet that asks for an answer.
#[derive(Default, Clone, Copy)]
struct Asked {
    /// Microseconds after the first.
    after: u32,
    mark: Mark,
}

/// What a packet and its answer have in common: a time stamp, or a DNS identifier.
type Mark = Option<u32>;

impl Chain for Rtt {
    type Flow = Flow;
    const LAYERS: Layers = Layers::IP;

    fn info() -> ChainInfo {
        rtt::CHAIN.into()
    }

    fn new_flow(&self, packet: &Packet<'_>) -> Option<Flow> {
        Some(Flow {
            first_ns: 0,
            asked: Default::default(),
            count: 0,
            protocol: packet.protocol(),
            is_answered: false,
            ttl: 0,
            others: (u8::MAX, 0),
            round_trip: None,
        })
    }

    fn ip4(&self, flow: &mut Flow, ip: &Ip<'_>, packet: &Packet<'_>) -> Verdict {
        flow.note(ip, packet)
    }

    fn ip6(&self, flow: &mut Flow, ip: &Ip<'_>, packet: &Packet<'_>) -> Verdict {
        flow.note(ip, packet)
    }

    fn finish(&self, flow: Flow, fields: &mut Fields<'_>) {
        let ttl = flow.is_answered.then_some(flow.ttl);
        let (lowest, highest) = flow.others;
        let has_others = lowest <= highest;
        fields.set(rtt::ROUND_TRIP, flow.round_trip);
        fields.set(rtt::TTL, ttl);
        fields.set(rtt::HOPS, ttl.map(hops));
        fields.set(rtt::LOWEST_TTL, has_others.then_some(lowest));
        fields.set(rtt::HIGHEST_TTL, has_others.then_some(highest));
    }
}

impl Flow {
    #[inline]
    fn note(&mut self, ip: &Ip<'_>, packet: &Packet<'_>) -> Verdict {
        // An ICMP error is not from the other side.
        if packet.protocol() != self.protocol {
            return Verdict::Continue;
        }
        if side(packet) == 0 {
            if !self.is_answered {
                self.sent(packet);
            }
        } else if self.is_answered || !self.came(ip, packet) {
            let (lowest, highest) = self.others;
            self.others = (lowest.min(ip.ttl()), highest.max(ip.ttl()));
        }
        Verdict::Continue
    }

    /// Notes what asks for an answer.
    fn sent(&mut self, packet: &Packet<'_>) {
        let mark = if let Some(tcp) = packet.tcp() {
            if tcp.flags() & (TcpFlags::SYN | TcpFlags::ACK | TcpFlags::RST) != TcpFlags::SYN {
                return;
            }
            time_stamps(&tcp).map(|(own, _)| own)
        } else if packet.udp().is_some() {
            heading(packet.payload()).filter(Heading::is_query).map(|query| query.id.into())
        } else {
            return;
        };
        if self.count == 0 {
            self.first_ns = packet.time_ns();
        }
        if let Some(asked) = self.asked.get_mut(usize::from(self.count)) {
            let after = microseconds(packet.time_ns(), self.first_ns);
            *asked = Asked { after: after.unwrap_or(u32::MAX), mark };
        }
        self.count = self.count.saturating_add(1);
    }

    /// Notes the first answer; whether this packet is it.
    fn came(&mut self, ip: &Ip<'_>, packet: &Packet<'_>) -> bool {
        let mark = if let Some(tcp) = packet.tcp() {
            if !tcp.has(TcpFlags::SYN | TcpFlags::ACK) {
                return false;
            }
            time_stamps(&tcp).map(|(_, echoed)| echoed).filter(|&echoed| echoed != 0)
        } else if packet.udp().is_some() {
            let response = heading(packet.payload()).filter(|theirs| theirs.is_response);
            let mark = response.map(|response| response.id.into());
            if mark.is_some() && self.marks().next().is_some() && !self.marks().any(|m| m == mark) {
                // To a query that nobody sent.
                return false;
            }
            mark
        } else {
            return false;
        };
        if self.count == 0 {
            return false;
        }
        (self.is_answered, self.ttl) = (true, ip.ttl());
        let whole = microseconds(packet.time_ns(), self.first_ns);
        self.round_trip = match (self.answered(mark), whole) {
            (Some(asked), Some(whole)) => whole.checked_sub(asked.after),
            _ => None,
        };
        true
    }

    /// The marks of the packets that asked.
    fn marks(&self) -> impl Iterator<Item = Mark> {
        let count = usize::from(self.count).min(ASKED);
        self.asked[..count].iter().map(|asked| asked.mark).filter(Option::is_some)
    }

    /// The packet that an answer with this mark is to, where no other can be meant.
    fn answered(&self, mark: Mark) -> Option<Asked> {
        let asked = &self.asked[..usize::from(self.count).min(ASKED)];
        if self.count == 1 {
            return asked.first().copied();
        }
        let mut same = asked.iter().filter(|asked| mark.is_some() && asked.mark == mark);
        same.next().filter(|_| same.next().is_none()).copied()
    }
}

/// The time stamp of a segment, and the one that it echoes.
fn time_stamps(tcp: &Tcp<'_>) -> Option<(u32, u32)> {
    let data = tcp.option(tcp_option::TIMESTAMPS)?.data.first_chunk::<8>()?;
    let [own, echoed] =
        [0, 4].map(|at| u32::from_be_bytes([data[at], data[at + 1], data[at + 2], data[at + 3]]));
    Some((own, echoed))
}

/// Microseconds from one time to a later one, where 32 bits hold them: for an hour.
fn microseconds(later_ns: i64, earlier_ns: i64) -> Option<u32> {
    u32::try_from(later_ns.checked_sub(earlier_ns)? / 1_000).ok()
}
