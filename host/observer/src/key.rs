//! The name of a flow: protocol, addresses and ports, the same for both directions.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

use super::notice::Endpoint;

/// An IP address as two numbers: an IPv4 address is the first, and the second is 0.
pub(crate) type Address = [u64; 2];

/// Protocol, addresses and ports of a packet, in its own direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuple {
    pub is_v6: bool,
    pub protocol: u8,
    pub source: Address,
    pub destination: Address,
    /// 0 where the protocol has no ports.
    pub source_port: u16,
    pub destination_port: u16,
}

impl Tuple {
    /// The tuple of nothing.
    pub const NONE: Tuple = Tuple {
        is_v6: false,
        protocol: 0,
        source: [0; 2],
        destination: [0; 2],
        source_port: 0,
        destination_port: 0,
    };

    /// The tuple of a packet from `local` to `remote`; `None` when one is IPv4 and one IPv6.
    pub fn between(protocol: u8, local: SocketAddr, remote: SocketAddr) -> Option<Tuple> {
        let (is_v6, source) = number(local.ip());
        let (is_v6_too, destination) = number(remote.ip());
        (is_v6 == is_v6_too).then_some(Tuple {
            is_v6,
            protocol,
            source,
            destination,
            source_port: local.port(),
            destination_port: remote.port(),
        })
    }

    /// The flow's key, and whether the packet's sender is the key's first side.
    #[inline]
    pub fn key(&self) -> (Key, bool) {
        let from_first =
            (self.source, self.source_port) <= (self.destination, self.destination_port);
        let mut key = Key {
            addresses: [self.source, self.destination],
            ports: [self.source_port, self.destination_port],
            protocol: self.protocol,
            is_v6: self.is_v6,
        };
        if !from_first {
            key.addresses.swap(0, 1);
            key.ports.swap(0, 1);
        }
        (key, from_first)
    }

    /// The receiver, as an expectation names it.
    pub fn to(&self) -> Peer {
        Peer {
            address: self.destination,
            port: self.destination_port,
            protocol: self.protocol,
            is_v6: self.is_v6,
        }
    }

    /// The sender, as an expectation names it.
    pub fn from(&self) -> Peer {
        Peer {
            address: self.source,
            port: self.source_port,
            protocol: self.protocol,
            is_v6: self.is_v6,
        }
    }
}

/// A flow's key: the side with the smaller address and port stands first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    addresses: [Address; 2],
    ports: [u16; 2],
    protocol: u8,
    is_v6: bool,
}

impl Key {
    /// The key of nothing.
    pub const NONE: Key = Key { addresses: [[0; 2]; 2], ports: [0; 2], protocol: 0, is_v6: false };

    /// Some of it, to fetch it into the cache.
    #[inline]
    pub fn first_word(&self) -> u64 {
        self.addresses[0][0]
    }

    /// One of the two sides, as an expectation names it.
    pub fn side(&self, first: bool) -> Peer {
        let at = usize::from(!first);
        Peer {
            address: self.addresses[at],
            port: self.ports[at],
            protocol: self.protocol,
            is_v6: self.is_v6,
        }
    }
}

impl Hash for Key {
    /// IPv4 takes the short way: two words instead of five.
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [[a, b], [c, d]] = self.addresses;
        let ports = u64::from(self.ports[0]) << 16 | u64::from(self.ports[1]);
        let rest = ports << 16 | u64::from(self.protocol) << 8 | u64::from(self.is_v6);
        if self.is_v6 {
            state.write_u64(a);
            state.write_u64(b);
            state.write_u64(c);
            state.write_u64(d);
        } else {
            state.write_u64(a << 32 | c);
        }
        state.write_u64(rest);
    }
}

/// One end of flows: protocol, address and port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Peer {
    address: Address,
    port: u16,
    protocol: u8,
    is_v6: bool,
}

impl Peer {
    pub fn new(protocol: u8, address: IpAddr, port: u16) -> Peer {
        let (is_v6, address) = number(address);
        Peer { address, port, protocol, is_v6 }
    }

    /// That of an endpoint.
    pub fn of(end: &Endpoint) -> Peer {
        Peer::new(end.protocol, end.address, end.port)
    }

    /// Its address. No address of version 4 is one of version 6 here: `::a` for any `a` is no host's.
    pub(crate) fn address(&self) -> Address {
        self.address
    }

    /// Its address and port.
    pub fn socket(&self) -> SocketAddr {
        let [first, second] = self.address;
        let address = if self.is_v6 {
            IpAddr::from((u128::from(first) << 64 | u128::from(second)).to_be_bytes())
        } else {
            IpAddr::from((first as u32).to_be_bytes())
        };
        SocketAddr::new(address, self.port)
    }
}

/// IPv4 addresses in IPv6's clothes are IPv4 on the wire.
fn number(address: IpAddr) -> (bool, Address) {
    match address.to_canonical() {
        IpAddr::V4(v4) => (false, [u64::from(u32::from(v4)), 0]),
        IpAddr::V6(v6) => {
            let number = u128::from(v6);
            (true, [(number >> 64) as u64, number as u64])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple(local: &str, remote: &str) -> Tuple {
        Tuple::between(6, local.parse().unwrap(), remote.parse().unwrap()).unwrap()
    }

    #[test]
    fn both_directions_have_one_key() {
        let (there, first) = tuple("192.0.2.1:4000", "198.51.100.2:80").key();
        let (back, second) = tuple("198.51.100.2:80", "192.0.2.1:4000").key();
        assert_eq!(there, back);
        assert_ne!(first, second);
        let (one_address, _) = tuple("[::1]:9", "[::1]:8").key();
        assert_eq!(one_address, tuple("[::1]:8", "[::1]:9").key().0);
    }

    #[test]
    fn versions_do_not_mix() {
        let v4 = "192.0.2.1:1".parse().unwrap();
        assert_eq!(Tuple::between(6, v4, "[::1]:1".parse().unwrap()), None);
        // ::c000:201 has the same numbers as 192.0.2.1, the other way round.
        let (low, _) = tuple("[::c000:201]:1", "[::2]:2").key();
        let (v4, _) = tuple("192.0.2.1:1", "0.0.0.2:2").key();
        assert_ne!(low, v4);
    }
}
