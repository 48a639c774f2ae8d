//! `tcpopt`: which options the other side's SYN/ACK carries.

use pathspider_plugin_api::chains::tcpopt;
use pathspider_plugin_api::packet::tcp_option::{SACK_PERMITTED, TIMESTAMPS, WINDOW_SCALE};
use pathspider_plugin_api::packet::{Layers, Packet, Tcp, TcpFlags};
use pathspider_plugin_api::{Chain, ChainInfo, Fields, Verdict};

use super::side::side;

/// The chain `tcpopt`.
#[derive(Default)]
pub struct Tcpopt;

/// What `tcpopt` remembers of a flow.
#[derive(Default)]
pub struct Flow {
    timestamps: bool,
    window_scale: bool,
    sack: bool,
}

impl Chain for Tcpopt {
    type Flow = Flow;
    const LAYERS: Layers = Layers::TCP;

    fn info() -> ChainInfo {
        tcpopt::CHAIN.into()
    }

    fn new_flow(&self, _: &Packet<'_>) -> Option<Flow> {
        Some(Flow::default())
    }

    fn tcp(&self, flow: &mut Flow, tcp: &Tcp<'_>, packet: &Packet<'_>) -> Verdict {
        if side(packet) == 1 && tcp.has(TcpFlags::SYN | TcpFlags::ACK) {
            for option in tcp.options() {
                match option.kind {
                    TIMESTAMPS => flow.timestamps = true,
                    WINDOW_SCALE => flow.window_scale = true,
                    SACK_PERMITTED => flow.sack = true,
                    _ => {}
                }
            }
        }
        Verdict::Continue
    }

    fn finish(&self, flow: Flow, fields: &mut Fields<'_>) {
        let seen = |seen: bool| seen.then_some(true);
        fields.set(tcpopt::TIMESTAMPS, seen(flow.timestamps));
        fields.set(tcpopt::WINDOW_SCALE, seen(flow.window_scale));
        fields.set(tcpopt::SACK, seen(flow.sack));
    }
}
