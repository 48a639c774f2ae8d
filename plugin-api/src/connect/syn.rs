//! Makes the SYN that a connection of kind `syn` begins with: as this machine's would be where nothing
//! asks for ECN, but for what the plugin asked for.

use std::net::SocketAddr;

use crate::connect::Settings;
use crate::error::Result;
use crate::forge::{Packet, ordinary_options};
use crate::packet::TcpFlags;

/// What a SYN has beside the plugin's settings.
#[derive(Debug, Clone, Copy)]
pub struct Opening {
    /// Our end.
    pub local: SocketAddr,
    /// The target's.
    pub remote: SocketAddr,
    /// Its sequence number.
    pub sequence: u32,
    /// Octets of the largest packet that the interface takes.
    pub mtu: u32,
}

impl Opening {
    /// The SYN.
    ///
    /// # Errors
    ///
    /// Its ends are of different versions of IP.
    pub fn syn(self, settings: &Settings<'_>) -> Result<Vec<u8>> {
        let packet = Packet::to(self.remote.ip())
            .source(self.local.ip())
            .dscp(settings.dscp.unwrap_or(0))
            .ecn(settings.ecn.unwrap_or(0))
            .ttl(settings.ttl.unwrap_or(64));
        let segment = packet
            .tcp(self.remote.port())
            .source_port(self.local.port())
            .sequence(self.sequence)
            .flags(TcpFlags::SYN.and(settings.tcp_flags.unwrap_or_default()));
        let segment = match settings.tcp_options {
            Some(octets) => segment.options(octets),
            None => segment.options(&ordinary_options(self.mss(settings))),
        };
        segment.bytes()
    }

    /// What an ordinary SYN announces: what the interface takes, unless the plugin asked for something else.
    fn mss(self, settings: &Settings<'_>) -> u16 {
        // Headers without options (RFC 6691, section 2).
        let headers = if self.remote.ip().to_canonical().is_ipv4() { 40 } else { 60 };
        let size = settings.mss.unwrap_or(self.mtu.saturating_sub(headers));
        u16::try_from(size).unwrap_or(u16::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Connect, testing};

    const ENDS: [[&str; 2]; 2] =
        [["192.0.2.7:4000", "198.51.100.1:80"], ["[2001:db8::7]:4000", "[2001:db8::1]:80"]];

    fn made(connect: &Connect, [local, remote]: [&str; 2]) -> Vec<u8> {
        let (local, remote) = (local.parse().unwrap(), remote.parse().unwrap());
        let opening = Opening { local, remote, sequence: 77, mtu: 1500 };
        opening.syn(&Settings::read(connect).unwrap()).unwrap()
    }

    #[test]
    fn an_ordinary_syn_is_that_of_linux() {
        for (ends, size) in ENDS.into_iter().zip([1460, 1440]) {
            let octets = made(&Connect::syn(), ends);
            let packet = testing::packet(&octets).unwrap();
            let tcp = packet.tcp().unwrap();
            assert_eq!((tcp.flags(), tcp.sequence(), packet.ip().ecn()), (TcpFlags::SYN, 77, 0));
            assert_eq!((tcp.source_port(), tcp.destination_port()), (4000, 80));
            let kinds: Vec<u8> = tcp.options().map(|option| option.kind).collect();
            assert_eq!(kinds, [2, 4, 8, 3]);
            assert_eq!(tcp.option(2).unwrap().data, u16::to_be_bytes(size));
        }
    }

    #[test]
    fn a_syn_has_what_was_asked_for() {
        let connect = Connect::syn()
            .tcp_flags(TcpFlags::ECE.and(TcpFlags::CWR))
            .tcp_options(&[2, 4, 5, 0xb4, 34, 2])
            .ecn(3)
            .dscp(46);
        for ends in ENDS {
            let octets = made(&connect, ends);
            let packet = testing::packet(&octets).unwrap();
            let tcp = packet.tcp().unwrap();
            assert_eq!(tcp.flags(), TcpFlags::SYN | TcpFlags::ECE | TcpFlags::CWR);
            assert_eq!((packet.ip().ecn(), packet.ip().dscp()), (3, 46));
            assert_eq!(&octets[octets.len() - 8..], [2, 4, 5, 0xb4, 34, 2, 0, 0]);
        }
        let octets = made(&Connect::syn().mss(600), ENDS[0]);
        assert_eq!(octets[40..44], [2, 4, 2, 88]);
    }
}
