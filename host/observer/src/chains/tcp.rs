//! `tcp`: how the connection began and ended.

use pathspider_plugin_api::packet::{Layers, Packet, Tcp, TcpFlags};
use pathspider_plugin_api::{Chain, ChainInfo, FieldType, FlowRecord, Verdict};

use super::fields::{Both, Fields, side};

const FIELDS: Fields<7> = Fields([
    (
        "tcp_synflags_fwd",
        FieldType::UInt,
        "",
        "flag byte of the originator's first SYN; null when none was seen",
    ),
    (
        "tcp_synflags_rev",
        FieldType::UInt,
        "",
        "flag byte of the other side's first SYN; null when none was seen",
    ),
    ("tcp_fin_fwd", FieldType::Bool, "", "the originator sent FIN"),
    ("tcp_fin_rev", FieldType::Bool, "", "the other side sent FIN"),
    ("tcp_rst_fwd", FieldType::Bool, "", "the originator sent RST"),
    ("tcp_rst_rev", FieldType::Bool, "", "the other side sent RST"),
    (
        "tcp_connected",
        FieldType::Bool,
        "",
        "the three packets of the handshake were seen, or the four of a split one",
    ),
]);

/// The chain `tcp`. A flow is complete when both sides have sent FIN, or one RST.
#[derive(Default)]
pub struct TcpChain;

/// What `tcp` remembers of a flow.
#[derive(Default)]
pub struct Flow {
    syn: Both<Option<u8>>,
    fin: Both<bool>,
    rst: Both<bool>,
    /// The other side's SYN acknowledged one.
    answered: bool,
    /// The originator answered a SYN of the other side with its own once more.
    split: bool,
    connected: bool,
}

impl Chain for TcpChain {
    type Flow = Flow;
    const LAYERS: Layers = Layers::TCP;

    fn info() -> ChainInfo {
        FIELDS.info("tcp", "flags that begin and end TCP connections")
    }

    fn new_flow(&self, _: &Packet<'_>) -> Option<Flow> {
        Some(Flow::default())
    }

    fn tcp(&self, flow: &mut Flow, tcp: &Tcp<'_>, packet: &Packet<'_>) -> Verdict {
        let (flags, side) = (tcp.flags(), side(packet));
        let has = |flag| flags.has(flag);
        if has(TcpFlags::SYN) {
            let opened = flow.syn[0].is_some();
            flow.syn[side].get_or_insert(flags.byte());
            flow.answered |= side == 1 && has(TcpFlags::ACK) && opened;
            flow.split |= side == 0 && has(TcpFlags::ACK) && opened;
        } else if has(TcpFlags::ACK) && !has(TcpFlags::RST) {
            flow.connected |= if side == 0 { flow.answered } else { flow.split };
        }
        flow.fin[side] |= has(TcpFlags::FIN);
        flow.rst[side] |= has(TcpFlags::RST);
        Verdict::done_if(flow.fin == [true; 2] || flow.rst != [false; 2])
    }

    fn finish(&self, flow: Flow, record: &mut FlowRecord) {
        FIELDS.write(
            record,
            [
                flow.syn[0].into(),
                flow.syn[1].into(),
                flow.fin[0].into(),
                flow.fin[1].into(),
                flow.rst[0].into(),
                flow.rst[1].into(),
                flow.connected.into(),
            ],
        );
    }
}
