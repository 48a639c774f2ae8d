//! Where the fields of headers lie: for each header its length, the octet where each field begins, and the bits
//! of fields that share one. The readers of this module are built on it; so is what edits packets.

/// The traffic class, or type of service: six bits of DSCP (RFC 2474), then two of ECN (RFC 3168).
pub mod class {
    /// How far left the code point is.
    pub const DSCP: u8 = 2;
    /// The bits of the ECN field.
    pub const ECN: u8 = 0b11;
}

/// IPv4 (RFC 791, section 3.1).
pub mod ipv4 {
    use std::ops::Range;

    /// Octets of a header without options.
    pub const HEADER: usize = 20;
    /// The first octet of such a header: version and length.
    pub const FIRST: u8 = 0x45;
    /// Type of service.
    pub const CLASS: usize = 1;
    /// Octets of the whole packet, in two octets.
    pub const LENGTH: usize = 2;
    /// Identification, in two octets.
    pub const IDENTIFICATION: usize = 4;
    /// Three flags and the place of a fragment, in two octets.
    pub const FLAGS: usize = 6;
    /// Time to live.
    pub const TTL: usize = 8;
    /// The protocol that follows.
    pub const PROTOCOL: usize = 9;
    /// Checksum of the header, in two octets.
    pub const CHECKSUM: usize = 10;
    /// The address of the sender, in four octets.
    pub const SOURCE: usize = 12;
    /// The address of the receiver, in four octets.
    pub const DESTINATION: usize = 16;
    /// Both addresses.
    pub const ADDRESSES: Range<usize> = SOURCE..HEADER;

    /// Of the word at [`FLAGS`], the one that has no meaning (RFC 3514).
    pub const RESERVED: u16 = 0x8000;
    /// Of the word at [`FLAGS`], "don't fragment".
    pub const DONT_FRAGMENT: u16 = 0x4000;
    /// Of the word at [`FLAGS`], "more fragments".
    pub const MORE_FRAGMENTS: u16 = 0x2000;
    /// Of the word at [`FLAGS`], a fragment's place in the packet, in units of eight octets.
    pub const OFFSET: u16 = 0x1fff;

    /// Octets of a header, by its first octet.
    #[inline]
    pub const fn length(first: u8) -> usize {
        (first & 0x0f) as usize * 4
    }
}

/// IPv6 (RFC 8200, section 3).
pub mod ipv6 {
    use std::ops::Range;

    /// Octets of the header without extension headers.
    pub const HEADER: usize = 40;
    /// Octets behind the header, in two octets.
    pub const LENGTH: usize = 4;
    /// What follows the header.
    pub const NEXT_HEADER: usize = 6;
    /// Hop limit.
    pub const HOP_LIMIT: usize = 7;
    /// The address of the sender, in 16 octets.
    pub const SOURCE: usize = 8;
    /// The address of the receiver, in 16 octets.
    pub const DESTINATION: usize = 24;
    /// Both addresses.
    pub const ADDRESSES: Range<usize> = SOURCE..HEADER;

    /// How far left the traffic class is in the first two octets.
    pub const CLASS: u8 = 4;
    /// Of the first four octets, the flow label.
    pub const FLOW_LABEL: u32 = 0x000f_ffff;

    /// The numbers of extension headers (section 4; RFC 7045, section 1.1).
    pub mod extension {
        /// Options for every router.
        pub const HOP_BY_HOP: u8 = 0;
        /// Routing.
        pub const ROUTING: u8 = 43;
        /// Fragment.
        pub const FRAGMENT: u8 = 44;
        /// Authentication (RFC 4302).
        pub const AUTHENTICATION: u8 = 51;
        /// Options for the destination.
        pub const DESTINATION: u8 = 60;
        /// Mobility (RFC 6275).
        pub const MOBILITY: u8 = 135;
        /// Host Identity Protocol (RFC 7401).
        pub const HIP: u8 = 139;
        /// Shim6 (RFC 5533).
        pub const SHIM6: u8 = 140;

        /// Octets of a fragment header.
        pub const FRAGMENT_HEADER: usize = 8;

