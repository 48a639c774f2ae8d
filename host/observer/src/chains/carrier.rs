//! `carrier`: the first packet of a flow, and its first segment with data, octet by octet.
//!
//! The only chain that keeps packets. A run has it where faults are located, so that a flow takes no
//! more memory elsewhere.

use pathspider_plugin_api::chains::carrier;
use pathspider_plugin_api::packet::{Direction, Layers, Packet, Tcp, TcpFlags, Udp};
use pathspider_plugin_api::{Chain, ChainInfo, Fields, Value, Verdict};

/// Octets of a segment that are kept: a copy is no longer than any path takes.
const MOST: usize = 1_400;

/// The chain `carrier`.
#[derive(Default)]
pub struct Carrier;

/// What `carrier` remembers of a flow.
#[derive(Default)]
pub struct Flow {
    opening: Option<Box<[u8]>>,
    data: Option<Box<[u8]>>,
}

impl Chain for Carrier {
    type Flow = Flow;
    const LAYERS: Layers = Layers::TCP.and(Layers::UDP);

    fn info() -> ChainInfo {
        carrier::CHAIN.into()
    }

    fn new_flow(&self, _: &Packet<'_>) -> Option<Flow> {
        Some(Flow::default())
    }

    fn tcp(&self, flow: &mut Flow, tcp: &Tcp<'_>, packet: &Packet<'_>) -> Verdict {
        if packet.direction() == Direction::Forward {
            let has_data = packet.payload_length() > 0 && !tcp.has(TcpFlags::SYN);
            if flow.opening.is_none() {
                flow.opening = Some(packet.octets().into());
            } else if has_data && flow.data.is_none() {
                let mut octets = packet.octets();
                octets.truncate(MOST);
                flow.data = Some(octets.into());
            }
        }
        Verdict::Continue
    }

    fn udp(&self, flow: &mut Flow, _: &Udp<'_>, packet: &Packet<'_>) -> Verdict {
        if packet.direction() == Direction::Forward && flow.opening.is_none() {
            flow.opening = Some(packet.octets().into());
        }
        Verdict::Continue
    }

    fn finish(&self, flow: Flow, fields: &mut Fields<'_>) {
        let list =
            |octets: Option<Box<[u8]>>| octets.map(|octets| vec![Value::from(octets.into_vec())]);
        fields.set(carrier::OPENING, list(flow.opening));
        fields.set(carrier::DATA, list(flow.data));
    }
}
