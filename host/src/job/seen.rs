//! Remembers the targets that were let through, exactly: no target is ever taken for another.
//!
//! IPv4 targets are kept in compressed bitmaps, one for each port: a few octets each, and never more
//! than 512 MiB for a port. What each kind costs is measured in `docs/performance.md`.

use std::net::{IpAddr, Ipv6Addr};

use hashbrown::HashSet;
use roaring::RoaringTreemap;

use super::place::in_ascii;

/// The targets so far.
#[derive(Default)]
pub(super) struct Seen {
    /// The port above the address.
    ipv4: RoaringTreemap,
    /// Address and port.
    ipv6: HashSet<[u8; 18], foldhash::fast::RandomState>,
    /// Of measurements that take names.
    names: HashSet<Box<str>, foldhash::fast::RandomState>,
}

impl Seen {
    /// Notes an address and port; `false` where they were seen before.
    pub(super) fn is_new(&mut self, address: IpAddr, port: u16) -> bool {
        match address {
            IpAddr::V4(v4) => self.ipv4.insert(u64::from(port) << 32 | u64::from(v4.to_bits())),
            IpAddr::V6(v6) => self.ipv6.insert(ipv6_key(v6, port)),
        }
    }

    /// Whether an address and port were seen.
    pub(super) fn has(&self, address: IpAddr, port: u16) -> bool {
        match address {
            IpAddr::V4(v4) => self.ipv4.contains(u64::from(port) << 32 | u64::from(v4.to_bits())),
            IpAddr::V6(v6) => self.ipv6.contains(&ipv6_key(v6, port)),
        }
    }

    /// Whether a name was seen.
    pub(super) fn has_name(&self, name: &str) -> bool {
        self.names.contains(plain_name(name).as_str())
    }

    /// Notes a name, whose case and final dot mean nothing; `false` where it was seen before.
    pub(super) fn is_new_name(&mut self, name: &str) -> bool {
        self.names.insert(plain_name(name).into_boxed_str())
    }
}

/// A name as others are compared with it: in ASCII, for a record has it in its own script.
pub(super) fn plain_name(name: &str) -> String {
    let name = in_ascii(name).unwrap_or(name.into());
    name.trim_end_matches('.').to_ascii_lowercase()
}

fn ipv6_key(address: Ipv6Addr, port: u16) -> [u8; 18] {
    let mut key = [0; 18];
    key[..16].copy_from_slice(&address.octets());
    key[16..].copy_from_slice(&port.to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_and_port_count_together() {
        let mut seen = Seen::default();
        let (v4, v6) = ("192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
        for address in [v4, v6] {
            assert!(seen.is_new(address, 80));
            assert!(seen.is_new(address, 443));
            assert!(!seen.is_new(address, 80));
        }
        assert!(seen.is_new("::ffff:192.0.2.1".parse().unwrap(), 80));
        assert!(seen.is_new_name("Example.org."));
        assert!(!seen.is_new_name("example.ORG"));
        assert!(seen.is_new_name("münchen.example"));
        assert!(seen.has_name("xn--mnchen-3ya.EXAMPLE."));
    }

    /// Agrees with a set that keeps everything.
    #[test]
    fn it_is_exact() {
        let (mut seen, mut all) = (Seen::default(), std::collections::HashSet::new());
        let mut state = 1u64;
        for _ in 0..200_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // Few addresses and ports, so that many come again.
            let address = IpAddr::V4(((state >> 40) as u32 & 0xffff).into());
            let port = (state >> 33) as u16 & 7;
            assert_eq!(seen.is_new(address, port), all.insert((address, port)));
        }
        assert!(all.len() < 200_000);
    }
}
