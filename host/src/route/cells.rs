//! Which addresses the kernel's routing does not tell apart, so that it is asked once for all of them.
//!
//! Prefixes lie within each other or apart. So two addresses whose most specific prefix is the same one, among those of
//! all routes in all tables and of all rules, are in the same prefixes: each rule and each route takes both of them, or
//! neither. Only the source address of IPv6 depends on more than that (RFC 6724, section 5).

use std::cmp::Reverse;
use std::net::IpAddr;

use super::kernel::Routing;

/// Prefixes of a version that are looked through for each target. Where there are more, as on a router of the
/// Internet, the kernel finds its routes faster.
const MOST: usize = 64;

/// Addresses that are routed alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Cell {
    prefix: Prefix,
    is_ipv4: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Prefix {
    /// An IPv4 address stands in the highest bits.
    bits: u128,
    length: u8,
}

/// The cells of IPv4 and of IPv6; `None` where each address has to be asked for.
#[derive(Debug, Default)]
pub(super) struct Cells {
    v4: Option<Vec<Prefix>>,
    v6: Option<Vec<Prefix>>,
}

impl Cell {
    /// A single address.
    pub(super) fn one(address: IpAddr) -> Cell {
        let prefix = Prefix { bits: bits(address), length: 128 };
        Cell { prefix, is_ipv4: address.is_ipv4() }
    }

    /// Whether it may have more than one address.
    pub(super) fn is_shared(self) -> bool {
        self.prefix.length < if self.is_ipv4 { 32 } else { 128 }
    }
}

impl Prefix {
    const ALL: Prefix = Prefix { bits: 0, length: 0 };

    fn has(self, bits: u128) -> bool {
        let differs = (bits ^ self.bits).checked_shr(128 - u32::from(self.length));
        differs.unwrap_or(0) == 0
    }
}

impl Cells {
    /// Those that the kernel has now.
    pub(super) fn read() -> Cells {
        let of = |family| {
            let mut found = Vec::new();
            // One that is asked no further: what is left of its answer is nobody's.
            let routing = Routing::open().ok()?;
            let is_whole = routing.prefixes(family, &mut |address: Option<IpAddr>, length| {
                let bits = address.map_or(0, bits);
                found.push(Prefix { bits, length });
                found.len() <= MOST
            });
            is_whole.ok().filter(|is_whole| *is_whole)?;
            Some(most_specific_first(found))
        };
        Cells { v4: of(libc::AF_INET), v6: of(libc::AF_INET6) }
    }

    /// The cell of an address.
    pub(super) fn of(&self, address: IpAddr) -> Cell {
        // These have rules of their own in the kernel.
        let is_special = match address {
            IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast() || v4.is_unspecified(),
            IpAddr::V6(v6) => {
                v6.is_multicast() || v6.is_unicast_link_local() || v6.is_unspecified()
            }
        };
        let prefixes = if address.is_ipv4() { &self.v4 } else { &self.v6 };
        let Some(prefixes) = prefixes.as_ref().filter(|_| !is_special) else {
            return Cell::one(address);
        };
        let found = prefixes.iter().find(|prefix| prefix.has(bits(address)));
        // What is in no prefix is routed alike, too: not at all.
        Cell { prefix: found.copied().unwrap_or(Prefix::ALL), is_ipv4: address.is_ipv4() }
    }
}

fn most_specific_first(mut prefixes: Vec<Prefix>) -> Vec<Prefix> {
    prefixes.sort_unstable_by_key(|prefix| Reverse((prefix.length, prefix.bits)));
    prefixes.dedup();
    prefixes
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)) << 96,
        IpAddr::V6(v6) => u128::from(v6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn cells(prefixes: &[(&str, u8)]) -> Cells {
        let of = |is_ipv4: bool| {
            let all = prefixes.iter().map(|&(network, length)| (address(network), length));
            let own = all.filter(|(network, _)| network.is_ipv4() == is_ipv4);
            let own = own.map(|(network, length)| Prefix { bits: bits(network), length });
            Some(most_specific_first(own.collect()))
        };
        Cells { v4: of(true), v6: of(false) }
    }

    #[test]
    fn addresses_are_alike_where_no_prefix_tells_them_apart() {
        let prefixes =
            [("0.0.0.0", 0), ("10.0.0.0", 8), ("10.1.0.0", 16), ("10.1.2.3", 32), ("fd00::", 64)];
        let cells = cells(&prefixes);
        let alike = |one, other| cells.of(address(one)) == cells.of(address(other));
        assert!(alike("192.0.2.1", "11.0.0.0") && alike("10.0.0.1", "10.2.0.0"));
        assert!(alike("10.1.2.2", "10.1.2.4") && alike("fd00::1", "fd00::2"));
        assert!(!alike("192.0.2.1", "10.0.0.1") && !alike("10.0.0.1", "10.1.0.1"));
        assert!(!alike("10.1.2.3", "10.1.2.4"));
        // Without any route.
        assert!(alike("fd00:0:0:1::1", "2001:db8::1") && !alike("fd00::1", "2001:db8::1"));
        assert!(!alike("192.0.2.1", "2001:db8::1"), "of two versions");
        assert!(cells.of(address("10.0.0.1")).is_shared());
        assert!(!cells.of(address("10.1.2.3")).is_shared());
    }

    #[test]
    fn what_the_kernel_treats_apart_is_asked_for_apart() {
        let cells = cells(&[("0.0.0.0", 0), ("::", 0)]);
        for text in ["224.0.0.1", "255.255.255.255", "0.0.0.0", "fe80::1", "ff02::1", "::"] {
            assert_eq!(cells.of(address(text)), Cell::one(address(text)), "{text}");
        }
        let unknown = Cells::default();
        assert_eq!(unknown.of(address("192.0.2.1")), Cell::one(address("192.0.2.1")));
    }

    #[test]
    fn the_kernel_lists_what_it_has() {
        let cells = Cells::read();
        let own = cells.of(address("127.0.0.1"));
        assert!(!own.is_shared() || own == Cell::one(address("127.0.0.1")), "{own:?}");
        assert_ne!(own, cells.of(address("127.0.0.2")));
        assert_eq!(cells.of(address("127.0.0.2")), cells.of(address("127.9.9.9")));
    }
}
