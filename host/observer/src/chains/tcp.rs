//! `tcp`: how the connection began and ended.

use pathspider_plugin_api::chains::tcp;
use pathspider_plugin_api::packet::{Layers, Packet, Tcp, TcpFlags};
use pathspider_plugin_api::{Chain, ChainInfo, Fields, Verdict};

use super::side::{Both, side};

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
        tcp::CHAIN.into()
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

    fn finish(&self, flow: Flow, fields: &mut Fields<'_>) {
        let flags = |byte: u8| TcpFlags(byte.into());
        fields.set(tcp::SYNFLAGS_FWD, flow.syn[0].map(flags));
        fields.set(tcp::SYNFLAGS_REV, flow.syn[1].map(flags));
        fields.set(tcp::FIN_FWD, flow.fin[0]);
        fields.set(tcp::FIN_REV, flow.fin[1]);
        fields.set(tcp::RST_FWD, flow.rst[0]);
        fields.set(tcp::RST_REV, flow.rst[1]);
        fields.set(tcp::CONNECTED, flow.connected);
    }
}
