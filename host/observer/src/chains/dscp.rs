//! `dscp`: differentiated services code points (RFC 2474).

use pathspider_plugin_api::packet::{Ip, Layers, Packet, TcpFlags};
use pathspider_plugin_api::{Chain, ChainInfo, FieldType, FlowRecord, Verdict};

use super::fields::{Both, Fields, side};

const FIELDS: Fields<4> = Fields([
    (
        "dscp_mark_syn_fwd",
        FieldType::UInt,
        "",
        "code point (0-63) of the originator's first SYN; null when none was seen",
    ),
    (
        "dscp_mark_data_fwd",
        FieldType::UInt,
        "",
        "code point of the originator's first packet that is not TCP or has TCP payload; null when \
         none was seen",
    ),
    (
        "dscp_mark_syn_rev",
        FieldType::UInt,
        "",
        "code point (0-63) of the other side's first SYN; null when none was seen",
    ),
    (
        "dscp_mark_data_rev",
        FieldType::UInt,
        "",
        "code point of the first packet to the originator that is not TCP or has TCP payload; null \
         when none was seen. An ICMP error counts where flows are observed, not in a measurement",
    ),
]);

/// The chain `dscp`.
#[derive(Default)]
pub struct Dscp;

/// What `dscp` remembers of a flow. 0 is a mark like any other: a bleached packet has it.
#[derive(Default)]
pub struct Flow {
    syn: Both<Option<u8>>,
    data: Both<Option<u8>>,
}

impl Chain for Dscp {
    type Flow = Flow;
    const LAYERS: Layers = Layers::IP;

    fn info() -> ChainInfo {
        FIELDS.info("dscp", "code points of SYNs and of data")
    }

    fn new_flow(&self, _: &Packet<'_>) -> Option<Flow> {
        Some(Flow::default())
    }

    fn ip4(&self, flow: &mut Flow, ip: &Ip<'_>, packet: &Packet<'_>) -> Verdict {
        flow.note(ip, packet)
    }

    fn ip6(&self, flow: &mut Flow, ip: &Ip<'_>, packet: &Packet<'_>) -> Verdict {
        flow.note(ip, packet)
    }

    fn finish(&self, flow: Flow, record: &mut FlowRecord) {
        FIELDS.write(
            record,
            [flow.syn[0].into(), flow.data[0].into(), flow.syn[1].into(), flow.data[1].into()],
        );
    }
}

impl Flow {
    #[inline]
    fn note(&mut self, ip: &Ip<'_>, packet: &Packet<'_>) -> Verdict {
        let side = side(packet);
        let mark = match packet.tcp() {
            Some(tcp) if tcp.has(TcpFlags::SYN) => &mut self.syn[side],
            Some(_) if packet.payload_length() == 0 => return Verdict::Continue,
            _ => &mut self.data[side],
        };
        mark.get_or_insert(ip.dscp());
        Verdict::Continue
    }
}
