//! `udp`: datagrams without a checksum (RFC 768; for IPv6, RFC 6936).

use pathspider_plugin_api::chains::udp;
use pathspider_plugin_api::packet::{Layers, Packet, Udp};
use pathspider_plugin_api::{Chain, ChainInfo, Fields, Verdict};

use super::side::{Both, side};

/// The chain `udp`.
#[derive(Default)]
pub struct UdpChain;

/// What `udp` remembers of a flow.
#[derive(Default)]
pub struct Flow {
    zero: Both<Option<bool>>,
}

impl Chain for UdpChain {
    type Flow = Flow;
    const LAYERS: Layers = Layers::UDP;

    fn info() -> ChainInfo {
        udp::CHAIN.into()
    }

    fn new_flow(&self, _: &Packet<'_>) -> Option<Flow> {
        Some(Flow::default())
    }

    fn udp(&self, flow: &mut Flow, udp: &Udp<'_>, packet: &Packet<'_>) -> Verdict {
        flow.zero[side(packet)] = Some(udp.checksum() == 0);
        Verdict::Continue
    }

    fn finish(&self, flow: Flow, fields: &mut Fields<'_>) {
        fields.set(udp::ZERO_CHECKSUM_FWD, flow.zero[0]);
        fields.set(udp::ZERO_CHECKSUM_REV, flow.zero[1]);
    }
}
