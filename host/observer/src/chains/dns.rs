//! `dns`: an answer that is one (RFC 1035, section 4).

pub mod message;

use std::ops::ControlFlow;

use pathspider_plugin_api::chains::dns;
use pathspider_plugin_api::packet::{Layers, Packet, Prefix, Tcp, Udp};
use pathspider_plugin_api::{Chain, ChainInfo, Fields, Verdict};

use self::message::{Message, read};
use super::side::{Both, side};

/// The chain `dns`. A flow is complete with the first valid response.
///
/// Over TCP, messages are read in the order in which they were sent, however they were cut into
/// segments; a long one is judged by its beginning.
#[derive(Default)]
pub struct Dns;

/// Queries of a flow whose identifiers are known at once.
const KNOWN: usize = 4;

/// What `dns` remembers of a flow.
#[derive(Default)]
pub struct Flow {
    queries: Queries,
    valid: bool,
    /// What each side said first over TCP.
    said: Both<Prefix>,
}

/// The identifiers of the last queries.
#[derive(Default)]
struct Queries {
    ids: [u16; KNOWN],
    count: usize,
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

    fn tcp(&self, flow: &mut Flow, tcp: &Tcp<'_>, packet: &Packet<'_>) -> Verdict {
        let Flow { queries, said: [ours, theirs], valid } = flow;
        if side(packet) == 0 {
            if let Some(id) = ours.read(tcp, packet, query) {
                id.into_iter().for_each(|id| queries.add(id));
            }
        } else if let Some(is_response) = theirs.read(tcp, packet, |said| response(said, queries)) {
            *valid |= is_response;
        }
        Verdict::done_if(flow.valid)
    }

    fn udp(&self, flow: &mut Flow, _: &Udp<'_>, packet: &Packet<'_>) -> Verdict {
        match (read(packet.payload(), packet.payload_length() as usize), side(packet)) {
            (Some(Message::Query(id)), 0) => flow.queries.add(id),
            (Some(Message::Response(id)), 1) => flow.valid |= flow.queries.may_be(id),
            _ => {}
        }
        Verdict::done_if(flow.valid)
    }

    fn finish(&self, flow: Flow, fields: &mut Fields<'_>) {
        fields.set(dns::RESPONSE_VALID, flow.valid);
    }
}

impl Queries {
    fn add(&mut self, id: u16) {
        self.ids[self.count % KNOWN] = id;
        self.count += 1;
    }

    /// Whether a response with this identifier is to one of them, as far as is known.
    fn may_be(&self, id: u16) -> bool {
        self.count == 0 || self.ids[..self.count.min(KNOWN)].contains(&id)
    }
}

/// The messages of a stream, each with the two octets of its length before it (RFC 1035, section
/// 4.2.2): whether all of it is there, and what it is.
struct Messages<'a>(&'a [u8]);

impl Iterator for Messages<'_> {
    type Item = (bool, Option<Message>);

    fn next(&mut self) -> Option<(bool, Option<Message>)> {
        let (length, rest) = self.0.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (message, rest) = rest.split_at(length.min(rest.len()));
        self.0 = rest;
        Some((message.len() == length, read(message, length)))
    }
}

/// The identifier of the query that a client sends first; none where it sends something else.
fn query(said: &[u8]) -> ControlFlow<Option<u16>> {
    match Messages(said).next() {
        Some((_, Some(Message::Query(id)))) => ControlFlow::Break(Some(id)),
        Some((false, None)) | None => ControlFlow::Continue(()),
        Some(_) => ControlFlow::Break(None),
    }
}

/// Whether a server says a response to one of the queries, before it says what is none.
fn response(said: &[u8], queries: &Queries) -> ControlFlow<bool> {
    for (is_whole, message) in Messages(said) {
        match message {
            Some(Message::Response(id)) if queries.may_be(id) => return ControlFlow::Break(true),
            None if is_whole => return ControlFlow::Break(false),
            _ => {}
        }
    }
    ControlFlow::Continue(())
}
