//! Addresses that are no ordinary targets: IANA's special-purpose registries, multicast and what is
//! reserved.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};
use nix::ifaddrs::getifaddrs;

use super::prefixes::Prefixes;

/// From the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890, RFC 8190; as of
/// 2025-10-09), entries within larger ones of the same kind left out, and multicast (RFC 5771,
/// RFC 4291) and site-local addresses (RFC 3879).
const SPECIAL: &[&str] = &[
    "0.0.0.0/8",       // "this network"
    "10.0.0.0/8",      // private use
    "100.64.0.0/10",   // shared address space
    "127.0.0.0/8",     // loopback
    "169.254.0.0/16",  // link-local
    "172.16.0.0/12",   // private use
    "192.0.0.0/24",    // IETF protocol assignments
    "192.0.2.0/24",    // documentation
    "192.88.99.0/24",  // 6to4 relay anycast, deprecated
    "192.168.0.0/16",  // private use
    "198.18.0.0/15",   // benchmarking
    "198.51.100.0/24", // documentation
    "203.0.113.0/24",  // documentation
    "224.0.0.0/4",     // multicast
    "240.0.0.0/4",     // reserved, limited broadcast
    "::/128",          // unspecified
    "::1/128",         // loopback
    "::ffff:0:0/96",   // IPv4-mapped
    "64:ff9b:1::/48",  // IPv4-IPv6 translation, local use
    "100::/64",        // discard-only
    "100:0:0:1::/64",  // dummy prefix
    "2001::/23",       // IETF protocol assignments, Teredo among them
    "2001:db8::/32",   // documentation
    "2002::/16",       // 6to4
    "3fff::/20",       // documentation
    "5f00::/16",       // segment routing
    "fc00::/7",        // unique local
    "fe80::/10",       // link-local
    "fec0::/10",       // site-local, deprecated
    "ff00::/8",        // multicast
];

/// Parts of these that the registries call globally reachable.
const REACHABLE: &[&str] = &[
    "192.0.0.9/32",    // Port Control Protocol anycast
    "192.0.0.10/32",   // TURN anycast
    "2001:1::1/128",   // Port Control Protocol anycast
    "2001:1::2/128",   // TURN anycast
    "2001:1::3/128",   // DNS-SD service registration anycast
    "2001:3::/32",     // AMT
    "2001:4:112::/48", // AS112
    "2001:20::/28",    // ORCHIDv2
    "2001:30::/28",    // drone remote identification
];

/// The prefix whose last 32 bits are an IPv4 address, which a translator connects to (RFC 6052).
const TRANSLATED: Ipv6Addr = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0);

/// The special-purpose prefixes.
pub(super) struct Special {
    special: Prefixes,
    reachable: Prefixes,
    /// Of the networks that this machine is in, the first and the last address.
    everybodys: Prefixes,
}

impl Special {
    pub(super) fn new() -> Special {
        let table = |list: &[&str]| list.iter().filter_map(|text| text.parse().ok()).collect();
        let everybodys = own_networks().into_iter().filter_map(everybodys).flatten().collect();
        Special { special: table(SPECIAL), reachable: table(REACHABLE), everybodys }
    }

    /// Whether an address is no ordinary target.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        self.special.covers(address) && !self.reachable.covers(address)
            || self.everybodys.covers(address)
    }
}

/// The IPv4 networks of this machine's interfaces.
fn own_networks() -> Vec<Ipv4Net> {
    let interfaces = getifaddrs().into_iter().flatten();
    let network = |interface: nix::ifaddrs::InterfaceAddress| {
        let address = interface.address?.as_sockaddr_in()?.ip();
        let mask = interface.netmask?.as_sockaddr_in()?.ip();
        Ipv4Net::with_netmask(address, mask).ok()
    };
    interfaces.filter_map(network).collect()
}

/// The addresses of a network that more than one host may take for its own: the broadcast address,
/// and the first one, which was it once (RFC 1122, section 3.3.6). Networks of one or two addresses
/// have none (RFC 3021).
fn everybodys(network: Ipv4Net) -> Option<[IpNet; 2]> {
    let ends = [network.network(), network.broadcast()];
    (network.prefix_len() < 31).then(|| ends.map(|address| IpAddr::from(address).into()))
}

/// The IPv4 address within an IPv6 one that ends there: mapped, or behind a translator.
pub(super) fn embedded(address: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(v6) = address else { return None };
    let translated = v6.segments()[..6] == TRANSLATED.segments()[..6];
    let bits = v6.to_bits() as u32;
    v6.to_ipv4_mapped().or(translated.then(|| bits.into())).map(IpAddr::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_can_be_read() {
        let read = |list: &[&str]| list.iter().all(|text| text.parse::<ipnet::IpNet>().is_ok());
        assert!(read(SPECIAL) && read(REACHABLE));
    }

    #[test]
    fn special_and_ordinary_addresses() {
        let special = Special::new();
        for text in [
            "0.0.0.0",
            "10.64.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.19.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:8.8.8.8",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002::1",
            "3fff::1",
            "5f00::1",
            "fd00::1",
            "fe80::1",
            "ff02::1",
        ] {
            assert!(special.has(text.parse().unwrap()), "{text}");
        }
        for text in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.32.0.0",
            "192.0.0.9",
            "192.0.1.0",
            "192.31.196.1",
            "198.20.0.0",
            "223.255.255.255",
            "2001:4860:4860::8888",
            "2001:3::1",
            "2001:200::1",
            "2001:4:112::1",
            "64:ff9b::1.1.1.1",
            "2620:4f:8000::1",
            "2a00::1",
        ] {
            assert!(!special.has(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn the_ends_of_a_network_are_no_hosts() {
        let of = |text: &str| everybodys(text.parse().unwrap()).map(|ends| ends.map(|e| e.addr()));
        let ends = ["8.8.8.0", "8.8.8.63"].map(|text| text.parse::<IpAddr>().unwrap());
        assert_eq!(of("8.8.8.9/26"), Some(ends));
        assert_eq!(of("8.8.8.9/31"), None);
        assert_eq!(of("8.8.8.9/32"), None);
    }

    #[test]
    fn addresses_within_addresses() {
        let embedded = |text: &str| embedded(text.parse().unwrap()).map(|a| a.to_string());
        assert_eq!(embedded("64:ff9b::10.0.0.1").as_deref(), Some("10.0.0.1"));
        assert_eq!(embedded("::ffff:192.0.2.1").as_deref(), Some("192.0.2.1"));
        assert_eq!(embedded("64:ff9b:1::10.0.0.1"), None);
        assert_eq!(embedded("2001:db8::1"), None);
    }
}
