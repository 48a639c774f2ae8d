//! `tfo`: TCP Fast Open (RFC 7413).

use pathspider_plugin_api::chains::tfo;
use pathspider_plugin_api::packet::tcp_option::{FAST_OPEN, FAST_OPEN_EXPERIMENT};
use pathspider_plugin_api::packet::{Layers, Packet, Tcp, TcpFlags, TcpOption};
use pathspider_plugin_api::{Chain, ChainInfo, Fields, Verdict};

use super::side::side;

/// The kinds in which the option was an experiment, as PATHspider reads them.
const EXPERIMENTS: [u8; 2] = [254, 255];

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
        tfo::CHAIN.into()
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
            // Of several SYN/ACKs, one may acknowledge less: it was to a SYN that was repeated without
            // data, or an older one that was overtaken.
            let further = tcp.acknowledgment().wrapping_sub(flow.acknowledgment).cast_signed() > 0;
            if further || flow.acknowledgment == 0 {
                flow.acknowledgment = tcp.acknowledgment();
            }
            if flow.ack.kind == 0 {
                flow.ack = tcp.options().find_map(cookie).unwrap_or_default();
            }
        }
        Verdict::Continue
    }

    fn finish(&self, flow: Flow, fields: &mut Fields<'_>) {
        fields.set(tfo::SYN_KIND, flow.syn.kind);
        fields.set(tfo::ACK_KIND, flow.ack.kind);
        fields.set(tfo::SYN_COOKIE, flow.syn.length);
        fields.set(tfo::ACK_COOKIE, flow.ack.length);
        fields.set(tfo::SEQUENCE, flow.sequence);
        fields.set(tfo::DATA, flow.data_length);
        fields.set(tfo::ACKNOWLEDGMENT, flow.acknowledgment);
    }
}

fn cookie(option: TcpOption<'_>) -> Option<Cookie> {
    let cookie = match option.kind {
        FAST_OPEN => option.data,
        kind if EXPERIMENTS.contains(&kind) => option.data.strip_prefix(&FAST_OPEN_EXPERIMENT)?,
        _ => return None,
    };
    Some(Cookie { kind: option.kind, length: cookie.len() as u8 })
}
