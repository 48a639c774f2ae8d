//! The fields that are compared: what was sent, and what a quote shows of it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use pathspider_plugin_api::packet::place::ipv4;
use pathspider_plugin_api::packet::{Packet, Quoted, TcpOption, tcp_option};

use crate::template::Template;

/// A field of a packet, as conditions name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// The ECN field of the IP header.
    Ecn,
    /// The differentiated services code point.
    Dscp,
    /// IPv4's flags.
    IpFlags,
    /// IPv6's flow label.
    FlowLabel,
    /// TCP's flags.
    TcpFlags,
    /// A TCP option, by its kind.
    TcpOption(u8),
    /// The maximum segment size, TCP's option 2.
    Mss,
    /// Source and destination port.
    Ports,
    /// Source and destination address.
    Addresses,
    /// The checksum of the transport header, if no change of what it covers explains it.
    Checksum,
    /// An extension header of IPv6, by its number.
    Extension(u8),
    /// The length of a datagram, as its header says it.
    UdpLength,
    /// What follows a datagram in its packet.
    Surplus,
    /// The first octets of data.
    Data,
}

impl Field {
    /// Whether translators change it, so that it explains nothing by itself.
    pub fn is_of_translation(self) -> bool {
        matches!(self, Field::Ports | Field::Addresses | Field::Checksum)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Field::Ecn => "ecn",
            Field::Dscp => "dscp",
            Field::IpFlags => "ipflags",
            Field::FlowLabel => "flowlabel",
            Field::TcpFlags => "tcpflags",
            Field::TcpOption(kind) => return write!(f, "tcpopt-{kind}"),
            Field::Mss => "mss",
            Field::Ports => "ports",
            Field::Addresses => "addresses",
            Field::Checksum => "checksum",
            Field::Extension(number) => return write!(f, "ext-{number}"),
            Field::UdpLength => "udplength",
            Field::Surplus => "surplus",
            Field::Data => "data",
        };
        f.write_str(name)
    }
}

impl FromStr for Field {
    type Err = NotRead;

    /// Of the name that conditions have for it.
    fn from_str(name: &str) -> Result<Field, NotRead> {
        Ok(match name {
            "ecn" => Field::Ecn,
            "dscp" => Field::Dscp,
            "ipflags" => Field::IpFlags,
            "flowlabel" => Field::FlowLabel,
            "tcpflags" => Field::TcpFlags,
            "mss" => Field::Mss,
            "ports" => Field::Ports,
            "addresses" => Field::Addresses,
            "checksum" => Field::Checksum,
            "udplength" => Field::UdpLength,
            "surplus" => Field::Surplus,
            "data" => Field::Data,
            other => {
                let (kind, number) = other.split_once('-').ok_or(NotRead)?;
                let number = number.parse().map_err(|_| NotRead)?;
                match kind {
                    "tcpopt" => Field::TcpOption(number),
                    "ext" => Field::Extension(number),
                    _ => return Err(NotRead),
                }
            }
        })
    }
}

/// A text that says nothing of what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not as a record writes it")]
pub struct NotRead;

/// What a field says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// A number.
    Number(u64),
    /// Octets, as those of an option.
    Octets(Vec<u8>),
    /// Two addresses, source and destination.
    Addresses(IpAddr, IpAddr),
    /// Two ports, source and destination.
    Ports(u16, u16),
    /// It is not there.
    Absent,
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reading::Number(number) => write!(f, "{number}"),
            Reading::Octets(octets) => octets.iter().try_for_each(|octet| write!(f, "{octet:02x}")),
            Reading::Addresses(source, destination) => write!(f, "{source}>{destination}"),
            Reading::Ports(source, destination) => write!(f, "{source}>{destination}"),
            Reading::Absent => f.write_str("absent"),
        }
    }
}

