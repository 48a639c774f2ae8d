//! `icmp`: the network says that the target cannot be reached.

use pathspider_plugin_api::chains::icmp;
use pathspider_plugin_api::packet::{Icmp, Layers, Packet};
use pathspider_plugin_api::{Chain, ChainInfo, Fields, Verdict};

use super::side::side;

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
        icmp::CHAIN.into()
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

    fn finish(&self, flow: Flow, fields: &mut Fields<'_>) {
        fields.set(icmp::UNREACHABLE, flow.unreachable);
    }
}

impl Flow {
    fn note(&mut self, unreachable: bool, packet: &Packet<'_>) -> Verdict {
        let came_back = side(packet) == 1;
        self.unreachable |= unreachable && came_back;
        Verdict::done_if(self.unreachable)
    }
}
