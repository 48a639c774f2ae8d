//! `icmp`: the network says that the target cannot be reached.

use pathspider_plugin_api::packet::{Icmp, Layers, Packet};
use pathspider_plugin_api::{Chain, ChainInfo, FieldType, FlowRecord, Verdict};

use super::fields::{Fields, side};

const FIELDS: Fields<1> = Fields([(
    "icmp_unreachable",
    FieldType::Bool,
    "",
    "an ICMP error came back: destination unreachable, of any code. In a measurement, it quotes \
     what left us",
)]);

/// Destination unreachable, in RFC 792 and in RFC 4443, section 3.1.
const UNREACHABLE_V4: u8 = 3;
const UNREACHABLE_V6: u8 = 1;

/// The chain `icmp`. A flow is complete when its target is unreachable.
#[derive(Default)]
pub struct IcmpChain;

/// What `icmp` remembers of a flow.
#[derive(Default)]
pub struct Flow {
    unreachable: bool,
}

impl Chain for IcmpChain {
    type Flow = Flow;
    const LAYERS: Layers = Layers::ICMP;

    fn info() -> ChainInfo {
        FIELDS.info("icmp", "ICMP errors")
    }

    fn new_flow(&self, _: &Packet<'_>) -> Option<Flow> {
        Some(Flow::default())
    }

    fn icmp4(&self, flow: &mut Flow, icmp: &Icmp<'_>, packet: &Packet<'_>) -> Verdict {
        flow.note(icmp.kind() == UNREACHABLE_V4, packet)
    }

    fn icmp6(&self, flow: &mut Flow, icmp: &Icmp<'_>, packet: &Packet<'_>) -> Verdict {
        flow.note(icmp.kind() == UNREACHABLE_V6, packet)
    }

    fn finish(&self, flow: Flow, record: &mut FlowRecord) {
        FIELDS.write(record, [flow.unreachable.into()]);
    }
}

impl Flow {
    fn note(&mut self, unreachable: bool, packet: &Packet<'_>) -> Verdict {
        let came_back = side(packet) == 1;
        self.unreachable |= unreachable && came_back;
        Verdict::done_if(self.unreachable)
    }
}
