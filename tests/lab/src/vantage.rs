//! Owns who the vantage points are: their numbers, from 1, and their addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// As many as have addresses.
pub const MOST: u8 = 200;

/// The IPv4 and the IPv6 address of a vantage point; the first one's end in 2.
pub fn addresses(number: u8) -> (Ipv4Addr, Ipv6Addr) {
    let host = number.saturating_add(1);
    (Ipv4Addr::new(10, 0, 0, host), Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, host.into()))
}

/// The vantage point that has this address.
pub(crate) fn of(address: IpAddr) -> Option<u8> {
    let host = match address {
        IpAddr::V4(address) => address.octets()[3],
        IpAddr::V6(address) => address.octets()[15],
    };
    let number = host.checked_sub(1).filter(|number| (1..=MOST).contains(number))?;
    let (ipv4, ipv6) = addresses(number);
    [IpAddr::from(ipv4), ipv6.into()].contains(&address).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_known_by_its_addresses() {
        for number in [1, 2, MOST] {
            let (ipv4, ipv6) = addresses(number);
            assert_eq!([of(ipv4.into()), of(ipv6.into())], [Some(number); 2]);
        }
        assert_eq!(addresses(1).0, Ipv4Addr::new(10, 0, 0, 2));
        for other in ["10.0.0.1", "10.0.1.2", "fd00::1", "10.0.0.255"] {
            assert_eq!(of(other.parse().unwrap()), None, "{other}");
        }
    }
}
