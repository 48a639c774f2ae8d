//! `tcpopt`: which options the other side's SYN/ACK carries.

use pathspider_plugin_api::packet::{Layers, Packet, Tcp, TcpFlags};
use pathspider_plugin_api::{Chain, ChainInfo, FieldType, FlowRecord, Verdict};

use super::fields::{Fields, side};

const FIELDS: Fields<3> = Fields([
    (
        "tcpopt_ts",
        FieldType::Bool,
        "",
        "the SYN/ACK carries timestamps (RFC 7323); null when not seen",
    ),
    (
        "tcpopt_ws",
        FieldType::Bool,
        "",
        "the SYN/ACK carries a window scale (RFC 7323); null when not seen",
    ),
    (
        "tcpopt_sack",
        FieldType::Bool,
        "",
        "the SYN/ACK permits selective acknowledgments (RFC 2018); null when not seen",
    ),
]);

const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const TIMESTAMPS: u8 = 8;

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
        FIELDS.info("tcpopt", "TCP options that the other side agreed to")
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

    fn finish(&self, flow: Flow, record: &mut FlowRecord) {
        FIELDS.write(
            record,
            [flow.timestamps, flow.window_scale, flow.sack].map(|seen| seen.then_some(true).into()),
        );
    }
}
