//! `basic`: who talks to whom, and how much.

use std::net::IpAddr;

use pathspider_plugin_api::packet::{Direction, Ip, Layers, Packet};
use pathspider_plugin_api::{Chain, ChainInfo, FieldType, FlowRecord, Verdict};

use super::fields::{Both, Fields, side};

const FIELDS: Fields<9> = Fields([
    ("sip", FieldType::Text, "", "address of the originator"),
    ("dip", FieldType::Text, "", "address of the other side"),
    ("proto", FieldType::UInt, "", "IANA number of the transport protocol"),
    ("sp", FieldType::UInt, "", "port of the originator; null without ports"),
    ("dp", FieldType::UInt, "", "port of the other side; null without ports"),
    ("pkt_fwd", FieldType::UInt, "packets", "packets from the originator"),
    (
        "pkt_rev",
        FieldType::UInt,
        "packets",
        "packets to the originator; in a measurement, without ICMP errors",
    ),
    (
        "oct_fwd",
        FieldType::UInt,
        "octets",
        "IP packets from the originator, padding of short frames included",
    ),
    (
        "oct_rev",
        FieldType::UInt,
        "octets",
        "IP packets to the originator, padding of short frames included; in a measurement, without \
         ICMP errors",
    ),
]);

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
        FIELDS.info("basic", "addresses, ports, packets and octets")
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

    fn finish(&self, flow: Flow, record: &mut FlowRecord) {
        FIELDS.write(
            record,
            [
                flow.addresses[0].into(),
                flow.addresses[1].into(),
                flow.protocol.into(),
                flow.ports.map(|ports| ports[0]).into(),
                flow.ports.map(|ports| ports[1]).into(),
                flow.packets[0].into(),
                flow.packets[1].into(),
                flow.octets[0].into(),
                flow.octets[1].into(),
            ],
        );
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
