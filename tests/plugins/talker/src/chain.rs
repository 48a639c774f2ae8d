//! What of a conversation was on the wire.

use pathspider_plugin_api::packet::{Direction, Layers, Packet, Tcp, TcpFlags};
use pathspider_plugin_api::{Chain, ChainInfo, Fields, Verdict};

/// What the chain writes.
pub(crate) mod marks {
    pathspider_plugin_api::fields! {
        pub(crate) CHAIN = "marks": "what a conversation sent";
        MARKED: u64 = "marks_marked" in "segments": "with data, CE and option 253";
        UNMARKED: u64 = "marks_unmarked" in "segments": "with data and neither mark";
        SYNS: u64 = "marks_syns" in "segments": "SYNs with neither";
        OTHER: u64 = "marks_other" in "segments": "that have what they should not";
        RESETS: u64 = "marks_resets" in "segments": "resets";
        RECEIVED: u64 = "marks_received" in "octets": "of the target's, repeats too";
    }
}

/// Counts segments by what they carry and how they are marked.
#[derive(Default)]
pub(crate) struct Marks;

/// The counts of a flow.
#[derive(Default)]
pub(crate) struct Flow {
    marked: u64,
    unmarked: u64,
    syns: u64,
    other: u64,
    resets: u64,
    received: u64,
}

impl Chain for Marks {
    type Flow = Flow;

    const LAYERS: Layers = Layers::TCP;

    fn info() -> ChainInfo {
        marks::CHAIN.into()
    }

    fn new_flow(&self, _: &Packet<'_>) -> Option<Flow> {
        Some(Flow::default())
    }

    fn tcp(&self, flow: &mut Flow, tcp: &Tcp<'_>, packet: &Packet<'_>) -> Verdict {
        if packet.direction() == Direction::Reverse {
            flow.received += u64::from(packet.payload_length());
            return Verdict::Continue;
        }
        let marks = (packet.ip().ecn(), tcp.option(253).map(|option| option.data));
        let is_marked = marks == (3, Some(&[1, 2][..]));
        let is_plain = marks == (0, None);
        *match packet.payload_length() {
            _ if tcp.has(TcpFlags::RST) => &mut flow.resets,
            _ if tcp.has(TcpFlags::SYN) && is_plain => &mut flow.syns,
            0 if is_plain => return Verdict::Continue,
            0 => &mut flow.other,
            _ if is_marked => &mut flow.marked,
            _ if is_plain => &mut flow.unmarked,
            _ => &mut flow.other,
        } += 1;
        Verdict::Continue
    }

    fn finish(&self, flow: Flow, fields: &mut Fields<'_>) {
        fields.set(marks::MARKED, flow.marked);
        fields.set(marks::UNMARKED, flow.unmarked);
        fields.set(marks::SYNS, flow.syns);
        fields.set(marks::OTHER, flow.other);
        fields.set(marks::RESETS, flow.resets);
        fields.set(marks::RECEIVED, flow.received);
    }
}
