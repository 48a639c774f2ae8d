//! A plugin with observer chains and no measurement: one that works, one whose name the library
//! has as well, and one that panics.

use pathspider_plugin_api::packet::{Ip, Layers, Packet, Tcp};
use pathspider_plugin_api::{Chain, ChainInfo, FieldType, FlowRecord, Verdict, export_plugin};

/// The time to live of the first packet in each direction.
#[derive(Default)]
struct Ttl;

impl Chain for Ttl {
    type Flow = [Option<u8>; 2];
    const LAYERS: Layers = Layers::IP;

    fn info() -> ChainInfo {
        ChainInfo::new("ttl", "time to live")
            .field_in("ttl_fwd", FieldType::UInt, "hops", "of the originator's first packet")
            .field_in("ttl_rev", FieldType::UInt, "hops", "of the first packet back; null if none")
    }

    fn new_flow(&self, _: &Packet<'_>) -> Option<Self::Flow> {
        Some([None; 2])
    }

    fn ip4(&self, flow: &mut Self::Flow, ip: &Ip<'_>, packet: &Packet<'_>) -> Verdict {
        flow[packet.direction() as usize].get_or_insert(ip.ttl());
        Verdict::Continue
    }

    fn finish(&self, [forward, reverse]: Self::Flow, record: &mut FlowRecord) {
        record.push("ttl_fwd", forward);
        record.push("ttl_rev", reverse);
    }
}

/// Counts segments, under the name of a library chain.
#[derive(Default)]
struct OtherTcp;

impl Chain for OtherTcp {
    type Flow = u64;
    const LAYERS: Layers = Layers::TCP;

    fn info() -> ChainInfo {
        ChainInfo::new("tcp", "counts segments").field("segments", FieldType::UInt, "of the flow")
    }

    fn new_flow(&self, _: &Packet<'_>) -> Option<u64> {
        Some(0)
    }

    fn tcp(&self, flow: &mut u64, _: &Tcp<'_>, _: &Packet<'_>) -> Verdict {
        *flow += 1;
        Verdict::Continue
    }

    fn finish(&self, flow: u64, record: &mut FlowRecord) {
        record.push("segments", flow);
    }
}

/// Panics at the first TCP segment.
#[derive(Default)]
struct Panics;

impl Chain for Panics {
    type Flow = ();
    const LAYERS: Layers = Layers::TCP;

    fn info() -> ChainInfo {
        ChainInfo::new("panics", "nothing, by panicking")
    }

    fn new_flow(&self, _: &Packet<'_>) -> Option<()> {
        Some(())
    }

    fn tcp(&self, (): &mut (), _: &Tcp<'_>, _: &Packet<'_>) -> Verdict {
        panic!("as asked")
    }

    fn finish(&self, (): (), _: &mut FlowRecord) {}
}

export_plugin! { measurements: [], chains: [Ttl, OtherTcp, Panics] }
