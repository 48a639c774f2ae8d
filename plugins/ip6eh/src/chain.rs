//! Which extension headers our packets left with.

use pathspider_plugin_api::packet::place::ipv6;
use pathspider_plugin_api::packet::place::ipv6::extension::{FRAGMENT, FRAGMENT_HEADER};
use pathspider_plugin_api::packet::{Direction, Extensions, Ip, Layers, Packet, TcpFlags};
use pathspider_plugin_api::{Chain, ChainInfo, Fields, Verdict};

use crate::headers::{IDENTIFICATION, hexadecimal};

/// What the chain writes.
pub(crate) mod ip6eh {
    pathspider_plugin_api::fields! {
        pub(crate) CHAIN = "ip6eh": "IPv6 extension headers of what the originator sent";
        SENT: String = "ip6eh_sent":
            "those of its first packet: the first one's number, a colon, and the octets of all in \
             hexadecimal, the first 72, a fragment's identification as 0; empty if there are none; null in \
             IPv4";
        SENT_SAME: bool = "ip6eh_sent_same": "the originator's later packets, except resets, have the same; null in IPv4";
        LATER: u32 = "ip6eh_later" in "packets": "the originator's fragments that do not begin a packet; null in IPv4";
        CAME: bool = "ip6eh_came": "a packet of the other side has an extension header; null if none came";
    }
}

/// Octets that are kept.
const KEPT: usize = 72;

/// The chain.
#[derive(Default)]
pub(crate) struct Headers;

/// The first header's number, the first octets of all, and how many there are.
type Kept = (u8, [u8; KEPT], usize);

#[derive(Default)]
pub(crate) struct Seen {
    sent: Option<Kept>,
    differ: bool,
    later: u32,
    came: Option<bool>,
}

impl Chain for Headers {
    type Flow = Seen;
    const LAYERS: Layers = Layers::IP6;

    fn info() -> ChainInfo {
        ip6eh::CHAIN.into()
    }

    fn new_flow(&self, packet: &Packet<'_>) -> Option<Seen> {
        packet.ip().is_v6().then(Seen::default)
    }

    fn ip6(&self, flow: &mut Seen, ip: &Ip<'_>, packet: &Packet<'_>) -> Verdict {
        let headers = &ip.bytes()[ipv6::HEADER..];
        let number = ip.bytes()[ipv6::NEXT_HEADER];
        if packet.direction() == Direction::Reverse {
            flow.came = Some(flow.came == Some(true) || !headers.is_empty());
            return Verdict::Continue;
        }
        // The host's own, which frees the target, is a plain one.
        if packet.tcp().is_some_and(|tcp| tcp.has(TcpFlags::RST)) {
            return Verdict::Continue;
        }
        let walked = Extensions::walk(number, headers);
        if walked.is_some_and(|extensions| extensions.is_later_fragment()) {
            flow.later = flow.later.saturating_add(1);
            return Verdict::Continue;
        }
        let kept = kept(number, headers);
        flow.differ |= *flow.sent.get_or_insert(kept) != kept;
        Verdict::Continue
    }

    fn finish(&self, flow: Seen, fields: &mut Fields<'_>) {
        fields.set(
            ip6eh::SENT,
            flow.sent.map(|(number, octets, length)| match length {
                0 => String::new(),
                length => hexadecimal(number, &octets[..length.min(KEPT)]),
            }),
        );
        fields.set(ip6eh::SENT_SAME, flow.sent.map(|_| !flow.differ));
        fields.set(ip6eh::LATER, flow.later);
        fields.set(ip6eh::CAME, flow.came);
    }
}

fn kept(number: u8, headers: &[u8]) -> Kept {
    let mut octets = [0; KEPT];
    let length = headers.len().min(KEPT);
    octets[..length].copy_from_slice(&headers[..length]);
    if number == FRAGMENT {
        octets[IDENTIFICATION..FRAGMENT_HEADER].fill(0);
    }
    // Without a header, the number is that of the transport, which may be any.
    (if length == 0 { 0 } else { number }, octets, headers.len())
}
