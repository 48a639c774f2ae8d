//! What follows datagrams in their packets.

use std::fmt::Write;

use pathspider_plugin_api::forge::is_udp_options;
use pathspider_plugin_api::packet::{Direction, Layers, Packet, Udp};
use pathspider_plugin_api::{Chain, ChainInfo, Fields, Verdict};

/// What the chain writes.
pub(crate) mod udpopt {
    pathspider_plugin_api::fields! {
        pub(crate) CHAIN = "udpopt": "what follows datagrams in their IP packets, beyond UDP's length";
        SENT: String = "udpopt_sent":
            "octets behind the originator's first datagram, in hexadecimal, the first 32; empty if there \
             are none; null without a datagram";
        SENT_SAME: bool = "udpopt_sent_same": "the octets behind the originator's later datagrams are the same; null without a datagram";
        CAME: String = "udpopt_came":
            "octets behind the other side's first datagram that has some, in the same form; null if none has";
        CAME_VALID: bool = "udpopt_came_valid":
            "these octets are UDP options with a right checksum (RFC 9868); null if there are none";
    }
}

/// Octets that are kept.
const KEPT: usize = 32;

/// The chain.
#[derive(Default)]
pub(crate) struct Surplus;

/// The first octets, and how many there are.
type Octets = ([u8; KEPT], usize);

#[derive(Default)]
pub(crate) struct Seen {
    sent: Option<Octets>,
    differ: bool,
    came: Option<(Octets, bool)>,
}

impl Chain for Surplus {
    type Flow = Seen;
    const LAYERS: Layers = Layers::UDP;

    fn info() -> ChainInfo {
        udpopt::CHAIN.into()
    }

    fn new_flow(&self, _: &Packet<'_>) -> Option<Seen> {
        Some(Seen::default())
    }

    fn udp(&self, flow: &mut Seen, _: &Udp<'_>, packet: &Packet<'_>) -> Verdict {
        let surplus = packet.surplus();
        match packet.direction() {
            Direction::Forward => {
                let octets = first(surplus);
                flow.differ |= *flow.sent.get_or_insert(octets) != octets;
            }
            Direction::Reverse if !surplus.is_empty() => {
                let is_valid = is_udp_options(packet.payload().len(), surplus);
                flow.came.get_or_insert((first(surplus), is_valid));
            }
            Direction::Reverse => {}
        }
        Verdict::Continue
    }

    fn finish(&self, flow: Seen, fields: &mut Fields<'_>) {
        let text = |(octets, length): Octets| hexadecimal(&octets[..length.min(KEPT)]);
        fields.set(udpopt::SENT, flow.sent.map(text));
        fields.set(udpopt::SENT_SAME, flow.sent.map(|_| !flow.differ));
        fields.set(udpopt::CAME, flow.came.map(|(octets, _)| text(octets)));
        fields.set(udpopt::CAME_VALID, flow.came.map(|(_, is_valid)| is_valid));
    }
}

fn first(octets: &[u8]) -> Octets {
    let mut kept = [0; KEPT];
    let length = octets.len().min(KEPT);
    kept[..length].copy_from_slice(&octets[..length]);
    (kept, octets.len())
}

/// Octets in hexadecimal.
pub(crate) fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().fold(String::with_capacity(octets.len() * 2), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}
