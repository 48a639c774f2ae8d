//! Builds IP packets for [`Connect::packets`](crate::Connect::packets): headers with right lengths
//! and checksums, but for what is asked to be otherwise.
//!
//! ```
//! # fn main() -> pathspider_plugin_api::Result<()> {
//! use pathspider_plugin_api::forge::Packet;
//!
//! let target = "192.0.2.1".parse()?;
//! // A SYN with IPv4's reserved flag, which announces segments of 1,460 octets.
//! let syn = Packet::to(target).reserved_flag(true).tcp_syn(80).mss(1460).bytes()?;
//! assert_eq!(syn.len(), 20 + 24);
//! # Ok(())
//! # }
//! ```
//!
//! What a connection says is built here too: [`dns_query`], [`HttpRequest`].
//!
//! Source address and source port are left for the host to fill in unless they are set. What
//! cannot be said here can still be sent: a packet is nothing but its octets.

pub mod checksum;
mod dns;
mod http;
mod tcp;
mod udp;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use dns::{dns_query, padded_dns_query};
pub use http::{HttpRequest, http_host};
pub use tcp::{Segment, ordinary_mss, ordinary_options};
pub use udp::{Datagram, is_udp_options, udp_options};

use crate::error::{Error, Result};
use crate::packet::place::{self, icmp, ipv4, ipv6};
use crate::packet::protocol;

/// The IP header of a packet to be built: IPv4 (RFC 791) or IPv6 (RFC 8200) by the target.
#[derive(Debug, Clone)]
pub struct Packet {
    source: IpAddr,
    target: IpAddr,
    traffic_class: u8,
    ttl: u8,
    flags: u16,
    identification: u16,
    flow_label: u32,
    /// The first extension header's number, where there is one.
    extension: Option<u8>,
    /// All extension headers. The last one's first octet is filled in when it is known what follows.
    extensions: Vec<u8>,
    /// Where in them the last one begins.
    last: usize,
}

