//! Puts the packets together that come in fragments, by the rules of the kernel, so that a measurement
//! sees what its sockets get.
//!
//! Fragments come in any order; exact repeats are passed over; what overlaps ends its packet (RFC 5722;
//! Linux does so for IPv4 too), and in version 6 so does a first fragment without the transport header
//! (RFC 7112). Memory is bounded by more than the kernel's own: what is given up here,
//! the kernel has given up as well.

use std::collections::VecDeque;

use hashbrown::HashMap;
use pathspider_plugin_api::packet::place::ipv6::extension::{self, FRAGMENT_HEADER};
use pathspider_plugin_api::packet::place::{class, icmp, ipv4, ipv6, tcp, udp};
use pathspider_plugin_api::packet::{Extensions, Fit, Pieces, protocol};

use super::dissect::{Dissected, Fragment, FragmentId, be16};

/// Octets of all packets together that wait for the rest: twice Linux's `net.ipv4.ipfrag_high_thresh`.
const ROOM: usize = 8 << 20;

/// Packets that wait for the rest.
const LIMIT: usize = 4096;

/// How long the rest is waited for, as Linux does (`net.ipv4.ipfrag_time`, `net.ipv6.ip6frag_time`).
const LIFETIME_V4_NS: i64 = 30_000_000_000;
const LIFETIME_V6_NS: i64 = 60_000_000_000;

/// The unit of a fragment's place, in octets.
const UNIT: usize = 8;

/// The longest packet, without what stands before its payload length in version 6.
const LONGEST: usize = 65_535;

/// Packets that came in part.
#[derive(Default)]
pub(crate) struct Parts {
    waiting: HashMap<FragmentId, Waiting, foldhash::fast::RandomState>,
    /// The oldest first; some of them may be gone.
    order: VecDeque<(i64, FragmentId)>,
    /// Octets of memory that they take.
    size: usize,
}

/// What a fragment did.
pub(crate) enum Added {
    /// Its packet is whole.
    Whole(Whole),
    /// Others are waited for.
    Waits,
}

/// A packet that was put together.
pub(crate) struct Whole {
    /// As it would have come, as far as it was captured.
    pub(crate) octets: Vec<u8>,
    /// Octets of the packet.
    pub(crate) length: u32,
    /// Octets that its fragments took on the wire.
    pub(crate) wire: u32,
}

/// A packet that is not whole.
struct Waiting {
    since_ns: i64,
    /// The headers of the first fragment, as those of the whole packet.
    headers: Option<Vec<u8>>,
    pieces: Pieces,
    /// Octets of the payload, which the last fragment says.
    length: Option<u32>,
    /// Where the first octets stand that were not captured.
    captured: u32,
    wire: u32,
    fragments: u64,
    experienced: bool,
    spoilt: bool,
}

/// A fragment: what it has, and where that stands in its packet.
struct Part {
    /// The headers before it, as those of the whole packet; its length is not set.
    headers: Vec<u8>,
    at: usize,
    data: Vec<u8>,
    /// Octets of it that were captured.
    captured: usize,
    is_last: bool,
    /// No system takes its packet.
    is_refused: bool,
}

impl Parts {
    /// Takes a fragment; beside, how many fragments were given up.
    pub(crate) fn add(&mut self, dissected: &Dissected<'_>, time_ns: i64) -> (Added, u64) {
        let (Fragment::First(identification) | Fragment::Later(identification)) =
            dissected.fragment
        else {
            return (Added::Waits, 0);
        };
        let Some(part) = Part::of(dissected) else { return (Added::Waits, 1) };
        let id = FragmentId::new(&dissected.tuple, identification);
        let lifetime_ns = if dissected.tuple.is_v6 { LIFETIME_V6_NS } else { LIFETIME_V4_NS };
        let mut given_up = 0;
        if self.waiting.get(&id).is_some_and(|one| time_ns - one.since_ns > lifetime_ns) {
            given_up += self.give_up(&id);
        }
        let before = self.waiting.get(&id).map_or(0, Waiting::size);
        let order = &mut self.order;
        let one = self.waiting.entry(id).or_insert_with(|| {
            order.push_back((time_ns, id));
            Waiting::new(time_ns)
        });
        one.take(part, dissected);
        self.size = self.size + one.size() - before;
        if let Some(whole) = one.whole() {
            self.remove(&id);
            return (Added::Whole(whole), given_up);
        }
        while self.size > ROOM || self.waiting.len() > LIMIT || self.order.len() > 2 * LIMIT {
            let Some((since_ns, oldest)) = self.order.pop_front() else { break };
            if self.waiting.get(&oldest).is_some_and(|one| one.since_ns == since_ns) {
                given_up += self.give_up(&oldest);
            }
        }
        (Added::Waits, given_up)
    }

    fn give_up(&mut self, id: &FragmentId) -> u64 {
        self.remove(id).map_or(0, |one| one.fragments)
    }

    fn remove(&mut self, id: &FragmentId) -> Option<Waiting> {
        let one = self.waiting.remove(id)?;
        self.size -= one.size();
        Some(one)
    }
}

impl Waiting {
    fn new(since_ns: i64) -> Waiting {
        Waiting {
            since_ns,
            headers: None,
            pieces: Pieces::new(LONGEST as u32),
            length: None,
            captured: u32::MAX,
            wire: 0,
            fragments: 0,
            experienced: false,
            spoilt: false,
        }
    }

    fn size(&self) -> usize {
        size_of::<Waiting>() + self.pieces.size()
    }

