//! Reader of the IPv4 and IPv6 headers (RFC 791, RFC 8200).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::place::{class, ipv4, ipv6};
use super::{be16, be32};

/// An IP header of either version.
#[derive(Debug, Clone, Copy)]
pub struct Ip<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) is_v6: bool,
}

impl<'a> Ip<'a> {
    /// The whole header: IPv4 with its options, IPv6 with its extension headers.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// 4 or 6.
    #[inline]
    pub fn version(&self) -> u8 {
        if self.is_v6 { 6 } else { 4 }
    }

    /// Whether it is IPv6.
    pub fn is_v6(&self) -> bool {
        self.is_v6
    }

    /// The sender's address.
    #[inline]
    pub fn source(&self) -> IpAddr {
        self.address(ipv4::SOURCE, ipv6::SOURCE)
    }

    /// The receiver's address.
    #[inline]
    pub fn destination(&self) -> IpAddr {
        self.address(ipv4::DESTINATION, ipv6::DESTINATION)
    }

    fn address(&self, at_v4: usize, at_v6: usize) -> IpAddr {
        if self.is_v6 {
            let mut octets = [0; 16];
            octets.copy_from_slice(&self.bytes[at_v6..at_v6 + 16]);
            IpAddr::V6(Ipv6Addr::from(octets))
        } else {
            IpAddr::V4(Ipv4Addr::from(be32(self.bytes, at_v4)))
        }
    }

    /// Type of service, or traffic class: DSCP in the upper six bits, ECN in the lower two.
    #[inline]
    pub fn traffic_class(&self) -> u8 {
        if self.is_v6 {
            (be16(self.bytes, 0) >> ipv6::CLASS) as u8
        } else {
            self.bytes[ipv4::CLASS]
        }
    }

    /// The differentiated services code point, 0–63 (RFC 2474).
    #[inline]
    pub fn dscp(&self) -> u8 {
        self.traffic_class() >> class::DSCP
    }

    /// The ECN field: 0 Not-ECT, 1 ECT(1), 2 ECT(0), 3 CE (RFC 3168, section 5).
    #[inline]
    pub fn ecn(&self) -> u8 {
        self.traffic_class() & class::ECN
    }

    /// Time to live, or hop limit.
    #[inline]
    pub fn ttl(&self) -> u8 {
        self.bytes[if self.is_v6 { ipv6::HOP_LIMIT } else { ipv4::TTL }]
    }

    /// IPv4's reserved flag, the "evil bit" of RFC 3514; never set for IPv6.
    #[inline]
    pub fn reserved_flag(&self) -> bool {
        !self.is_v6 && be16(self.bytes, ipv4::FLAGS) & ipv4::RESERVED != 0
    }

    /// IPv4's "don't fragment" flag; `true` for IPv6, which routers never fragment.
    #[inline]
    pub fn dont_fragment(&self) -> bool {
        self.is_v6 || be16(self.bytes, ipv4::FLAGS) & ipv4::DONT_FRAGMENT != 0
    }

    /// IPv4's identification; `None` for IPv6.
    #[inline]
    pub fn identification(&self) -> Option<u16> {
        (!self.is_v6).then(|| be16(self.bytes, ipv4::IDENTIFICATION))
    }

    /// IPv6's flow label, 20 bits; `None` for IPv4.
    #[inline]
    pub fn flow_label(&self) -> Option<u32> {
        self.is_v6.then(|| be32(self.bytes, 0) & ipv6::FLOW_LABEL)
    }
}
