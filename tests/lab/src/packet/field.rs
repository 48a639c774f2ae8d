//! Owns the names of what lies in headers: where each field begins in its header, how long headers are,
//! and the bits of fields that share an octet.

/// The traffic class, or type of service: six bits of DSCP, then two of ECN.
pub(super) mod class {
    pub(in crate::packet) const DSCP_LEFT: u8 = 2;
    pub(in crate::packet) const ECN: u8 = 0b11;
    /// The bits of a code point that were the precedence of the type of service.
    pub(in crate::packet) const PRECEDENCE: u8 = 0b11_1000;
}

/// IPv4 (RFC 791, section 3.1).
pub(super) mod ipv4 {
    use std::ops::Range;

    /// Octets of a header without options.
    pub(in crate::packet) const HEADER: usize = etherparse::Ipv4Header::MIN_LEN;
    /// Version 4, and a header without options.
    pub(in crate::packet) const FIRST: u8 = 0x45;
    pub(in crate::packet) const CLASS: usize = 1;
    pub(in crate::packet) const LENGTH: Range<usize> = 2..4;
    pub(in crate::packet) const IDENTIFICATION: Range<usize> = 4..6;
    /// Three flags, then the place of a fragment.
    pub(in crate::packet) const FLAGS: usize = 6;
    pub(in crate::packet) const TTL: usize = 8;
    pub(in crate::packet) const PROTOCOL: usize = 9;
    pub(in crate::packet) const CHECKSUM: Range<usize> = 10..12;
    pub(in crate::packet) const SOURCE: usize = 12;
    pub(in crate::packet) const DESTINATION: usize = 16;
    pub(in crate::packet) const ADDRESSES: Range<usize> = SOURCE..HEADER;

    /// The flag that has no meaning, the "evil bit" of RFC 3514.
    pub(in crate::packet) const RESERVED: u16 = 0x8000;
    pub(in crate::packet) const DONT_FRAGMENT: u16 = 0x4000;
    /// How far left the flag "more fragments" is.
    pub(in crate::packet) const MORE: u16 = 13;
    /// The place of a fragment, in units of eight octets.
    pub(in crate::packet) const PLACE: u16 = 0x1fff;

    /// The octets of a header that begins with this one.
    pub(in crate::packet) fn header_length(first: u8) -> usize {
        usize::from(first & 0x0f) * 4
    }
}

/// IPv6 (RFC 8200, section 3).
pub(super) mod ipv6 {
    use std::ops::Range;

    pub(in crate::packet) const HEADER: usize = etherparse::Ipv6Header::LEN;
    /// Version 6, and the first half of a traffic class of 0.
    pub(in crate::packet) const FIRST: u8 = 0x60;
    /// The traffic class in the first two octets, and how far left it is.
    pub(in crate::packet) const CLASS: (u16, u16) = (0x0ff0, 4);
    /// The flow label in the first four octets.
    pub(in crate::packet) const FLOW_LABEL: u32 = 0x000f_ffff;
    /// Octets behind the header.
    pub(in crate::packet) const LENGTH: Range<usize> = 4..6;
    pub(in crate::packet) const NEXT_HEADER: usize = 6;
    pub(in crate::packet) const HOP_LIMIT: usize = 7;
    pub(in crate::packet) const SOURCE: usize = 8;
    pub(in crate::packet) const DESTINATION: usize = 24;
    pub(in crate::packet) const ADDRESSES: Range<usize> = SOURCE..HEADER;

    /// How far left the place of a fragment is in its header, beside "more fragments" (section 4.5).
    pub(in crate::packet) const PLACE: u16 = 3;

    /// The octets of an extension header of this number, which says this of its length (sections 4.3 to
    /// 4.6; RFC 4302, section 2.2).
    pub(in crate::packet) fn extension_length(number: u8, said: u8) -> usize {
        match etherparse::IpNumber(number) {
            etherparse::IpNumber::IPV6_FRAGMENTATION_HEADER => etherparse::Ipv6FragmentHeader::LEN,
            etherparse::IpNumber::AUTHENTICATION_HEADER => (usize::from(said) + 2) * 4,
            _ => (usize::from(said) + 1) * 8,
        }
    }
}

/// TCP (RFC 9293, section 3.1).
pub(super) mod tcp {
    /// Octets of a header without options.
    pub(in crate::packet) const HEADER: usize = etherparse::TcpHeader::MIN_LEN;
    pub(in crate::packet) const SOURCE: usize = 0;
    pub(in crate::packet) const DESTINATION: usize = 2;
    pub(in crate::packet) const SEQUENCE: usize = 4;
    pub(in crate::packet) const ACKNOWLEDGMENT: usize = 8;
    /// The header's length, then the flags.
    pub(in crate::packet) const OFFSET: usize = 12;
    pub(in crate::packet) const CHECKSUM: usize = 16;
    pub(in crate::packet) const URGENT_POINTER: usize = 18;

    /// Octets of options that there is room for.
    pub(in crate::packet) const MOST_OPTIONS: usize = etherparse::TcpOptions::MAX_LEN;
    /// Octets of an option before its value: its kind and its length.
    pub(in crate::packet) const OPTION_HEAD: usize = 2;

    /// The octets of a header, by the one where its length is.
    pub(in crate::packet) fn header_length(offset: u8) -> usize {
        usize::from(offset >> 4) * 4
    }

    /// The octet where the length of a header with this many octets of options is, its lower half zero.
    pub(in crate::packet) fn offset(options: usize) -> u8 {
        (((HEADER + options) / 4) as u8) << 4
    }
}

/// UDP (RFC 768). Its ports are where TCP's are.
pub(super) mod udp {
    use std::ops::Range;

    pub(in crate::packet) const HEADER: usize = etherparse::UdpHeader::LEN;
    pub(in crate::packet) const LENGTH: Range<usize> = 4..6;
    pub(in crate::packet) const CHECKSUM: usize = 6;
    /// What stands for a checksum that comes to zero, which itself means none.
    pub(in crate::packet) const ZERO: u16 = 0xffff;
}

/// ICMP (RFC 792) and ICMPv6 (RFC 4443), whose errors have the packet that they are about behind the header.
pub(super) mod icmp {
    use std::ops::Range;

    pub(in crate::packet) const HEADER: usize = etherparse::Icmpv4Header::MIN_LEN;
    pub(in crate::packet) const CHECKSUM: usize = 2;
    /// What the next link takes, of packets that are too big. ICMPv6 has four octets for it, ICMP two.
    pub(in crate::packet) const MTU: Range<usize> = 6..8;
    /// Types of ICMPv6 below this one are errors (section 2.1).
    pub(in crate::packet) const FIRST_OF_V6: u8 = 128;
}

/// DNS over UDP (RFC 1035, section 4.1.1).
pub(super) mod dns {
    use std::ops::Range;

    pub(in crate::packet) const HEADER: usize = 12;
    pub(in crate::packet) const IDENTIFIER: Range<usize> = 0..2;
    pub(in crate::packet) const FLAGS: usize = 2;
    /// The flag of a response.
    pub(in crate::packet) const RESPONSE: u8 = 0x80;
}

/// What begins a datagram of QUIC (RFC 8999, section 5; RFC 9000, section 17.2).
pub(super) mod quic {
    /// Set where the header is long.
    pub(in crate::packet) const LONG: u8 = 0x80;
    /// The bit that is always set.
    pub(in crate::packet) const FIXED: u8 = 0x40;
}
