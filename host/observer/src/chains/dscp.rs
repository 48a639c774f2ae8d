//! `dscp`: differentiated services code points (RFC 2474).

use pathspider_plugin_api::chains::dscp;
use pathspider_plugin_api::packet::{Ip, Layers, Packet, TcpFlags};
use pathspider_plugin_api::{Chain, ChainInfo, Fields, Verdict};

use super::side::{Both, side};

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
        dscp::CHAIN.into()
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

    fn finish(&self, flow: Flow, fields: &mut Fields<'_>) {
        fields.set(dscp::SYN_FWD, flow.syn[0]);
        fields.set(dscp::DATA_FWD, flow.data[0]);
        fields.set(dscp::SYN_REV, flow.syn[1]);
        fields.set(dscp::DATA_REV, flow.data[1]);
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
