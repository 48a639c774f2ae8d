//! Which flow labels left us and came, and from how far.

use pathspider_plugin_api::packet::{Direction, Ip, Layers, Packet, TcpFlags};
use pathspider_plugin_api::{Chain, ChainInfo, Fields, Verdict};

/// What the chain writes.
pub(crate) mod flowlabel {
    pathspider_plugin_api::fields! {
        pub(crate) CHAIN = "flowlabel": "IPv6 flow labels";
        SENT: u32 = "flowlabel_sent": "flow label of the originator's first packet; null in IPv4";
        SENT_SAME: bool = "flowlabel_sent_same":
            "the originator's later packets, except resets, have the same; null in IPv4";
        CAME: u32 = "flowlabel_came": "flow label of the other side's first packet; null if none came";
        TTL: u8 = "flowlabel_ttl" in "hops": "hop limit of that packet as it came; null if none came";
    }
}

/// The chain.
#[derive(Default)]
pub(crate) struct Labels;

#[derive(Default)]
pub(crate) struct Seen {
    sent: Option<u32>,
    differ: bool,
    came: Option<(u32, u8)>,
}

impl Chain for Labels {
    type Flow = Seen;
    const LAYERS: Layers = Layers::IP6;

    fn info() -> ChainInfo {
        flowlabel::CHAIN.into()
    }

    fn new_flow(&self, packet: &Packet<'_>) -> Option<Seen> {
        packet.ip().is_v6().then(Seen::default)
    }

    fn ip6(&self, flow: &mut Seen, ip: &Ip<'_>, packet: &Packet<'_>) -> Verdict {
        let label = ip.flow_label().unwrap_or(0);
        let is_reset = packet.tcp().is_some_and(|tcp| tcp.has(TcpFlags::RST));
        match packet.direction() {
            // The host's own reset, which frees the target, has none.
            Direction::Forward if is_reset => {}
            Direction::Forward => flow.differ |= *flow.sent.get_or_insert(label) != label,
            Direction::Reverse => {
                flow.came.get_or_insert((label, ip.ttl()));
            }
        }
        Verdict::Continue
    }

    fn finish(&self, flow: Seen, fields: &mut Fields<'_>) {
        fields.set(flowlabel::SENT, flow.sent);
        fields.set(flowlabel::SENT_SAME, flow.sent.map(|_| !flow.differ));
        fields.set(flowlabel::CAME, flow.came.map(|(label, _)| label));
        fields.set(flowlabel::TTL, flow.came.map(|(_, ttl)| ttl));
    }
}
