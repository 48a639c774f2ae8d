//! A plugin with observer chains and no measurement: one that works, one whose name the library
//! has as well, one that panics, and one that writes none of its fields.

use pathspider_plugin_api::packet::{Ip, Layers, Packet, Tcp};
use pathspider_plugin_api::{Chain, ChainInfo, Fields, Verdict, export_plugin};

mod ttl {
    pathspider_plugin_api::fields! {
        pub(crate) CHAIN = "ttl": "time to live";
        FORWARD: u8 = "ttl_fwd" in "hops": "time to live of the originator's first packet";
        REVERSE: u8 = "ttl_rev" in "hops": "of the first packet back; null if none";
    }
}

mod other_tcp {
    pathspider_plugin_api::fields! {
        pub(crate) CHAIN = "tcp": "counts segments";
        SEGMENTS: u64 = "segments": "of the flow";
    }
}

mod panics {
    pathspider_plugin_api::fields! {
        pub(crate) CHAIN = "panics": "nothing, by panicking";
    }
}

mod silent {
    pathspider_plugin_api::fields! {
        pub(crate) CHAIN = "silent": "nothing, and without a word";
        SEEN: bool = "silent_seen": "never written";
    }
}

/// The time to live of the first packet in each direction.
#[derive(Default)]
struct Ttl;

impl Chain for Ttl {
    type Flow = [Option<u8>; 2];
    const LAYERS: Layers = Layers::IP;

    fn info() -> ChainInfo {
        ttl::CHAIN.into()
    }

    fn new_flow(&self, _: &Packet<'_>) -> Option<Self::Flow> {
        Some([None; 2])
    }

    fn ip4(&self, flow: &mut Self::Flow, ip: &Ip<'_>, packet: &Packet<'_>) -> Verdict {
        flow[packet.direction() as usize].get_or_insert(ip.ttl());
        Verdict::Continue
    }

    fn finish(&self, [forward, reverse]: Self::Flow, fields: &mut Fields<'_>) {
        fields.set(ttl::FORWARD, forward);
        fields.set(ttl::REVERSE, reverse);
    }
}

/// Counts segments, under the name of a library chain.
#[derive(Default)]
struct OtherTcp;

impl Chain for OtherTcp {
    type Flow = u64;
    const LAYERS: Layers = Layers::TCP;

    fn info() -> ChainInfo {
        other_tcp::CHAIN.into()
    }

    fn new_flow(&self, _: &Packet<'_>) -> Option<u64> {
        Some(0)
    }

    fn tcp(&self, flow: &mut u64, _: &Tcp<'_>, _: &Packet<'_>) -> Verdict {
        *flow += 1;
        Verdict::Continue
    }

    fn finish(&self, flow: u64, fields: &mut Fields<'_>) {
        fields.set(other_tcp::SEGMENTS, flow);
    }
}

/// Panics at the first TCP segment.
#[derive(Default)]
struct Panics;

impl Chain for Panics {
    type Flow = ();
    const LAYERS: Layers = Layers::TCP;

    fn info() -> ChainInfo {
        panics::CHAIN.into()
    }

    fn new_flow(&self, _: &Packet<'_>) -> Option<()> {
        Some(())
    }

    fn tcp(&self, (): &mut (), _: &Tcp<'_>, _: &Packet<'_>) -> Verdict {
        panic!("as asked")
    }

    fn finish(&self, (): (), _: &mut Fields<'_>) {}
}

/// Takes every flow, and says nothing of it.
#[derive(Default)]
struct Silent;

impl Chain for Silent {
    type Flow = ();
    const LAYERS: Layers = Layers::TCP;

    fn info() -> ChainInfo {
        silent::CHAIN.into()
    }

    fn new_flow(&self, _: &Packet<'_>) -> Option<()> {
        Some(())
    }

    fn finish(&self, (): (), _: &mut Fields<'_>) {
        let _ = silent::SEEN;
    }
}

export_plugin! { measurements: [], chains: [Ttl, OtherTcp, Panics, Silent] }