impl Reading {
    /// What a record says of a field.
    ///
    /// # Errors
    ///
    /// It says something else.
    pub fn read(field: Field, text: &str) -> Result<Reading, NotRead> {
        let pair = || text.split_once('>').ok_or(NotRead);
        let octet = |at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
        let number = |text: &str| text.parse().map_err(|_| NotRead);
        Ok(match field {
            _ if text == "absent" => Reading::Absent,
            Field::TcpOption(_) | Field::Extension(_) | Field::Surplus | Field::Data => {
                let octets = (0..text.len()).step_by(2).map(octet);
                Reading::Octets(octets.collect::<Option<_>>().ok_or(NotRead)?)
            }
            Field::Ports => {
                let (source, destination) = pair()?;
                let port = |text: &str| text.parse().map_err(|_| NotRead);
                Reading::Ports(port(source)?, port(destination)?)
            }
            Field::Addresses => {
                let (source, destination) = pair()?;
                let address = |text: &str| text.parse().map_err(|_| NotRead);
                Reading::Addresses(address(source)?, address(destination)?)
            }
            _ => Reading::Number(number(text)?),
        })
    }
}

/// One field that came to a router otherwise than it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which one.
    pub field: Field,
    /// What was sent.
    pub sent: Reading,
    /// What came.
    pub seen: Reading,
}

/// What a quote shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shown {
    /// The fields that differ, in the order of [`Field`].
    pub changes: Vec<Change>,
    /// The fields that were sent and that the quote is too short to show.
    pub hidden: Vec<Field>,
    /// Octets of the packet that are quoted, IP header included.
    pub octets: usize,
    /// The hops to live that are quoted.
    pub ttl: u8,
}

impl Shown {
    /// What a field was here; `None` where the quote does not show it.
    pub fn reading<'a>(&'a self, field: Field, sent: &'a Reading) -> Option<&'a Reading> {
        if self.hidden.contains(&field) {
            return None;
        }
        let changed = self.changes.iter().find(|change| change.field == field);
        Some(changed.map_or(sent, |change| &change.seen))
    }
}

/// Whether two packets differ in a field that is compared, but for ports, addresses and the sum.
pub fn differ(one: &Template, other: &Template) -> bool {
    let meant = |template: &Template| {
        let fields = of_sent(template).into_iter();
        fields.filter(|(field, _)| !field.is_of_translation()).collect::<Vec<_>>()
    };
    meant(one) != meant(other) || one.has_checksum() != other.has_checksum()
}

/// All fields of a packet that was sent, with what they say.
pub(crate) fn of_sent(template: &Template) -> Vec<(Field, Reading)> {
    template.view(of_packet)
}

/// The same of a packet whose headers are whole.
pub(crate) fn of_packet(packet: &Packet<'_>) -> Vec<(Field, Reading)> {
    let ip = packet.ip();
    let mut fields = of_ip(ip);
    if let Some((source, destination)) = packet.ports() {
        fields.push((Field::Ports, Reading::Ports(source, destination)));
    }
    let checksum = match (packet.tcp(), packet.udp()) {
        (Some(tcp), _) => {
            fields.push((Field::TcpFlags, Reading::Number(tcp.flags().0.into())));
            fields.extend(tcp.options().map(of_option));
            Some(tcp.checksum())
        }
        (None, Some(udp)) => Some(udp.checksum()),
        (None, None) => None,
    };
    fields.extend(checksum.map(|sum| (Field::Checksum, Reading::Number(sum.into()))));
    fields.sort_by_key(|(field, _)| *field);
    fields
}

fn of_ip(ip: pathspider_plugin_api::packet::Ip<'_>) -> Vec<(Field, Reading)> {
    let mut fields = vec![
        (Field::Ecn, Reading::Number(ip.ecn().into())),
        (Field::Dscp, Reading::Number(ip.dscp().into())),
        (Field::Addresses, Reading::Addresses(ip.source(), ip.destination())),
    ];
    match ip.flow_label() {
        Some(label) => fields.push((Field::FlowLabel, Reading::Number(label.into()))),
        None => {
            fields.push((Field::IpFlags, Reading::Number((ip.bytes()[ipv4::FLAGS] >> 5).into())))
        }
    }
    fields
}

