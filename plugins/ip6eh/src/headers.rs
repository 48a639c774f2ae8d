//! The extension headers, octet by octet.

use std::collections::BTreeSet;
use std::fmt::Write;

use pathspider_plugin_api::forge::random;
use pathspider_plugin_api::packet::place::ipv6;
use pathspider_plugin_api::packet::place::ipv6::extension::{
    DESTINATION, FRAGMENT, HOP_BY_HOP, ROUTING, length,
};

/// An option that nobody knows, and that is to be skipped then (RFC 4727, section 3.3): hosts count
/// padding, and drop what has more of it than one could need.
const OPTION: u8 = 0x1e;
/// A routing header of no known type (RFC 4727, section 3.4). With no segments left, hosts skip it.
const TYPE: u8 = 253;

/// Where a fragment header's identification is (RFC 8200, section 4.5).
pub(crate) const IDENTIFICATION: usize = 4;

/// What a configuration has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    /// Options for each hop, of this many octets.
    HopByHop(u8),
    /// Options for the destination.
    Destination(u8),
    /// A routing header.
    Routing(u8),
    /// A fragment header in a packet that is whole (RFC 6946).
    Atomic,
    /// Two fragments.
    Fragments,
    /// No header, and data on a SYN, as fragments of one need: what those are compared with.
    Data,
}

impl Probe {
    /// Those that a word names, in each of these sizes.
    pub(crate) fn named(word: &str, sizes: &BTreeSet<u8>) -> Option<Vec<Probe>> {
        let each = |make: fn(u8) -> Probe| sizes.iter().copied().map(make).collect();
        Some(match word {
            "hbh" => each(Probe::HopByHop),
            "dst" => each(Probe::Destination),
            "rh" => each(Probe::Routing),
            "atomic" => vec![Probe::Atomic],
            "frag" => vec![Probe::Fragments],
            _ => return None,
        })
    }

    /// The word in conditions.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Probe::HopByHop(_) => "hbh",
            Probe::Destination(_) => "dst",
            Probe::Routing(_) => "rh",
            Probe::Atomic | Probe::Fragments => "frag",
            Probe::Data => "plain",
        }
    }

    /// What tells it from others of that word.
    pub(crate) fn size(self) -> String {
        match self {
            Probe::HopByHop(size) | Probe::Destination(size) | Probe::Routing(size) => {
                size.to_string()
            }
            Probe::Atomic => "atomic".to_owned(),
            Probe::Fragments => "real".to_owned(),
            Probe::Data => "data".to_owned(),
        }
    }

    /// The header's number, and the header; what follows is 0 in it. `None` without one.
    pub(crate) fn header(self) -> Option<(u8, Vec<u8>)> {
        let number = match self {
            Probe::HopByHop(_) => HOP_BY_HOP,
            Probe::Destination(_) => DESTINATION,
            Probe::Routing(_) => ROUTING,
            Probe::Atomic | Probe::Fragments => FRAGMENT,
            Probe::Data => return None,
        };
        let mut header = match self {
            Probe::HopByHop(size) | Probe::Destination(size) => {
                vec![0, size / 8 - 1, OPTION, size - 4]
            }
            // No segments are left.
            Probe::Routing(size) => vec![0, size / 8 - 1, TYPE, 0],
            Probe::Atomic => return Some((number, fragment(0, false, random()))),
            Probe::Fragments => return Some((number, fragment(0, true, 0))),
            Probe::Data => return None,
        };
        header.resize(length(number, header[1]), 0);
        Some((number, header))
    }

    /// Number and octets of the header, with what follows, as the chain writes them: without a fragment's
    /// identification.
    pub(crate) fn on_wire(self, transport: u8) -> String {
        let Some((number, mut octets)) = self.header() else { return String::new() };
        octets[0] = transport;
        if number == FRAGMENT {
            octets[IDENTIFICATION..].fill(0);
        }
        hexadecimal(number, &octets)
    }
}

fn fragment(offset: usize, more: bool, identification: u32) -> Vec<u8> {
    let place = offset as u16 | u16::from(more);
    let mut header = vec![0, 0];
    header.extend(place.to_be_bytes());
    header.extend(identification.to_be_bytes());
    header
}

/// A packet without extension headers, in two fragments, the first of this many octets (a multiple of
/// eight) behind the header.
pub(crate) fn fragments(packet: &[u8], first: usize) -> Vec<Vec<u8>> {
    let (fixed, rest) = packet.split_at(ipv6::HEADER.min(packet.len()));
    let identification = random();
    let parts =
        [(0, &rest[..first.min(rest.len())]), (first, rest.get(first..).unwrap_or_default())];
    let one = |(offset, part): (usize, &[u8])| {
        let mut header = fragment(offset, offset == 0, identification);
        header[0] = fixed[ipv6::NEXT_HEADER];
        let mut fragment = fixed.to_vec();
        fragment[ipv6::NEXT_HEADER] = FRAGMENT;
        let octets = ((header.len() + part.len()) as u16).to_be_bytes();
        fragment[ipv6::LENGTH..][..octets.len()].copy_from_slice(&octets);
        fragment.extend(header);
        fragment.extend(part);
        fragment
    };
    parts.into_iter().map(one).collect()
}

/// A header's number, a colon, and its octets in hexadecimal.
pub(crate) fn hexadecimal(number: u8, octets: &[u8]) -> String {
    octets.iter().fold(format!("{number}:"), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}
