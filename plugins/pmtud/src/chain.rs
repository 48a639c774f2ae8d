//! How large our packets with data left, whether they were answered, and what was said of their size.

use std::net::IpAddr;

use pathspider_plugin_api::packet::place::icmp::{v4, v6};
use pathspider_plugin_api::packet::{Direction, Icmp, Layers, Packet, Tcp, TcpFlags, Udp};
use pathspider_plugin_api::{Chain, ChainInfo, Fields, Verdict};

use crate::question::{HEAD, answers};

/// What the chain writes.
pub(crate) mod pmtud {
    use std::net::IpAddr;

    pathspider_plugin_api::fields! {
        pub(crate) CHAIN = "pmtud": "sizes of packets with data, and packet-too-big errors";
        SIZE: u16 = "pmtud_size" in "octets": "the originator's largest IP packet with data; null without one";
        COUNT: u32 = "pmtud_count" in "packets": "how often the originator sent a packet of that size; null without one";
        WHOLE: bool = "pmtud_whole":
            "all packets of the originator with data have that size and may not be fragmented; null without one";
        ANSWERED: bool = "pmtud_answered":
            "all data of the originator were acknowledged, or its question over UDP answered; null if it sent \
             none";
        PTB_MTU: u32 = "pmtud_ptb_mtu" in "octets":
            "the smallest size that a packet-too-big error names, 0 where it names none; null without one";
        PTB_FROM: IpAddr = "pmtud_ptb_from": "who sent the first such error; null without one";
    }
}

/// The chain.
#[derive(Default)]
pub(crate) struct Sizes;

#[derive(Default)]
pub(crate) struct Seen {
    largest: u16,
    count: u32,
    is_whole: bool,
    /// The number behind the last octet.
    end: Option<u32>,
    /// How the question over UDP begins.
    asked: [u8; HEAD],
    is_answered: bool,
    too_big: Option<(u32, IpAddr)>,
}

/// Whether an ICMP error says that a packet was too big, and what is not.
pub(crate) fn too_big(icmp: &Icmp<'_>) -> Option<u32> {
    match (icmp.is_v6(), icmp.kind(), icmp.code()) {
        // RFC 1191, section 4: the lower half. Routers before it have 0 there.
        (false, v4::UNREACHABLE, v4::TOO_BIG) => Some(icmp.rest() & 0xffff),
        // RFC 4443, section 3.2.
        (true, v6::TOO_BIG, _) => Some(icmp.rest()),
        _ => None,
    }
}

impl Seen {
    fn sent(&mut self, packet: &Packet<'_>) {
        let size = u16::try_from(packet.ip_length()).unwrap_or(u16::MAX);
        let is_first = self.count == 0;
        self.is_whole =
            (is_first || self.is_whole && size == self.largest) && packet.ip().dont_fragment();
        if size > self.largest {
            (self.largest, self.count) = (size, 0);
        }
        self.count += u32::from(size == self.largest);
    }

    fn icmp(&mut self, icmp: &Icmp<'_>, packet: &Packet<'_>) -> Verdict {
        if let Some(octets) = too_big(icmp).filter(|_| packet.direction() == Direction::Reverse) {
            let (least, _) = self.too_big.get_or_insert((octets, packet.ip().source()));
            *least = octets.min(*least);
        }
        Verdict::Continue
    }
}

impl Chain for Sizes {
    type Flow = Seen;
    const LAYERS: Layers = Layers::TCP.and(Layers::UDP).and(Layers::ICMP);

    fn info() -> ChainInfo {
        pmtud::CHAIN.into()
    }

    fn new_flow(&self, _: &Packet<'_>) -> Option<Seen> {
        Some(Seen::default())
    }

    fn tcp(&self, flow: &mut Seen, tcp: &Tcp<'_>, packet: &Packet<'_>) -> Verdict {
        let is_behind = |number: u32, other: u32| number.wrapping_sub(other).cast_signed() > 0;
        match packet.direction() {
            Direction::Forward if packet.payload_length() > 0 => {
                flow.sent(packet);
                let end = tcp.sequence().wrapping_add(packet.payload_length());
                if flow.end.is_none_or(|known| is_behind(end, known)) {
                    flow.end = Some(end);
                }
            }
            Direction::Reverse if tcp.has(TcpFlags::ACK) && !tcp.has(TcpFlags::RST) => {
                let acknowledged = tcp.acknowledgment();
                flow.is_answered |= flow.end.is_some_and(|end| !is_behind(end, acknowledged));
            }
            _ => {}
        }
        Verdict::Continue
    }

    fn udp(&self, flow: &mut Seen, _: &Udp<'_>, packet: &Packet<'_>) -> Verdict {
        match packet.direction() {
            Direction::Forward => {
                flow.sent(packet);
                flow.asked
                    .iter_mut()
                    .zip(packet.payload())
                    .for_each(|(kept, octet)| *kept = *octet);
            }
            Direction::Reverse => {
                flow.is_answered |= flow.count > 0 && answers(packet.payload(), &flow.asked);
            }
        }
        Verdict::done_if(flow.is_answered)
    }

    fn icmp4(&self, flow: &mut Seen, icmp: &Icmp<'_>, packet: &Packet<'_>) -> Verdict {
        flow.icmp(icmp, packet)
    }

    fn icmp6(&self, flow: &mut Seen, icmp: &Icmp<'_>, packet: &Packet<'_>) -> Verdict {
        flow.icmp(icmp, packet)
    }

    fn finish(&self, flow: Seen, fields: &mut Fields<'_>) {
        let is_sent = flow.count > 0;
        fields.set(pmtud::SIZE, is_sent.then_some(flow.largest));
        fields.set(pmtud::COUNT, is_sent.then_some(flow.count));
        fields.set(pmtud::WHOLE, is_sent.then_some(flow.is_whole));
        fields.set(pmtud::ANSWERED, is_sent.then_some(flow.is_answered));
        fields.set(pmtud::PTB_MTU, flow.too_big.map(|(octets, _)| octets));
        fields.set(pmtud::PTB_FROM, flow.too_big.map(|(_, from)| from));
    }
}
