//! The chain, with mistakes of its own.

use pathspider_plugin_api::chains::tcp;
use pathspider_plugin_api::packet::{Direction, Ip, Layers, Packet};
use pathspider_plugin_api::{Chain, ChainInfo, Fields, Verdict};

use crate::made;

/// What the chain writes, and the measurement reads.
pub(crate) mod hops {
    pathspider_plugin_api::fields! {
        pub(crate) CHAIN = "newcomer": "time to live of the first packets";
        FORWARD: u8 = "newcomer_fwd" in "hops": "time to live of the originator's first packet";
        REVERSE: u8 = "newcomer_rev" in "hops": "time to live of the other side's first packet; null if none came";
    }

    /// The same in a chain that has the name of one of the host's, which is no mistake.
    mod namesake {
        pathspider_plugin_api::fields! {
            pub(crate) CHAIN = "tcp": "time to live of the first packets";
            FORWARD: u8 = "newcomer_fwd" in "hops": "time to live of the originator's first packet";
            REVERSE: u8 = "newcomer_rev" in "hops": "time to live of the other side's first packet; null if none came";
        }
    }

    pub(crate) fn is_namesake() -> bool {
        crate::made(crate::words::NAMESAKE)
    }

    pub(crate) fn chain() -> pathspider_plugin_api::ChainFields {
        if is_namesake() { namesake::CHAIN } else { CHAIN }
    }

    pub(crate) fn forward() -> pathspider_plugin_api::Field<u8> {
        if is_namesake() { namesake::FORWARD } else { FORWARD }
    }

    pub(crate) fn reverse() -> pathspider_plugin_api::Field<u8> {
        if is_namesake() { namesake::REVERSE } else { REVERSE }
    }
}

/// The chain.
#[derive(Default)]
pub(crate) struct Hops;

/// The first packets' time to live.
#[derive(Default)]
pub(crate) struct First {
    forward: Option<u8>,
    reverse: Option<u8>,
}

impl Hops {
    fn note(&self, flow: &mut First, ip: &Ip<'_>, packet: &Packet<'_>) -> Verdict {
        assert!(!made("chain-that-panics") || ip.ttl() > 60, "the target is far");
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
        let mut info = ChainInfo::from(hops::chain());
        if made("chain-of-a-taken-field") {
            info.fields[1].name = "tcp_connected".into();
        }
        if made("chain-with-a-field-twice") {
            info.fields[1].name = info.fields[0].name.clone();
        }
        info
    }

    fn new_flow(&self, _: &Packet<'_>) -> Option<First> {
        Some(First::default())
    }

    fn ip4(&self, flow: &mut First, ip: &Ip<'_>, packet: &Packet<'_>) -> Verdict {
        self.note(flow, ip, packet)
    }

    fn ip6(&self, flow: &mut First, ip: &Ip<'_>, packet: &Packet<'_>) -> Verdict {
        self.note(flow, ip, packet)
    }

    fn finish(&self, flow: First, fields: &mut Fields<'_>) {
        fields.set(hops::forward(), flow.forward);
        fields.set(hops::reverse(), flow.reverse);
        if made("chain-that-sets-anothers-field") {
            fields.set(tcp::CONNECTED, true);
        }
    }
}
