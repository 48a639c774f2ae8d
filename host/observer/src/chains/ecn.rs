//! `ecn`: the marks of explicit congestion notification in IP headers (RFC 3168, section 5).

use pathspider_plugin_api::chains::ecn;
use pathspider_plugin_api::packet::{Ip, Layers, Packet, TcpFlags};
use pathspider_plugin_api::{Chain, ChainInfo, Field, Fields, Verdict};

use super::side::side;

/// The fields in the order of their bits.
const MARKS: [Field<bool>; 12] = [
    ecn::ECT0_SYN_FWD,
    ecn::ECT1_SYN_FWD,
    ecn::CE_SYN_FWD,
    ecn::ECT0_DATA_FWD,
    ecn::ECT1_DATA_FWD,
    ecn::CE_DATA_FWD,
    ecn::ECT0_SYN_REV,
    ecn::ECT1_SYN_REV,
    ecn::CE_SYN_REV,
    ecn::ECT0_DATA_REV,
    ecn::ECT1_DATA_REV,
    ecn::CE_DATA_REV,
];

/// The chain `ecn`.
#[derive(Default)]
pub struct Ecn;

/// What `ecn` remembers of a flow: one bit for each of [`MARKS`].
pub struct Flow {
    seen: u16,
    protocol: u8,
}

impl Chain for Ecn {
    type Flow = Flow;
    const LAYERS: Layers = Layers::IP;

    fn info() -> ChainInfo {
        ecn::CHAIN.into()
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

    fn finish(&self, flow: Flow, fields: &mut Fields<'_>) {
        for (bit, field) in MARKS.into_iter().enumerate() {
            fields.set(field, flow.seen >> bit & 1 == 1);
        }
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