        /// Octets of a header, by its number and its second octet.
        #[inline]
        pub const fn length(number: u8, second: u8) -> usize {
            match number {
                FRAGMENT => FRAGMENT_HEADER,
                // Counted in words of four octets (RFC 4302, section 2.2).
                AUTHENTICATION => (second as usize + 2) * 4,
                _ => (second as usize + 1) * 8,
            }
        }
    }
}

/// TCP (RFC 9293, section 3.1).
pub mod tcp {
    /// Octets of a header without options.
    pub const HEADER: usize = 20;
    /// The port of the sender, in two octets.
    pub const SOURCE_PORT: usize = 0;
    /// The port of the receiver, in two octets.
    pub const DESTINATION_PORT: usize = 2;
    /// Sequence number, in four octets.
    pub const SEQUENCE: usize = 4;
    /// Acknowledgment number, in four octets.
    pub const ACKNOWLEDGMENT: usize = 8;
    /// Length of the header and flags, in two octets.
    pub const OFFSET: usize = 12;
    /// Window, in two octets.
    pub const WINDOW: usize = 14;
    /// Checksum, in two octets.
    pub const CHECKSUM: usize = 16;
    /// Urgent pointer, in two octets.
    pub const URGENT: usize = 18;

    /// Of the word at [`OFFSET`], the flags.
    pub const FLAGS: u16 = 0x01ff;
    /// How far left the field ACE is in the flags (RFC 9768, section 3.1).
    pub const ACE: u16 = 6;

    /// Octets of a header, by the octet at [`OFFSET`].
    #[inline]
    pub const fn length(offset: u8) -> usize {
        (offset >> 4) as usize * 4
    }

    /// The octet at [`OFFSET`] of a header with so many octets of options, no flag set.
    #[inline]
    pub const fn offset(options: usize) -> u8 {
        (((HEADER + options) / 4) as u8) << 4
    }
}

/// UDP (RFC 768).
pub mod udp {
    /// Octets of the header.
    pub const HEADER: usize = 8;
    /// The port of the sender, in two octets.
    pub const SOURCE_PORT: usize = 0;
    /// The port of the receiver, in two octets.
    pub const DESTINATION_PORT: usize = 2;
    /// Octets of header and data, in two octets.
    pub const LENGTH: usize = 4;
    /// Checksum, in two octets; 0 where there is none.
    pub const CHECKSUM: usize = 6;
}

/// ICMP (RFC 792) and ICMPv6 (RFC 4443).
pub mod icmp {
    /// Octets before what a message carries.
    pub const HEADER: usize = 8;
    /// What kind of message it is.
    pub const KIND: usize = 0;
    /// The code that tells messages of a kind apart.
    pub const CODE: usize = 1;
    /// Checksum, in two octets.
    pub const CHECKSUM: usize = 2;
    /// What differs by the kind of message, in four octets.
    pub const REST: usize = 4;

    /// The kinds of errors of ICMP.
    pub mod v4 {
        /// Destination unreachable.
        pub const UNREACHABLE: u8 = 3;
        /// Source quench.
        pub const SOURCE_QUENCH: u8 = 4;
        /// Redirect.
        pub const REDIRECT: u8 = 5;
        /// Time exceeded.
        pub const TIME_EXCEEDED: u8 = 11;
        /// Parameter problem.
        pub const PARAMETER_PROBLEM: u8 = 12;
        /// Of [`UNREACHABLE`], the code of a packet that is too big and must not be cut.
        pub const TOO_BIG: u8 = 4;
    }

    /// The kinds of errors of ICMPv6.
    pub mod v6 {
        /// Destination unreachable.
        pub const UNREACHABLE: u8 = 1;
        /// Packet too big.
        pub const TOO_BIG: u8 = 2;
        /// Time exceeded.
        pub const TIME_EXCEEDED: u8 = 3;
        /// Parameter problem.
        pub const PARAMETER_PROBLEM: u8 = 4;
        /// The first kind that is no error (section 2.1).
        pub const FIRST_OTHER: u8 = 128;
    }
}