    fn take(&mut self, part: Part, dissected: &Dissected<'_>) {
        const CONGESTION_EXPERIENCED: u8 = 3;
        self.fragments += 1;
        if self.spoilt {
            return;
        }
        let (at, end) = (part.at as u32, (part.at + part.data.len()) as u32);
        let ends_otherwise = match self.length {
            Some(length) => end > length || part.is_last && end != length,
            None => part.is_last && end < self.pieces.end(),
        };
        let is_too_long = part.headers.len() + part.at + part.data.len() > LONGEST;
        let fit = if ends_otherwise || is_too_long || part.is_refused {
            Fit::Refused
        } else {
            self.pieces.add(at, &part.data)
        };
        match fit {
            Fit::Known => return,
            Fit::New => {}
            Fit::Overlapping | Fit::Refused => {
                self.spoilt = true;
                self.pieces = Pieces::new(0);
                return;
            }
        }
        self.wire += dissected.wire;
        if part.captured < part.data.len() {
            self.captured = self.captured.min(at + part.captured as u32);
        }
        self.experienced |= traffic_class(&part.headers) & 3 == CONGESTION_EXPERIENCED;
        if part.is_last {
            self.length = Some(end);
        }
        if at == 0 {
            self.headers = Some(part.headers);
        }
    }

    /// The packet, where all of it is there.
    fn whole(&mut self) -> Option<Whole> {
        let length = self.length?;
        if self.pieces.in_order().len() != length as usize {
            return None;
        }
        let mut octets = self.headers.take()?;
        let total = octets.len() as u32 + length;
        set_length(&mut octets, length as u16);
        if self.experienced {
            experience(&mut octets);
        }
        let captured = length.min(self.captured) as usize;
        octets.extend(&self.pieces.in_order()[..captured]);
        Some(Whole { octets, length: total, wire: self.wire })
    }
}

impl Part {
    /// Reads a fragment; `None` where it breaks the rules by itself.
    fn of(dissected: &Dissected<'_>) -> Option<Part> {
        let Dissected { ip, transport, payload, ip_length, .. } = *dissected;
        let (headers, at, more, before) = if dissected.tuple.is_v6 {
            let next = *ip.get(ipv6::NEXT_HEADER)?;
            let place = Extensions::walk(next, ip.get(ipv6::HEADER..)?)?.fragment?;
            let before = ipv6::HEADER + place.at;
            let headers = unfragmented_v6(ip, before)?;
            (headers, usize::from(place.offset) * UNIT, place.more, before + FRAGMENT_HEADER)
        } else {
            let place = be16(ip, ipv4::FLAGS);
            let mut headers = ip.to_vec();
            // "Don't fragment" and the reserved flag stay.
            let kept = (place & (ipv4::DONT_FRAGMENT | ipv4::RESERVED)).to_be_bytes();
            headers[ipv4::FLAGS..ipv4::FLAGS + 2].copy_from_slice(&kept);
            let at = usize::from(place & ipv4::OFFSET) * UNIT;
            (headers, at, place & ipv4::MORE_FRAGMENTS != 0, ip.len())
        };
        let is_headless = transport.is_empty() && payload.len() < least(dissected.tuple.protocol);
        let is_refused = dissected.tuple.is_v6 && at == 0 && is_headless;
        let mut data = [ip.get(before..)?, transport, payload].concat();
        let captured = data.len();
        data.resize((ip_length as usize).checked_sub(before)?.max(captured), 0);
        let is_odd = more && !data.len().is_multiple_of(UNIT);
        let is_beyond = at + data.len() > LONGEST;
        (!data.is_empty() && !is_odd && !is_beyond).then_some(Part {
            headers,
            at,
            data,
            captured,
            is_last: !more,
            is_refused,
        })
    }
}

/// Octets of the transport header that a first fragment of version 6 has.
fn least(transport: u8) -> usize {
    match transport {
        protocol::TCP => tcp::HEADER,
        protocol::UDP => udp::HEADER,
        protocol::ICMPV6 => icmp::HEADER,
        _ => 0,
    }
}

/// The headers before a fragment header, without it.
fn unfragmented_v6(ip: &[u8], before: usize) -> Option<Vec<u8>> {
    let mut headers = ip.get(..before)?.to_vec();
    // The last of them names the fragment header's successor.
    let (mut names, mut at, mut kind) =
        (ipv6::NEXT_HEADER, ipv6::HEADER, headers[ipv6::NEXT_HEADER]);
    while at < before {
        names = at;
        at += extension::length(kind, headers[at + 1]);
        kind = headers[names];
    }
    headers[names] = *ip.get(before)?;
    Some(headers)
}

/// Sets the packet's length in its headers, whose payload has this many octets.
fn set_length(headers: &mut [u8], payload: u16) {
    let length = headers.len() as u16;
    let (at, octets) = match headers[0] >> 4 {
        6 => (ipv6::LENGTH, length - ipv6::HEADER as u16 + payload),
        _ => (ipv4::LENGTH, length + payload),
    };
    headers[at..at + 2].copy_from_slice(&octets.to_be_bytes());
}

fn traffic_class(headers: &[u8]) -> u8 {
    if headers[0] >> 4 == 6 { headers[0] << 4 | headers[1] >> 4 } else { headers[ipv4::CLASS] }
}

/// Marks a packet as CE because a fragment of it was marked so (RFC 3168, section 5.3).
fn experience(headers: &mut [u8]) {
    // The second octet has the lower half of IPv6's traffic class in its upper one.
    headers[1] |= if headers[0] >> 4 == 6 { class::ECN << ipv6::CLASS } else { class::ECN };
}

#[cfg(test)]
mod tests;