fn of_option(option: TcpOption<'_>) -> (Field, Reading) {
    match (option.kind, option.data) {
        (tcp_option::MSS, &[high, low]) => {
            (Field::Mss, Reading::Number(u16::from_be_bytes([high, low]).into()))
        }
        (kind, data) => (Field::TcpOption(kind), Reading::Octets(data.to_vec())),
    }
}

/// Compares a quote with what was sent, field by field. What a router changes by its nature (hops to
/// live, IPv4's own checksum) is not compared.
pub(crate) fn compare(sent: &Template, quoted: &Quoted<'_>) -> Shown {
    let (was, is) = (of_sent(sent), of_quote(quoted));
    // If the quote ends within the header, an option may stand behind its end.
    let has_all_options =
        quoted.tcp_header_length().is_some_and(|length| quoted.transport().len() >= length);
    let mut shown = Shown { octets: quoted.length(), ttl: quoted.ip().ttl(), ..Shown::default() };
    for (field, reading) in &was {
        let found = is.iter().find(|(other, _)| other == field).map(|(_, reading)| reading);
        match found {
            Some(seen) if seen == reading => {}
            Some(seen) => shown.changes.push(Change {
                field: *field,
                sent: reading.clone(),
                seen: seen.clone(),
            }),
            None if is_option(*field) && has_all_options => shown.changes.push(Change {
                field: *field,
                sent: reading.clone(),
                seen: Reading::Absent,
            }),
            None => shown.hidden.push(*field),
        }
    }
    for (field, seen) in is {
        if is_option(field) && !was.iter().any(|(other, _)| *other == field) {
            shown.changes.push(Change { field, sent: Reading::Absent, seen });
        }
    }
    explain_checksum(&mut shown.changes, sent.is_tcp());
    shown.changes.sort_by_key(|change| change.field);
    shown
}

fn is_option(field: Field) -> bool {
    matches!(field, Field::Mss | Field::TcpOption(_))
}

fn of_quote(quoted: &Quoted<'_>) -> Vec<(Field, Reading)> {
    let mut fields = of_ip(quoted.ip());
    if let Some((source, destination)) = quoted.ports() {
        fields.push((Field::Ports, Reading::Ports(source, destination)));
    }
    if let Some(flags) = quoted.tcp_flags() {
        fields.push((Field::TcpFlags, Reading::Number(flags.0.into())));
    }
    // An option that is cut off at the quote's end was not seen.
    let whole = |option: &TcpOption<'_>| {
        option.data.len() + tcp_option::HEADER == usize::from(option.length)
    };
    fields.extend(quoted.tcp_options().into_iter().flatten().filter(whole).map(of_option));
    let checksum = quoted.udp_checksum().or_else(|| quoted.tcp_checksum());
    fields.extend(checksum.map(|sum| (Field::Checksum, Reading::Number(sum.into()))));
    fields
}

/// Leaves out a checksum that had to change because something that it covers did: addresses, ports, or a
/// field. A checksum that was added or removed is a change of its own.
pub(crate) fn explain_checksum(changes: &mut Vec<Change>, is_tcp: bool) {
    let covered = |change: &Change| {
        !matches!(
            change.field,
            Field::Ecn | Field::Dscp | Field::IpFlags | Field::FlowLabel | Field::Checksum
        )
    };
    let zero = |reading: &Reading| *reading == Reading::Number(0);
    let is_explained = changes.iter().any(covered) || is_tcp;
    changes.retain(|change| {
        let has_come = zero(&change.sent) != zero(&change.seen) && !is_tcp;
        change.field != Field::Checksum || has_come || !is_explained
    });
}
