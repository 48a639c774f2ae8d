//! `basic`: who talks to whom, and how much.

use std::net::IpAddr;

use pathspider_plugin_api::chains::basic;
use pathspider_plugin_api::packet::{Direction, Ip, Layers, Packet};
use pathspider_plugin_api::{Chain, ChainInfo, Fields, Verdict};

use super::side::{Both, side};

/// The chain `basic`.
#[derive(Default)]
pub struct Basic;

/// What `basic` remembers of a flow.
pub struct Flow {
    packets: Both<u64>,
    octets: Both<u64>,
    addresses: Both<IpAddr>,
    ports: Option<Both<u16>>,
    protocol: u8,
}

impl Chain for Basic {
    type Flow = Flow;
    const LAYERS: Layers = Layers::IP;

    fn info() -> ChainInfo {
        basic::CHAIN.into()
    }

    fn new_flow(&self, packet: &Packet<'_>) -> Option<Flow> {
        let ip = packet.ip();
        let mut addresses = [ip.source(), ip.destination()];
        let mut ports = packet.ports().map(|(source, destination)| [source, destination]);
        if packet.direction() == Direction::Reverse {
            addresses.reverse();
            ports = ports.map(|[source, destination]| [destination, source]);
        }
        Some(Flow {
            packets: [0; 2],
            octets: [0; 2],
            addresses,
            ports,
            protocol: packet.protocol(),
        })
    }

    fn ip4(&self, flow: &mut Flow, _: &Ip<'_>, packet: &Packet<'_>) -> Verdict {
        flow.count(packet)
    }

    fn ip6(&self, flow: &mut Flow, _: &Ip<'_>, packet: &Packet<'_>) -> Verdict {
        flow.count(packet)
    }

    fn finish(&self, flow: Flow, fields: &mut Fields<'_>) {
        fields.set(basic::SOURCE, flow.addresses[0]);
        fields.set(basic::DESTINATION, flow.addresses[1]);
        fields.set(basic::PROTOCOL, flow.protocol);
        fields.set(basic::SOURCE_PORT, flow.ports.map(|ports| ports[0]));
        fields.set(basic::DESTINATION_PORT, flow.ports.map(|ports| ports[1]));
        fields.set(basic::PACKETS_FWD, flow.packets[0]);
        fields.set(basic::PACKETS_REV, flow.packets[1]);
        fields.set(basic::OCTETS_FWD, flow.octets[0]);
        fields.set(basic::OCTETS_REV, flow.octets[1]);
    }
}

impl Flow {
    #[inline]
    fn count(&mut self, packet: &Packet<'_>) -> Verdict {
        let side = side(packet);
        self.packets[side] += 1;
        self.octets[side] += u64::from(packet.wire_length());
        Verdict::Continue
    }
}
