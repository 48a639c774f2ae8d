//! `evil`: IPv4's reserved flag, the "evil bit" (RFC 3514).

use pathspider_plugin_api::packet::{Ip, Layers, Packet, TcpFlags};
use pathspider_plugin_api::{Chain, ChainInfo, FieldType, FlowRecord, Verdict};

use super::fields::{Both, Fields, side};

const FIELDS: Fields<4> = Fields([
    (
        "evilbit_syn_fwd",
        FieldType::Bool,
        "",
        "a SYN from the originator has the flag; null when no SYN in IPv4 was seen",
    ),
    (
        "evilbit_syn_rev",
        FieldType::Bool,
        "",
        "a SYN to the originator has the flag; null when no SYN in IPv4 was seen",
    ),
    (
        "evilbit_data_fwd",
        FieldType::Bool,
        "",
        "another packet from the originator has the flag; null when none in IPv4 was seen",
    ),
    (
        "evilbit_data_rev",
        FieldType::Bool,
        "",
        "another packet to the originator has the flag; null when none in IPv4 was seen",
    ),
]);

/// The chain `evil`.
#[derive(Default)]
pub struct Evil;

/// What `evil` remembers of a flow.
pub struct Flow {
    syn: Both<Option<bool>>,
    data: Both<Option<bool>>,
    protocol: u8,
}

impl Chain for Evil {
    type Flow = Flow;
    const LAYERS: Layers = Layers::IP4;

    fn info() -> ChainInfo {
        FIELDS.info("evil", "the reserved flag of IPv4")
    }

    fn new_flow(&self, packet: &Packet<'_>) -> Option<Flow> {
        Some(Flow { syn: [None; 2], data: [None; 2], protocol: packet.protocol() })
    }

    fn ip4(&self, flow: &mut Flow, ip: &Ip<'_>, packet: &Packet<'_>) -> Verdict {
        // An ICMP error is not from the other side.
        if packet.protocol() == flow.protocol {
            let side = side(packet);
            let is_syn = packet.tcp().is_some_and(|tcp| tcp.has(TcpFlags::SYN));
            let seen = if is_syn { &mut flow.syn[side] } else { &mut flow.data[side] };
            *seen.get_or_insert(false) |= ip.reserved_flag();
        }
        Verdict::Continue
    }

    fn finish(&self, flow: Flow, record: &mut FlowRecord) {
        let ([a, b], [c, d]) = (flow.syn, flow.data);
        FIELDS.write(record, [a, b, c, d].map(Into::into));
    }
}