impl Packet {
    /// A packet to there: 64 hops, DSCP 0, Not-ECT; in IPv4 a random identification and the flag
    /// "don't fragment".
    pub fn to(target: IpAddr) -> Packet {
        let target = target.to_canonical();
        let source = match target {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        // Where the identification is 0, the kernel chooses one.
        let identification = identifier().max(1);
        Packet {
            source,
            target,
            traffic_class: 0,
            ttl: 64,
            flags: ipv4::DONT_FRAGMENT,
            identification,
            flow_label: 0,
            extension: None,
            extensions: Vec::new(),
            last: 0,
        }
    }

    /// Sets the source address. Without it the host takes the route's.
    pub fn source(mut self, source: IpAddr) -> Packet {
        self.source = source.to_canonical();
        self
    }

    /// Sets IPv4's reserved flag, the "evil bit" of RFC 3514. IPv6 has none: there it does nothing.
    pub fn reserved_flag(self, set: bool) -> Packet {
        self.flag(ipv4::RESERVED, set)
    }

    /// Sets IPv4's "don't fragment" flag. IPv6 has none: routers never fragment it.
    pub fn dont_fragment(self, set: bool) -> Packet {
        self.flag(ipv4::DONT_FRAGMENT, set)
    }

    fn flag(mut self, flag: u16, set: bool) -> Packet {
        self.flags = if set { self.flags | flag } else { self.flags & !flag };
        self
    }

    /// Sets the differentiated services code point (RFC 2474): the lower six bits of the number.
    pub fn dscp(mut self, code_point: u8) -> Packet {
        self.traffic_class = code_point << 2 | self.traffic_class & 3;
        self
    }

    /// Sets the ECN field (RFC 3168, section 5), the lower two bits of the number: 0 Not-ECT, 1 ECT(1),
    /// 2 ECT(0), 3 CE.
    pub fn ecn(mut self, field: u8) -> Packet {
        self.traffic_class = self.traffic_class & !3 | field & 3;
        self
    }

    /// Sets the time to live, or hop limit.
    pub fn ttl(mut self, hops: u8) -> Packet {
        self.ttl = hops;
        self
    }

    /// Sets IPv4's identification (RFC 6864). 0 has the kernel choose one.
    pub fn identification(mut self, number: u16) -> Packet {
        self.identification = number;
        self
    }

    /// Sets IPv6's flow label (RFC 6437): the lower twenty bits of the number. IPv4 has no flow label, so
    /// there the call does nothing.
    pub fn flow_label(mut self, label: u32) -> Packet {
        self.flow_label = label & ipv6::FLOW_LABEL;
        self
    }

    /// Adds an extension header of IPv6 (RFC 8200, section 4) behind those that are there: its number,
    /// and its octets from the second one on. The first, which says what follows, is filled in. Lengths
    /// are the caller's. IPv4 has none: there it does nothing.
    pub fn extension(mut self, number: u8, rest: &[u8]) -> Packet {
        if self.target.is_ipv6() {
            match self.extension {
                None => self.extension = Some(number),
                Some(_) => self.extensions[self.last] = number,
            }
            self.last = self.extensions.len();
            self.extensions.push(0);
            self.extensions.extend(rest);
        }
        self
    }

    /// With a TCP segment to this port, without flags.
    pub fn tcp(self, port: u16) -> Segment {
        Segment::new(self, port)
    }

    /// With a SYN to this port, of a random sequence number.
    pub fn tcp_syn(self, port: u16) -> Segment {
        self.tcp(port).flags(crate::packet::TcpFlags::SYN).sequence(random())
    }

    /// With a UDP datagram to this port.
    pub fn udp(self, port: u16, payload: &[u8]) -> Datagram {
        Datagram::new(self, port, payload)
    }

    /// With what follows the IP header, as it is: any protocol, any checksum.
    ///
    /// # Errors
    ///
    /// Source and target are of different versions, or it is longer than a packet can be.
    pub fn raw(&self, protocol: u8, rest: &[u8]) -> Result<Vec<u8>> {
        let too_long = || Error::new(format!("{} octets do not fit into an IP packet", rest.len()));
        let mut bytes = Vec::with_capacity(ipv6::HEADER + rest.len());
        match (self.source, self.target) {
            (IpAddr::V4(source), IpAddr::V4(target)) => {
                let length = u16::try_from(ipv4::HEADER + rest.len()).map_err(|_| too_long())?;
                bytes.extend([ipv4::FIRST, self.traffic_class]);
                for word in [length, self.identification, self.flags] {
                    bytes.extend(word.to_be_bytes());
                }
                bytes.extend([self.ttl, protocol, 0, 0]);
                bytes.extend(source.octets());
                bytes.extend(target.octets());
                checksum::fill_ipv4(&mut bytes);
            }
            (IpAddr::V6(source), IpAddr::V6(target)) => {
                let octets = self.extensions.len() + rest.len();
                let length = u16::try_from(octets).map_err(|_| too_long())?;
                let first = 6 << 28 | u32::from(self.traffic_class) << 20 | self.flow_label;
                bytes.extend(first.to_be_bytes());
                bytes.extend(length.to_be_bytes());
                bytes.extend([self.extension.unwrap_or(protocol), self.ttl]);
                bytes.extend(source.octets());
                bytes.extend(target.octets());
                bytes.extend(&self.extensions);
                if self.extension.is_some() {
                    bytes[ipv6::HEADER + self.last] = protocol;
                }
            }
            (source, target) => {
                return Err(Error::new(format!("no packet goes from {source} to {target}")));
            }
        }
        bytes.extend(rest);
        Ok(bytes)
    }

    /// With a transport header whose checksum, at `at`, is filled in.
    fn transport(&self, number: u8, mut rest: Vec<u8>, at: usize) -> Result<Vec<u8>> {
        self.fill_checksum(number, &mut rest, at);
        self.raw(number, &rest)
    }

    /// Fills in the checksum of a transport header and its data, at `at`, where it is 0 so far.
    fn fill_checksum(&self, number: u8, rest: &mut [u8], at: usize) {
        let (mut addresses, mut length) = ([0; 32], 0);
        for address in [self.source, self.target] {
            let octets: &[u8] = match &address {
                IpAddr::V4(address) => &address.octets(),
                IpAddr::V6(address) => &address.octets(),
            };
            addresses[length..length + octets.len()].copy_from_slice(octets);
            length += octets.len();
        }
        let sum = checksum::of_transport(&addresses[..length], number, &[rest]);
        rest[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Fills in the checksums of a packet that was made by hand: that of an IPv4 header, and that of TCP, UDP or
/// ICMP where it follows the header of IPv4 or the fixed one of IPv6. Of what is not whole, nothing.
pub fn fill_checksums(packet: &mut [u8]) {
    let (header, addresses, number) = match packet.first().map(|first| first >> 4) {
        Some(4) if packet.len() >= ipv4::HEADER => {
            let header = ipv4::length(packet[0]);
            if header < ipv4::HEADER || packet.len() < header {
                return;
            }
            checksum::fill_ipv4(&mut packet[..header]);
            (header, ipv4::ADDRESSES, packet[ipv4::PROTOCOL])
        }
        Some(6) if packet.len() >= ipv6::HEADER => {
            (ipv6::HEADER, ipv6::ADDRESSES, packet[ipv6::NEXT_HEADER])
        }
        _ => return,
    };
    let at = match number {
        protocol::TCP => place::tcp::CHECKSUM,
        protocol::UDP => place::udp::CHECKSUM,
        protocol::ICMP | protocol::ICMPV6 => icmp::CHECKSUM,
        _ => return,
    };
    let (head, rest) = packet.split_at_mut(header);
    let Some(place) = rest.get_mut(at..at + 2) else { return };
    place.fill(0);
    // ICMP's covers no addresses in version 4 (RFC 792).
    let sum = match number {
        protocol::ICMP => checksum::of(&[rest]),
        _ => checksum::of_transport(&head[addresses], number, &[rest]),
    };
    rest[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

/// A number that nobody can foresee, for sequence numbers and identifiers (RFC 6056, RFC 9293,
/// section 3.4.1).
pub fn random() -> u32 {
    // Each of these hashers has keys of its own, which the system's random numbers began.
    RandomState::new().build_hasher().finish() as u32
}

/// A number of 16 bits that nobody can foresee, for the identifiers of queries.
pub fn identifier() -> u16 {
    random() as u16
}

#[cfg(test)]
mod tests;
