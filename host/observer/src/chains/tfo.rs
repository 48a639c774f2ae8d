//! `tfo`: TCP Fast Open (RFC 7413).

use pathspider_plugin_api::packet::{Layers, Packet, Tcp, TcpFlags, TcpOption};
use pathspider_plugin_api::{Chain, ChainInfo, FieldType, FlowRecord, Verdict};

use super::fields::{Fields, side};

const FIELDS: Fields<7> = Fields([
    (
        "tfo_synkind",
        FieldType::UInt,
        "",
        "kind of the option on the originator's SYN: 34, or 254 and 255 as experiment; 0 when absent",
    ),
    (
        "tfo_ackkind",
        FieldType::UInt,
        "",
        "kind of the option on the other side's SYN/ACK; 0 when absent",
    ),
    (
        "tfo_synclen",
        FieldType::UInt,
        "octets",
        "length of the cookie on the SYN; 0 when it asks for one",
    ),
    ("tfo_ackclen", FieldType::UInt, "octets", "length of the cookie on the SYN/ACK"),
    (
        "tfo_seq",
        FieldType::UInt,
        "",
        "sequence number of the first SYN with the option; 0 when absent",
    ),
    ("tfo_dlen", FieldType::UInt, "octets", "payload of that SYN"),
    (
        "tfo_ack",
        FieldType::UInt,
        "",
        "acknowledgment number of the SYN/ACK that answers it: tfo_seq + 1 + tfo_dlen modulo 2^32 \
         when all data were accepted; 0 when none was seen",
    ),
]);

/// The option's kind.
const FAST_OPEN: u8 = 34;
/// Kinds for experiments, whose data begin with the experiment's number (RFC 6994).
const EXPERIMENTS: [u8; 2] = [254, 255];
const EXPERIMENT: [u8; 2] = [0xf9, 0x89];

/// The chain `tfo`.
#[derive(Default)]
pub struct Tfo;

/// What `tfo` remembers of a flow.
#[derive(Default)]
pub struct Flow {
    sequence: u32,
    data_length: u32,
    acknowledgment: u32,
    syn: Cookie,
    ack: Cookie,
}

/// An option's kind, 0 when absent, and the length of its cookie.
#[derive(Default, Clone, Copy)]
struct Cookie {
    kind: u8,
    length: u8,
}

impl Chain for Tfo {
    type Flow = Flow;
    const LAYERS: Layers = Layers::TCP;

    fn info() -> ChainInfo {
        FIELDS.info("tfo", "the Fast Open option, and data on SYNs")
    }

    fn new_flow(&self, _: &Packet<'_>) -> Option<Flow> {
        Some(Flow::default())
    }

    fn tcp(&self, flow: &mut Flow, tcp: &Tcp<'_>, packet: &Packet<'_>) -> Verdict {
        if !tcp.has(TcpFlags::SYN) {
            return Verdict::Continue;
        }
        let is_ack = tcp.has(TcpFlags::ACK);
        if side(packet) == 0 && !is_ack && flow.syn.kind == 0 {
            if let Some(cookie) = tcp.options().find_map(cookie) {
                flow.syn = cookie;
                flow.sequence = tcp.sequence();
                flow.data_length = packet.payload_length();
            }
        } else if side(packet) == 1 && is_ack && flow.syn.kind != 0 {
            if flow.acknowledgment == 0 {
                flow.acknowledgment = tcp.acknowledgment();
            }
            if flow.ack.kind == 0 {
                flow.ack = tcp.options().find_map(cookie).unwrap_or_default();
            }
        }
        Verdict::Continue
    }

    fn finish(&self, flow: Flow, record: &mut FlowRecord) {
        FIELDS.write(
            record,
            [
                flow.syn.kind.into(),
                flow.ack.kind.into(),
                flow.syn.length.into(),
                flow.ack.length.into(),
                flow.sequence.into(),
                flow.data_length.into(),
                flow.acknowledgment.into(),
            ],
        );
    }
}

fn cookie(option: TcpOption<'_>) -> Option<Cookie> {
    let cookie = match option.kind {
        FAST_OPEN => option.data,
        kind if EXPERIMENTS.contains(&kind) => option.data.strip_prefix(&EXPERIMENT)?,
        _ => return None,
    };
    Some(Cookie { kind: option.kind, length: cookie.len() as u8 })
}
