//! `evil`: IPv4's reserved flag, the "evil bit" (RFC 3514).

use pathspider_plugin_api::chains::evil;
use pathspider_plugin_api::packet::{Ip, Layers, Packet, TcpFlags};
use pathspider_plugin_api::{Chain, ChainInfo, Fields, Verdict};

use super::side::{Both, side};

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
        evil::CHAIN.into()
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

    fn finish(&self, flow: Flow, fields: &mut Fields<'_>) {
        fields.set(evil::SYN_FWD, flow.syn[0]);
        fields.set(evil::SYN_REV, flow.syn[1]);
        fields.set(evil::DATA_FWD, flow.data[0]);
        fields.set(evil::DATA_REV, flow.data[1]);
    }
}
