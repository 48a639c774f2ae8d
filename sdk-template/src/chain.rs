//! The observer chain: the time to live of the first packet in each direction.

use pathspider_plugin_api::packet::{Direction, Ip, Layers, Packet};
use pathspider_plugin_api::{Chain, ChainInfo, Fields, Verdict};

/// What the chain writes, and the measurement reads.
pub mod hops {
    pathspider_plugin_api::fields! {
        pub CHAIN = "hops": "time to live of the first packets";
        FORWARD: u8 = "hops_fwd" in "hops": "time to live of the originator's first packet";
        REVERSE: u8 = "hops_rev" in "hops": "time to live of the other side's first packet; null if none came";
    }
}

/// The chain.
#[derive(Default)]
pub struct Hops;

/// What is remembered of one flow: small, for there may be a million of them.
#[derive(Default)]
pub struct First {
    forward: Option<u8>,
    reverse: Option<u8>,
}

impl Hops {
    fn note(&self, flow: &mut First, ip: &Ip<'_>, packet: &Packet<'_>) -> Verdict {
        // An ICMP error is shown with the flow that it is about, and is some router's.
        if packet.layers().intersects(Layers::ICMP) {
            return Verdict::Continue;
        }
        let first = match packet.direction() {
            Direction::Forward => &mut flow.forward,
            Direction::Reverse => &mut flow.reverse,
        };
        first.get_or_insert(ip.ttl());
        Verdict::Continue
    }
}

impl Chain for Hops {
    type Flow = First;
    const LAYERS: Layers = Layers::IP;

    fn info() -> ChainInfo {
        hops::CHAIN.into()
    }

    fn new_flow(&self, _packet: &Packet<'_>) -> Option<First> {
        Some(First::default())
    }

    fn ip4(&self, flow: &mut First, ip: &Ip<'_>, packet: &Packet<'_>) -> Verdict {
        self.note(flow, ip, packet)
    }

    fn ip6(&self, flow: &mut First, ip: &Ip<'_>, packet: &Packet<'_>) -> Verdict {
        self.note(flow, ip, packet)
    }

    fn finish(&self, flow: First, fields: &mut Fields<'_>) {
        fields.set(hops::FORWARD, flow.forward);
        fields.set(hops::REVERSE, flow.reverse);
    }
}
