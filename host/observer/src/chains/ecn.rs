//! `ecn`: the marks of explicit congestion notification in IP headers (RFC 3168, section 5).

use pathspider_plugin_api::packet::{Ip, Layers, Packet, TcpFlags};
use pathspider_plugin_api::{Chain, ChainInfo, FieldType, FlowRecord, Value, Verdict};

use super::fields::{Fields, side};

const FIELDS: Fields<12> = Fields([
    ("ecn_ect0_syn_fwd", FieldType::Bool, "", "ECT(0) on a SYN from the originator"),
    ("ecn_ect1_syn_fwd", FieldType::Bool, "", "ECT(1) on a SYN from the originator"),
    ("ecn_ce_syn_fwd", FieldType::Bool, "", "CE on a SYN from the originator"),
    ("ecn_ect0_data_fwd", FieldType::Bool, "", "ECT(0) on another packet from the originator"),
    ("ecn_ect1_data_fwd", FieldType::Bool, "", "ECT(1) on another packet from the originator"),
    ("ecn_ce_data_fwd", FieldType::Bool, "", "CE on another packet from the originator"),
    ("ecn_ect0_syn_rev", FieldType::Bool, "", "ECT(0) on a SYN to the originator"),
    ("ecn_ect1_syn_rev", FieldType::Bool, "", "ECT(1) on a SYN to the originator"),
    ("ecn_ce_syn_rev", FieldType::Bool, "", "CE on a SYN to the originator"),
    ("ecn_ect0_data_rev", FieldType::Bool, "", "ECT(0) on another packet to the originator"),
    ("ecn_ect1_data_rev", FieldType::Bool, "", "ECT(1) on another packet to the originator"),
    ("ecn_ce_data_rev", FieldType::Bool, "", "CE on another packet to the originator"),
]);

/// The chain `ecn`.
#[derive(Default)]
pub struct Ecn;

/// What `ecn` remembers of a flow: one bit for each field, in their order.
pub struct Flow {
    seen: u16,
    protocol: u8,
}

impl Chain for Ecn {
    type Flow = Flow;
    const LAYERS: Layers = Layers::IP;

    fn info() -> ChainInfo {
        FIELDS.info("ecn", "ECN marks on SYNs and on other packets")
    }

    fn new_flow(&self, packet: &Packet<'_>) -> Option<Flow> {
        Some(Flow { seen: 0, protocol: packet.protocol() })
    }

    fn ip4(&self, flow: &mut Flow, ip: &Ip<'_>, packet: &Packet<'_>) -> Verdict {
        flow.note(ip, packet)
    }

    fn ip6(&self, flow: &mut Flow, ip: &Ip<'_>, packet: &Packet<'_>) -> Verdict {
        flow.note(ip, packet)
    }

    fn finish(&self, flow: Flow, record: &mut FlowRecord) {
        FIELDS.write(record, std::array::from_fn(|bit| Value::from(flow.seen >> bit & 1 == 1)));
    }
}

impl Flow {
    #[inline]
    fn note(&mut self, ip: &Ip<'_>, packet: &Packet<'_>) -> Verdict {
        let mark = match ip.ecn() {
            0b10 => 0,
            0b01 => 1,
            0b11 => 2,
            _ => return Verdict::Continue,
        };
        // An ICMP error is not from the other side, so its marks say nothing about it.
        if packet.protocol() == self.protocol {
            let is_syn = packet.tcp().is_some_and(|tcp| tcp.has(TcpFlags::SYN));
            self.seen |= 1 << (6 * side(packet) + 3 * usize::from(!is_syn) + mark);
        }
        Verdict::Continue
    }
}
