//! What an address says by itself.

use std::net::IpAddr;

/// Whether no host can have this address: the unspecified ones and their network (0.0.0.0/8), the
/// limited broadcast address, and multicast. Filters of names answer such an address for names that
/// they block.
///
/// An IPv4 address within an IPv6 one (`::ffff:0.0.0.0`) counts as the IPv4 address.
pub fn is_of_no_host(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.octets()[0] == 0 || v4.is_broadcast() || v4.is_multicast(),
        IpAddr::V6(v6) => v6.is_unspecified() || v6.is_multicast(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_hosts_and_of_none() {
        let is = |text: &str| is_of_no_host(text.parse().unwrap());
        for none in [
            "0.0.0.0",
            "0.0.0.1",
            "224.0.0.1",
            "239.255.255.250",
            "255.255.255.255",
            "::",
            "::ffff:0.0.0.0",
            "::ffff:224.0.0.1",
            "ff02::1",
        ] {
            assert!(is(none), "{none}");
        }
        for some in
            ["127.0.0.1", "10.0.0.255", "240.0.0.1", "192.0.2.1", "::1", "fe80::1", "2a00::1"]
        {
            assert!(!is(some), "{some}");
        }
    }
}
