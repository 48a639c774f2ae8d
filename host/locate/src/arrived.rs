//! Compares a packet as it left with the same packet as it came to the far end. There, all its headers are
//! known, and not only what a router quotes.

use std::net::SocketAddr;

use pathspider_observer::{Dissected, dissect, packet};
use pathspider_plugin_api::forge::checksum;
use pathspider_plugin_api::packet::place::ipv6::extension;
use pathspider_plugin_api::packet::place::{ipv4, ipv6, tcp};
use pathspider_plugin_api::packet::{Direction, Ip, Packet, TcpFlags, protocol, tcp_option};

use crate::field::{Change, Field, Reading, explain_checksum, of_packet};
use crate::template::Template;

/// Octets of data that are compared.
const DATA: usize = 64;

/// Octets of what differs in data that are shown.
const SHOWN: usize = 8;

/// A packet that came.
#[derive(Debug, Clone, Copy)]
pub struct Came<'a> {
    /// Its octets from the IP header on, perhaps cut behind its headers.
    pub octets: &'a [u8],
    /// Octets on the wire.
    pub wire: u32,
}

/// What is known of a packet that came, beside one that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// The fields that came otherwise than they were sent, in the order of [`Field`].
    pub changes: Vec<Change>,
    /// Routers on the way: hops to live that were sent, less those that came; `None` where more came.
    pub hops: Option<u8>,
    /// Whether it is that very packet and no repeat of it, by what each packet of a sender has alone: IPv4's
    /// identification, or TCP's timestamp. `None` where it has neither.
    pub is_same: Option<bool>,
    /// The sequence number of TCP, where it is TCP.
    pub sequence: Option<u32>,
    /// The address and port that it came from.
    pub from: SocketAddr,
}

/// The fields in which a packet differs from another one that is sent, but for those that each connection has
/// of its own: ports, addresses, checksum and data.
pub fn differs_in(one: &Template, other: &Template) -> Vec<Field> {
    let changes = one.view(|one| other.view(|other| differences(all(one), all(other))));
    let fields = changes.into_iter().map(|change| change.field);
    fields.filter(|field| !field.is_of_translation()).collect()
}

/// Compares a packet with one that came; `None` where that is none of the same kind.
pub fn compare(template: &Template, came: Came<'_>) -> Option<Compared> {
    let mut dissected = Dissected::NONE;
    let wire = came.wire.max(u32::try_from(came.octets.len()).ok()?);
    dissect(came.octets, wire, &mut dissected).ok()?;
    let view = packet(&dissected, 0, Direction::Forward);
    let is_cut = wire > came.octets.len() as u32;
    // Of a header that is cut, nothing is known to have gone.
    let header = view.transport().get(tcp::OFFSET).map_or(0, |offset| tcp::length(*offset));
    if is_cut && view.tcp().is_some() && view.transport().len() < header {
        return None;
    }
    let is_alike = template.view(|sent| {
        sent.ip().is_v6() == view.ip().is_v6()
            && sent.protocol() == view.protocol()
            && sent.tcp().is_some() == view.tcp().is_some()
            && sent.udp().is_some() == view.udp().is_some()
    });
    is_alike.then(|| template.view(|sent| compared(template, sent, &view, is_cut)))
}

/// All fields of a packet but its data.
fn all(view: &Packet<'_>) -> Vec<(Field, Reading)> {
    let mut fields = of_packet(view);
    fields.extend(extensions(view.ip()));
    fields.extend(of_datagram(view));
    fields
}

fn compared(template: &Template, sent: &Packet<'_>, came: &Packet<'_>, is_cut: bool) -> Compared {
    let (mut was, mut is) = (all(sent), all(came));
    if sent.payload_length() > 0 && sent.tcp().is_some() {
        // The card cuts a segment, and the kernel of the far end joins segments: these flags are of the last.
        let bare = |fields: &mut Vec<(Field, Reading)>| {
            let last = !u64::from(TcpFlags::PSH.and(TcpFlags::FIN).0);
            for (field, reading) in fields {
                if let (Field::TcpFlags, Reading::Number(flags)) = (field, reading) {
                    *flags &= last;
                }
            }
        };
        bare(&mut was);
        bare(&mut is);
    }
    if is_partial(came) {
        is.retain(|(field, _)| *field != Field::Checksum);
        was.retain(|(field, _)| *field != Field::Checksum);
    }
    if is_cut {
        was.retain(|(field, _)| *field != Field::Surplus);
        is.retain(|(field, _)| *field != Field::Surplus);
    }
    let mut changes = differences(was, is);
    changes.extend(data(sent, came));
    explain_checksum(&mut changes, template.is_tcp());
    changes.sort_by_key(|change| change.field);
    Compared {
        changes,
        hops: sent.ip().ttl().checked_sub(came.ip().ttl()),
        is_same: is_same(sent, came),
        sequence: came.tcp().map(|tcp| tcp.sequence()),
        from: SocketAddr::new(came.ip().source(), came.ports().map_or(0, |(source, _)| source)),
    }
}

