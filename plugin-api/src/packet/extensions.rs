//! IPv6 extension headers (RFC 8200, section 4): how long the chain is, and where it leads.

use super::place::ipv6::extension::{
    AUTHENTICATION, DESTINATION, FRAGMENT, FRAGMENT_HEADER, HIP, HOP_BY_HOP, MOBILITY, ROUTING,
    SHIM6, length,
};

/// A chain of extension headers, walked to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extensions {
    /// The protocol that follows.
    pub protocol: u8,
    /// Octets of all headers together.
    pub length: usize,
    /// What the fragment header says. An atomic fragment (RFC 6946) is none.
    pub fragment: Option<FragmentHeader>,
}

/// A fragment header of IPv6 (RFC 8200, section 4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FragmentHeader {
    /// Octets of the extension headers before it.
    pub at: usize,
    /// Where the fragment's data stand in the packet's, in units of eight octets.
    pub offset: u16,
    /// Whether other fragments follow this one.
    pub more: bool,
    /// What the packet's fragments have in common.
    pub identification: u32,
}

impl Extensions {
    /// Walks the headers at the start of `bytes`; `None` when they reach beyond it.
    ///
    /// It ends at the first header that is not one of those that every node must be able to skip
    /// (RFC 7045, section 1.1); encrypted payload is such an end, for no one can look behind it.
    /// A later fragment ends it too: what follows is the middle of something.
    #[inline]
    pub fn walk(first: u8, bytes: &[u8]) -> Option<Extensions> {
        let mut found = Extensions { protocol: first, length: 0, fragment: None };
        loop {
            let rest = bytes.get(found.length..)?;
            match found.protocol {
                FRAGMENT => {
                    found.fragment = place(found.length, rest.first_chunk::<FRAGMENT_HEADER>()?);
                }
                HOP_BY_HOP | ROUTING | AUTHENTICATION | DESTINATION | MOBILITY | HIP | SHIM6 => {}
                _ => return Some(found),
            }
            let &[next, second, ..] = rest else { return None };
            found.length += length(found.protocol, second);
            found.protocol = next;
            if found.length > bytes.len() {
                return None;
            }
            if found.is_later_fragment() {
                return Some(found);
            }
        }
    }

    /// Whether the packet is a fragment that does not begin its packet.
    #[inline]
    pub fn is_later_fragment(&self) -> bool {
        self.fragment.is_some_and(|fragment| fragment.offset != 0)
    }
}

fn place(at: usize, header: &[u8; FRAGMENT_HEADER]) -> Option<FragmentHeader> {
    let [_, _, high, low, identification @ ..] = *header;
    let bits = u16::from_be_bytes([high, low]);
    let (more, offset) = (bits & 1 != 0, bits >> 3);
    let identification = u32::from_be_bytes(identification);
    (more || offset != 0).then_some(FragmentHeader { at, offset, more, identification })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_to_the_transport() {
        // Hop-by-hop (8 octets), then routing (16), then TCP.
        let mut bytes = [0; 30];
        (bytes[0], bytes[1]) = (43, 0);
        (bytes[8], bytes[9]) = (6, 1);
        let found = Extensions::walk(0, &bytes).unwrap();
        assert_eq!((found.protocol, found.length, found.fragment), (6, 24, None));
        assert_eq!(Extensions::walk(0, &bytes[..20]), None);
        assert_eq!(Extensions::walk(0, &[]), None);
    }

    #[test]
    fn a_later_fragment_ends_it_and_an_atomic_one_does_not_count() {
        let later = [0, 0, 0, 8, 0, 0, 0, 7];
        let found = Extensions::walk(44, &later).unwrap();
        let place = FragmentHeader { at: 0, offset: 1, more: false, identification: 7 };
        assert_eq!((found.protocol, found.fragment), (0, Some(place)));
        assert!(found.is_later_fragment());
        let atomic = [17, 0, 0, 0, 0, 0, 0, 7];
        let found = Extensions::walk(44, &atomic).unwrap();
        assert_eq!((found.protocol, found.fragment), (17, None));
    }
}
