//! IPv6 extension headers (RFC 8200, section 4): how long the chain is, and where it leads.

/// A chain of extension headers, walked to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extensions {
    /// The protocol that follows.
    pub(super) protocol: u8,
    /// Octets of all headers together.
    pub(super) length: usize,
    /// Offset (in units of eight octets) and identification of a fragment. An atomic fragment
    /// (RFC 6946) is none.
    pub(super) fragment: Option<(u16, u32)>,
}

impl Extensions {
    /// Walks the headers at the start of `bytes`; `None` when they reach beyond it.
    ///
    /// It ends at the first header that is not one of those that every node must be able to skip
    /// (RFC 7045, section 1.1); encrypted payload is such an end, for no one can look behind it.
    /// A later fragment ends it too: what follows is the middle of something.
    #[inline]
    pub(super) fn walk(first: u8, bytes: &[u8]) -> Option<Extensions> {
        let mut found = Extensions { protocol: first, length: 0, fragment: None };
        loop {
            let rest = bytes.get(found.length..)?;
            let length = match found.protocol {
                // Hop-by-hop, routing, destination options, mobility, HIP, shim6.
                0 | 43 | 60 | 135 | 139 | 140 => (usize::from(*rest.get(1)?) + 1) * 8,
                44 => {
                    found.fragment = place(rest.first_chunk::<8>()?);
                    8
                }
                // Authentication header (RFC 4302, section 2.2), counted in words of four octets.
                51 => (usize::from(*rest.get(1)?) + 2) * 4,
                _ => return Some(found),
            };
            found.protocol = rest[0];
            found.length += length;
            if found.length > bytes.len() {
                return None;
            }
            if matches!(found.fragment, Some((offset, _)) if offset != 0) {
                return Some(found);
            }
        }
    }
}

fn place(header: &[u8; 8]) -> Option<(u16, u32)> {
    let [_, _, high, low, id @ ..] = *header;
    let bits = u16::from_be_bytes([high, low]);
    let more = bits & 1 != 0;
    let offset = bits >> 3;
    (more || offset != 0).then(|| (offset, u32::from_be_bytes(id)))
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
        assert_eq!((found.protocol, found.fragment), (0, Some((1, 7))));
        let atomic = [17, 0, 0, 0, 0, 0, 0, 7];
        let found = Extensions::walk(44, &atomic).unwrap();
        assert_eq!((found.protocol, found.fragment), (17, None));
    }
}