/// The fields that are other ones, have gone or have come. What is there several times is compared in its order.
fn differences(was: Vec<(Field, Reading)>, mut is: Vec<(Field, Reading)>) -> Vec<Change> {
    let mut changes = Vec::new();
    for (field, sent) in was {
        let place = is.iter().position(|(other, _)| *other == field);
        let seen = place.map_or(Reading::Absent, |place| is.remove(place).1);
        if seen != sent {
            changes.push(Change { field, sent, seen });
        }
    }
    let come = is.into_iter().map(|(field, seen)| Change { field, sent: Reading::Absent, seen });
    changes.extend(come);
    changes
}

/// By what no two packets of a sender are alike.
fn is_same(sent: &Packet<'_>, came: &Packet<'_>) -> Option<bool> {
    let stamp = |view: &Packet<'_>| {
        let tcp = view.tcp()?;
        tcp.option(tcp_option::TIMESTAMPS)?.data.first_chunk::<4>().copied()
    };
    let stamps = stamp(sent).zip(stamp(came)).map(|(one, other)| one == other);
    let numbers = sent.ip().identification().zip(came.ip().identification());
    let numbers = numbers.filter(|(one, _)| *one != 0).map(|(one, other)| one == other);
    match (stamps, numbers) {
        // A box may write either anew; both by chance is no chance.
        (Some(true), _) | (_, Some(true)) => Some(true),
        (None, None) => None,
        _ => Some(false),
    }
}

/// The extension headers of IPv6, each without its first octet, which says what follows.
fn extensions(ip: Ip<'_>) -> Vec<(Field, Reading)> {
    let mut found = Vec::new();
    let Some(mut number) = ip.bytes().get(ipv6::NEXT_HEADER).copied().filter(|_| ip.is_v6()) else {
        return found;
    };
    let mut at = ipv6::HEADER;
    while let Some(rest) = ip.bytes().get(at..).filter(|rest| !rest.is_empty()) {
        // Of this header alone: what follows it is behind the octets.
        let length = rest.get(1).map_or(0, |second| extension::length(number, *second));
        let Some(header) = rest.get(1..length) else { return found };
        found.push((Field::Extension(number), Reading::Octets(header.to_vec())));
        number = rest[0];
        at += length;
    }
    found
}

/// The length of a datagram, and what follows it in its packet.
fn of_datagram(view: &Packet<'_>) -> Vec<(Field, Reading)> {
    let Some(udp) = view.udp() else { return Vec::new() };
    let mut found = vec![(Field::UdpLength, Reading::Number(udp.length().into()))];
    if !view.surplus().is_empty() {
        found.push((Field::Surplus, Reading::Octets(view.surplus().to_vec())));
    }
    found
}

/// Where the first octets of data differ: what they are from there on. Of a segment all data may have gone.
fn data(sent: &Packet<'_>, came: &Packet<'_>) -> Option<Change> {
    let is_gone = sent.payload_length() > 0 && came.payload_length() == 0;
    let (sent, came, is_tcp) = (sent.payload(), came.payload(), sent.tcp().is_some());
    if is_gone && is_tcp {
        let sent = Reading::Octets(sent[..sent.len().min(SHOWN)].to_vec());
        return Some(Change { field: Field::Data, sent, seen: Reading::Absent });
    }
    let length = sent.len().min(came.len()).min(DATA);
    let at = (0..length).find(|at| sent[*at] != came[*at])?;
    let from_there = |data: &[u8]| Reading::Octets(data[at..length.min(at + SHOWN)].to_vec());
    Some(Change { field: Field::Data, sent: from_there(sent), seen: from_there(came) })
}

/// Whether the checksum is left to a network card, as between machines of one host.
fn is_partial(view: &Packet<'_>) -> bool {
    let (number, found, length) = match (view.tcp(), view.udp()) {
        (Some(tcp), _) => {
            (protocol::TCP, tcp.checksum(), view.transport().len() as u32 + view.payload_length())
        }
        (None, Some(udp)) => (protocol::UDP, udp.checksum(), udp.length().into()),
        (None, None) => return false,
    };
    let ip = view.ip();
    let addresses = if ip.is_v6() { ipv6::ADDRESSES } else { ipv4::ADDRESSES };
    let addresses = ip.bytes().get(addresses);
    let numbers = [u32::from(number).to_be_bytes(), length.to_be_bytes()].concat();
    found != 0 && addresses.is_some_and(|addresses| found == !checksum::of(&[addresses, &numbers]))
}

#[cfg(test)]
mod tests;
