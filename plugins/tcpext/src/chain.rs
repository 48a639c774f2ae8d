//! Which options our segments left with, and which came back.

use pathspider_plugin_api::packet::{Direction, Layers, Packet, Tcp, TcpFlags, place};
use pathspider_plugin_api::{Chain, ChainInfo, Fields, Verdict};

use crate::lists::{EXPERIMENT, KINDS, MOST, hexadecimal};

/// What the chain writes.
pub(crate) mod tcpext {
    pathspider_plugin_api::fields! {
        pub(crate) CHAIN = "tcpext": "TCP options as they are on the wire, and what echoes them";
        SYN: String = "tcpext_syn": "options of the originator's first SYN, in hexadecimal; null if none";
        SYN_SAME: bool = "tcpext_syn_same": "the originator's later SYNs have the same; null without a SYN";
        DATA: String = "tcpext_data":
            "options of the originator's first segment with data, in hexadecimal; null if none";
        DATA_SAME: bool = "tcpext_data_same": "the originator's later segments with data have the same; null if none";
        ACKED: bool = "tcpext_acked": "the other side acknowledged all of these data; null if there are none";
        SYN_ECHOED: bool = "tcpext_syn_echoed":
            "the other side's SYN/ACK has an option 253 or 254 of this experiment; null without SYN/ACK";
        DATA_ECHOED: bool = "tcpext_data_echoed":
            "a later segment of the other side has such an option; null if none came";
    }
}

/// The chain.
#[derive(Default)]
pub(crate) struct Options;

/// The options of segments of one sort.
#[derive(Default)]
struct Lists {
    first: Option<([u8; MOST], u8)>,
    differ: bool,
}

impl Lists {
    fn add(&mut self, octets: &[u8]) {
        let length = octets.len().min(MOST);
        let mut list = ([0; MOST], length as u8);
        list.0[..length].copy_from_slice(&octets[..length]);
        self.differ |= *self.first.get_or_insert(list) != list;
    }

    fn text(&self) -> Option<String> {
        self.first.map(|(octets, length)| hexadecimal(&octets[..usize::from(length)]))
    }

    fn same(&self) -> Option<bool> {
        self.first.map(|_| !self.differ)
    }
}

#[derive(Default)]
pub(crate) struct Seen {
    syn: Lists,
    data: Lists,
    /// The number behind our last octet, and whether that was acknowledged.
    end: Option<(u32, bool)>,
    syn_echoed: Option<bool>,
    data_echoed: Option<bool>,
}

impl Chain for Options {
    type Flow = Seen;
    const LAYERS: Layers = Layers::TCP;

    fn info() -> ChainInfo {
        tcpext::CHAIN.into()
    }

    fn new_flow(&self, _: &Packet<'_>) -> Option<Seen> {
        Some(Seen::default())
    }

    fn tcp(&self, flow: &mut Seen, tcp: &Tcp<'_>, packet: &Packet<'_>) -> Verdict {
        let is_syn = tcp.has(TcpFlags::SYN);
        let octets = packet.payload_length();
        let options = packet.transport().get(place::tcp::HEADER..).unwrap_or_default();
        match packet.direction() {
            Direction::Forward if is_syn => flow.syn.add(options),
            Direction::Forward if octets > 0 => {
                flow.data.add(options);
                let end = tcp.sequence().wrapping_add(octets);
                if flow.end.is_none_or(|(known, _)| is_behind(end, known)) {
                    flow.end = Some((end, false));
                }
            }
            Direction::Forward => {}
            Direction::Reverse => {
                let echoed = if is_syn { &mut flow.syn_echoed } else { &mut flow.data_echoed };
                *echoed = Some(*echoed == Some(true) || has_ours(tcp));
                if let Some((end, acked)) = &mut flow.end
                    && tcp.has(TcpFlags::ACK)
                    && !tcp.has(TcpFlags::RST)
                {
                    *acked |= !is_behind(*end, tcp.acknowledgment());
                }
            }
        }
        Verdict::Continue
    }

    fn finish(&self, flow: Seen, fields: &mut Fields<'_>) {
        fields.set(tcpext::SYN, flow.syn.text());
        fields.set(tcpext::SYN_SAME, flow.syn.same());
        fields.set(tcpext::DATA, flow.data.text());
        fields.set(tcpext::DATA_SAME, flow.data.same());
        fields.set(tcpext::ACKED, flow.end.map(|(_, acked)| acked));
        fields.set(tcpext::SYN_ECHOED, flow.syn_echoed);
        fields.set(tcpext::DATA_ECHOED, flow.data_echoed);
    }
}

/// Whether a sequence number comes after another one (RFC 9293, section 3.4).
fn is_behind(number: u32, other: u32) -> bool {
    number.wrapping_sub(other).cast_signed() > 0
}

fn has_ours(tcp: &Tcp<'_>) -> bool {
    let is_ours = |data: &[u8]| data.starts_with(&EXPERIMENT);
    tcp.options().any(|option| KINDS.contains(&option.kind) && is_ours(option.data))
}
