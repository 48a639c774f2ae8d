//! `dns`: an answer that is one (RFC 1035, section 4).

pub mod message;

use pathspider_plugin_api::chains::dns;
use pathspider_plugin_api::packet::{Layers, Packet, Tcp, Udp};
use pathspider_plugin_api::{Chain, ChainInfo, Fields, Verdict};

use self::message::{Message, read};
use super::side::side;

/// The chain `dns`. A flow is complete with the first valid response.
///
/// Over TCP a message is read where it begins a segment; one that goes on in the next segment is
/// judged by what is in the first.
#[derive(Default)]
pub struct Dns;

/// What `dns` remembers of a flow.
#[derive(Default)]
pub struct Flow {
    /// The identifier of the last query.
    query: Option<u16>,
    valid: bool,
}

impl Chain for Dns {
    type Flow = Flow;
    const LAYERS: Layers = Layers::TCP.and(Layers::UDP);

    fn info() -> ChainInfo {
        dns::CHAIN.into()
    }

    fn new_flow(&self, _: &Packet<'_>) -> Option<Flow> {
        Some(Flow::default())
    }

    fn tcp(&self, flow: &mut Flow, _: &Tcp<'_>, packet: &Packet<'_>) -> Verdict {
        // Two octets with the message's length come first (RFC 1035, section 4.2.2).
        if let Some((length, rest)) = packet.payload().split_first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(*length));
            flow.note(rest.get(..length).unwrap_or(rest), length, packet);
        }
        Verdict::done_if(flow.valid)
    }

    fn udp(&self, flow: &mut Flow, _: &Udp<'_>, packet: &Packet<'_>) -> Verdict {
        flow.note(packet.payload(), packet.payload_length() as usize, packet);
        Verdict::done_if(flow.valid)
    }

    fn finish(&self, flow: Flow, fields: &mut Fields<'_>) {
        fields.set(dns::RESPONSE_VALID, flow.valid);
    }
}

impl Flow {
    fn note(&mut self, bytes: &[u8], length: usize, packet: &Packet<'_>) {
        if self.valid {
            return;
        }
        match (read(bytes, length), side(packet)) {
            (Some(Message::Query(id)), 0) => self.query = Some(id),
            (Some(Message::Response(id)), 1) => {
                self.valid = self.query.is_none_or(|query| query == id);
            }
            _ => {}
        }
    }
}
