//! Reader of the ICMP headers (RFC 792, RFC 4443).

use super::be32;
use super::place::icmp::{self, v4, v6};
use super::quoted::{Extensions, Quoted, split};

/// An ICMP header of either version: the first eight bytes and what follows.
#[derive(Debug, Clone, Copy)]
pub struct Icmp<'a> {
    pub(super) header: &'a [u8],
    pub(super) body: &'a [u8],
    pub(super) is_v6: bool,
}

impl<'a> Icmp<'a> {
    /// An ICMP message for IPv4, or for IPv6, from its first eight octets and what follows; for hosts
    /// and tests. `None` where the header is shorter.
    #[inline]
    pub fn new(is_v6: bool, header: &'a [u8], body: &'a [u8]) -> Option<Icmp<'a>> {
        (header.len() >= icmp::HEADER).then_some(Icmp { header, body, is_v6 })
    }

    /// Whether it is ICMP for IPv6.
    #[inline]
    pub fn is_v6(&self) -> bool {
        self.is_v6
    }

    /// The message's type; its meaning depends on the version.
    #[inline]
    pub fn kind(&self) -> u8 {
        self.header[icmp::KIND]
    }

    /// The type's code.
    #[inline]
    pub fn code(&self) -> u8 {
        self.header[icmp::CODE]
    }

    /// Bytes 4 to 7: unused, an identifier, or the next hop's MTU, by type.
    #[inline]
    pub fn rest(&self) -> u32 {
        be32(self.header, icmp::REST)
    }

    /// What follows the first eight bytes: in an error, the start of the packet that caused it.
    #[inline]
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Whether the message is an error, which quotes a packet: unreachable, source quench, redirect,
    /// time exceeded and parameter problem (RFC 1122, section 3.2.2); in version 6, all types below
    /// 128 (RFC 4443, section 2.1).
    #[inline]
    pub fn is_error(&self) -> bool {
        if self.is_v6 {
            (v6::UNREACHABLE..v6::FIRST_OTHER).contains(&self.kind())
        } else {
            use v4::{PARAMETER_PROBLEM, REDIRECT, SOURCE_QUENCH, TIME_EXCEEDED, UNREACHABLE};
            let errors = [UNREACHABLE, SOURCE_QUENCH, REDIRECT, TIME_EXCEEDED, PARAMETER_PROBLEM];
            errors.contains(&self.kind())
        }
    }

    /// The packet that an error quotes. `None` for messages that are no errors, and where less than
    /// the quoted packet's IP header is there.
    #[inline]
    pub fn quoted(&self) -> Option<Quoted<'a>> {
        if self.is_error() { Quoted::read(split(self).0) } else { None }
    }

    /// The objects that a router adds to an error (RFC 4884): MPLS labels (RFC 4950), its interface
    /// (RFC 5837). Empty where it says that there are none.
    pub fn extensions(&self) -> Extensions<'a> {
        if self.is_error() { Extensions::read(split(self).1) } else { Extensions::read(&[]) }
    }

    /// What an error comes to, in the word that a failure has in records. `None` where a socket is not
    /// told of it: source quench (RFC 6633), redirects, a fragment that its receiver still missed,
    /// codes that nobody has defined, and what is no error. Linux tells a socket of the same errors,
    /// but not so exactly (RFC 792; RFC 1122, section 3.2.2.1; RFC 1812, section 5.2.7.1; RFC 4443,
    /// section 3).
    pub fn failure(&self) -> Option<&'static str> {
        match (self.is_v6, self.kind(), self.code()) {
            (false, v4::UNREACHABLE, 2) | (false, v4::PARAMETER_PROBLEM, _) => {
                Some("protocol_error")
            }
            (false, v4::UNREACHABLE, 3) | (true, v6::UNREACHABLE, 4) => Some("port_unreachable"),
            (false, v4::UNREACHABLE, v4::TOO_BIG) | (true, v6::TOO_BIG, _) => Some("too_large"),
            (false, v4::UNREACHABLE, 5) => Some("not_supported"),
            (false, v4::UNREACHABLE, 16..) | (false, v4::TIME_EXCEEDED, 1) => None,
            (false, v4::UNREACHABLE, 9 | 10 | 13..) | (true, v6::UNREACHABLE, 1 | 5 | 6) => {
                Some("admin_prohibited")
            }
            (false, v4::UNREACHABLE, 0 | 6 | 11) | (true, v6::UNREACHABLE, 0) => {
                Some("net_unreachable")
            }
            (false, v4::UNREACHABLE, _) | (true, v6::UNREACHABLE, 3) => Some("host_unreachable"),
            (false, v4::TIME_EXCEEDED, 0) | (true, v6::TIME_EXCEEDED, 0) => Some("ttl_exceeded"),
            (false, v4::TIME_EXCEEDED, _)
            | (true, v6::UNREACHABLE, 2)
            | (true, v6::TIME_EXCEEDED, _) => Some("unreachable"),
            // Parameter problems, and what nobody has defined.
            (true, v6::UNREACHABLE..v6::FIRST_OTHER, _) => Some("protocol_error"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_sockets() {
        for (is_v6, kind, code, expected) in [
            (false, 3, 0, Some("net_unreachable")),
            (false, 3, 1, Some("host_unreachable")),
            (false, 3, 3, Some("port_unreachable")),
            (false, 3, 4, Some("too_large")),
            (false, 3, 9, Some("admin_prohibited")),
            (false, 3, 13, Some("admin_prohibited")),
            (false, 4, 0, None),
            (false, 5, 0, None),
            (false, 8, 0, None),
            (false, 11, 0, Some("ttl_exceeded")),
            (false, 11, 1, None),
            (false, 12, 0, Some("protocol_error")),
            (false, 3, 5, Some("not_supported")),
            (false, 3, 8, Some("host_unreachable")),
            (false, 3, 16, None),
            (true, 1, 7, Some("protocol_error")),
            (true, 3, 1, Some("unreachable")),
            (true, 5, 0, Some("protocol_error")),
            (true, 1, 4, Some("port_unreachable")),
            (true, 1, 1, Some("admin_prohibited")),
            (true, 1, 0, Some("net_unreachable")),
            (true, 1, 2, Some("unreachable")),
            (true, 1, 3, Some("host_unreachable")),
            (true, 3, 0, Some("ttl_exceeded")),
            (true, 2, 0, Some("too_large")),
            (true, 129, 0, None),
        ] {
            let header = [kind, code, 0, 0, 0, 0, 0, 0];
            let icmp = Icmp::new(is_v6, &header, &[]).unwrap();
            assert_eq!(icmp.failure(), expected, "{kind} {code}");
        }
    }
}
