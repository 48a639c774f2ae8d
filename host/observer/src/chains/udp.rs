//! `udp`: datagrams without a checksum (RFC 768; for IPv6, RFC 6936).

use pathspider_plugin_api::packet::{Layers, Packet, Udp};
use pathspider_plugin_api::{Chain, ChainInfo, FieldType, FlowRecord, Verdict};

use super::fields::{Both, Fields, side};

const FIELDS: Fields<2> = Fields([
    (
        "udp_zero_checksum_fwd",
        FieldType::Bool,
        "",
        "the originator's last datagram has the checksum 0; null when none was seen",
    ),
    (
        "udp_zero_checksum_rev",
        FieldType::Bool,
        "",
        "the other side's last datagram has the checksum 0; null when none was seen",
    ),
]);

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
        FIELDS.info("udp", "UDP checksums of zero")
    }

    fn new_flow(&self, _: &Packet<'_>) -> Option<Flow> {
        Some(Flow::default())
    }

    fn udp(&self, flow: &mut Flow, udp: &Udp<'_>, packet: &Packet<'_>) -> Verdict {
        flow.zero[side(packet)] = Some(udp.checksum() == 0);
        Verdict::Continue
    }

    fn finish(&self, flow: Flow, record: &mut FlowRecord) {
        FIELDS.write(record, flow.zero.map(Into::into));
    }
}
