//! `quic`: what is readable of QUIC without keys (RFC 8999, RFC 9000, section 17; RFC 9369).

use pathspider_plugin_api::chains::quic;
use pathspider_plugin_api::packet::quic::{LongHeader, LongKind, QuicPacket, is_known};
use pathspider_plugin_api::packet::{Layers, Packet, Udp};
use pathspider_plugin_api::{Chain, ChainInfo, Fields, Value, Verdict};

use super::side::{Both, side};

/// Versions of a list that are kept.
const VERSIONS: usize = 16;

/// The longest connection ID of versions 1 and 2 (RFC 9000, section 17.2).
const LONGEST: usize = 20;

/// The chain `quic`. Whose datagrams have no known version on the way out is no flow of QUIC.
#[derive(Default)]
pub struct Quic;

/// A connection ID.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
struct Id {
    octets: [u8; LONGEST],
    length: u8,
}

impl Id {
    /// `None` where it is longer than one can be.
    fn of(id: &[u8]) -> Option<Id> {
        let mut octets = [0; LONGEST];
        octets.get_mut(..id.len())?.copy_from_slice(id);
        Some(Id { octets, length: id.len() as u8 })
    }
}

/// What a first long header says.
struct First {
    version: u32,
    destination: Id,
    source: Id,
    /// Octets of its datagram.
    length: u16,
}

/// How many datagrams one side sent.
#[derive(Default)]
struct Count {
    long: u32,
    short: u32,
    unfixed: u32,
    /// The last spin bit, and how often it changed.
    spin: Option<bool>,
    changes: u32,
}

/// What `quic` remembers of a flow.
#[derive(Default)]
pub struct Flow {
    /// The originator's.
    first: Option<First>,
    counts: Both<Count>,
    /// The version and the length of the source ID of the first answer.
    answer: Option<(u32, u8)>,
    versions: Option<([u32; VERSIONS], usize)>,
    has_retry: bool,
    has_handshake: bool,
}

impl Chain for Quic {
    type Flow = Flow;
    const LAYERS: Layers = Layers::UDP;

    fn info() -> ChainInfo {
        quic::CHAIN.into()
    }

    fn new_flow(&self, _: &Packet<'_>) -> Option<Flow> {
        Some(Flow::default())
    }

    fn udp(&self, flow: &mut Flow, _: &Udp<'_>, packet: &Packet<'_>) -> Verdict {
        let Some(datagram) = QuicPacket::read(packet.payload()) else { return Verdict::Continue };
        let side = side(packet);
        match datagram {
            QuicPacket::Long(header) if side == 0 => flow.went(&header, packet),
            QuicPacket::Long(header) => flow.came(&header, packet.payload()),
            // Nothing but the flow tells that it is QUIC.
            QuicPacket::Short(header) if flow.first.is_some() => {
                let count = &mut flow.counts[side];
                count.short += 1;
                count.unfixed += u32::from(!header.has_fixed_bit());
                let before = count.spin.replace(header.spin());
                count.changes += u32::from(before.is_some_and(|spin| spin != header.spin()));
            }
            QuicPacket::Short(_) => {}
        }
        Verdict::Continue
    }

    fn finish(&self, flow: Flow, fields: &mut Fields<'_>) {
        let Flow { first, counts: [there, back], answer, versions, .. } = flow;
        let Some(first) = first else { return };
        fields.set(quic::VERSION_FWD, Some(quic::version(first.version)));
        fields.set(quic::DESTINATION_LENGTH_FWD, Some(first.destination.length));
        fields.set(quic::SOURCE_LENGTH_FWD, Some(first.source.length));
        fields.set(quic::FIRST_LENGTH_FWD, Some(first.length));
        fields.set(quic::VERSION_REV, answer.map(|(version, _)| quic::version(version)));
        fields.set(quic::SOURCE_LENGTH_REV, answer.map(|(_, length)| length));
        fields.set(quic::LONG_FWD, Some(there.long));
        fields.set(quic::SHORT_FWD, Some(there.short));
        fields.set(quic::LONG_REV, Some(back.long));
        fields.set(quic::SHORT_REV, Some(back.short));
        fields.set(quic::UNFIXED_FWD, Some(there.unfixed));
        fields.set(quic::UNFIXED_REV, Some(back.unfixed));
        fields.set(
            quic::NEGOTIATION,
            versions.map(|(versions, count)| {
                let texts = versions.into_iter().take(count).map(quic::version);
                texts.map(Value::from).collect::<Vec<_>>()
            }),
        );
        fields.set(quic::RETRY, Some(flow.has_retry));
        fields.set(quic::HANDSHAKE_REV, Some(flow.has_handshake));
        fields.set(quic::SPIN_FWD, Some(there.changes));
        fields.set(quic::SPIN_REV, Some(back.changes));
    }
}

impl Flow {
    /// Takes a long header of the originator's.
    fn went(&mut self, header: &LongHeader<'_>, packet: &Packet<'_>) {
        if self.first.is_none() {
            let ids = (Id::of(header.destination()), Id::of(header.source()));
            let ((Some(destination), Some(source)), true) = (ids, is_known(header.version()))
            else {
                return;
            };
            let (version, length) = (header.version(), packet.payload_length() as u16);
            self.first = Some(First { version, destination, source, length });
        }
        self.counts[0].count(header);
    }

    /// Takes a long header of the other side's, where it answers the originator's.
    fn came(&mut self, header: &LongHeader<'_>, datagram: &[u8]) {
        let Some(first) = &self.first else { return };
        if Id::of(header.destination()) != Some(first.source) {
            return;
        }
        if let Some(versions) = header.versions() {
            if Id::of(header.source()) == Some(first.destination) && self.versions.is_none() {
                let mut kept = [0; VERSIONS];
                let count = versions.len().min(VERSIONS);
                kept.iter_mut().zip(versions).for_each(|(place, version)| *place = version);
                self.versions = Some((kept, count));
            }
            return;
        }
        // Whoever answers speaks the version that was asked for; a server may choose the other one of
        // the two (RFC 9368).
        let Some(source) = Id::of(header.source()).filter(|_| header.kind().is_some()) else {
            return;
        };
        self.counts[1].count(header);
        self.answer.get_or_insert((header.version(), source.length));
        for kind in kinds(datagram) {
            self.has_retry |= kind == LongKind::Retry;
            self.has_handshake |= kind == LongKind::Handshake;
        }
    }
}

impl Count {
    fn count(&mut self, header: &LongHeader<'_>) {
        self.long += 1;
        self.unfixed += u32::from(!header.has_fixed_bit());
    }
}

/// What the packets of a datagram are, as far as they have long headers.
fn kinds(datagram: &[u8]) -> impl Iterator<Item = LongKind> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let header = LongHeader::read(rest)?;
        // A packet has a header at the least, so this ends with the datagram.
        rest = header.length().and_then(|length| rest.get(length..)).unwrap_or_default();
        header.kind()
    })
}
