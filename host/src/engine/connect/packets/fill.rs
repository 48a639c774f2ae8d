//! Fills in what a forged packet's plugin could not know, and reads what the host goes by.

use std::net::IpAddr;

use pathspider_plugin_api::forge::checksum::{mended, mended_udp};
use pathspider_plugin_api::packet::{Direction, Packet, protocol};

use pathspider_observer::{Dissected, packet};
use pathspider_plugins::asked::{Header, dissected};

fn view<'a>(dissected: &Dissected<'a>) -> Packet<'a> {
    packet(dissected, 0, Direction::Forward)
}

/// Puts source address and port where they are missing, and mends the checksums by the difference
/// (RFC 1624), so that a wrong one stays wrong and none stays none.
pub(in crate::engine::connect) fn fill(
    bytes: &mut [u8],
    header: &Header,
    source: IpAddr,
    port: u16,
) {
    if header.source.is_unspecified() {
        match source {
            IpAddr::V4(address) => put(bytes, header, 12, &address.octets()),
            IpAddr::V6(address) => put(bytes, header, 8, &address.octets()),
        }
    }
    if let (Some(at), Some((0, _))) = (header.transport, header.ports) {
        put(bytes, header, at, &port.to_be_bytes());
    }
}

/// Replaces octets, and mends every checksum that covers them.
fn put(bytes: &mut [u8], header: &Header, at: usize, new: &[u8]) {
    let Some(place) = bytes.get(at..at + new.len()) else { return };
    // No field is longer than an address.
    let mut old = [0; 16];
    let old = &mut old[..new.len()];
    old.copy_from_slice(place);
    let is_v6 = header.destination.is_ipv6();
    // Of the IP header, what is in the transport's checksum is the addresses.
    if let Some(transport) = header.transport {
        let found = match (header.protocol, is_v6) {
            (protocol::TCP, _) => Some(16),
            (protocol::UDP | protocol::UDP_LITE, _) => Some(6),
            (protocol::ICMPV6, true) => Some(2),
            _ => None,
        };
        if let Some(offset) = found {
            let is_udp = header.protocol == protocol::UDP;
            let mend = if is_udp { mended_udp } else { mended };
            rewrite(bytes, transport + offset, |sum| mend(sum, old, new));
        }
    }
    if !is_v6 && at < 20 && bytes[10..12] != [0, 0] {
        rewrite(bytes, 10, |sum| mended(sum, old, new));
    }
    bytes[at..at + new.len()].copy_from_slice(new);
}

fn rewrite(bytes: &mut [u8], at: usize, change: impl FnOnce(u16) -> u16) {
    if let Some(field) = bytes.get_mut(at..at + 2) {
        let sum = u16::from_be_bytes([field[0], field[1]]);
        field.copy_from_slice(&change(sum).to_be_bytes());
    }
}

/// Whether a packet opens a TCP connection.
pub(super) fn opens(bytes: &[u8]) -> bool {
    dissected(bytes).is_ok_and(|packet| packet.opening.is_some())
}

/// The sequence number after a TCP segment (RFC 9293, section 3.4).
pub(super) fn sequence_end(bytes: &[u8]) -> Option<u32> {
    let dissected = dissected(bytes).ok()?;
    let packet = view(&dissected);
    let tcp = packet.tcp()?;
    let flags = tcp.flags().byte() & 0b11;
    Some(tcp.sequence().wrapping_add(packet.payload_length()).wrapping_add(flags.count_ones()))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use std::time::Duration;

    use pathspider_plugin_api::forge::checksum;
    use pathspider_plugin_api::{Connect, forge};
    use pathspider_plugins::asked::packets;

    use super::*;

    const PAIRS: [(&str, &str); 2] =
        [("192.0.2.1", "198.51.100.7"), ("2001:db8::1", "2001:db8::7")];

    fn filled(mut bytes: Vec<u8>, source: IpAddr) -> Vec<u8> {
        let connect = Connect::packets(vec![bytes.clone()], Duration::from_secs(1));
        let header = packets(&connect).unwrap()[0];
        fill(&mut bytes, &header, source, 40_000);
        bytes
    }

    #[test]
    fn what_is_filled_in_is_as_if_it_had_been_there() {
        for (target, source) in PAIRS.map(|(a, b)| (a.parse().unwrap(), b.parse().unwrap())) {
            let packet = forge::Packet::to(target).identification(7);
            let segment = packet.clone().tcp(80).sequence(9).payload(b"odd");
            let datagram = packet.clone().udp(53, b"hello");
            let none = datagram.clone().checksum_zero();
            let from = packet.source(source);
            let expected =
                from.clone().tcp(80).sequence(9).payload(b"odd").source_port(40_000).bytes();
            assert_eq!(filled(segment.bytes().unwrap(), source), expected.unwrap());
            let expected = from.udp(53, b"hello").source_port(40_000);
            assert_eq!(filled(datagram.bytes().unwrap(), source), expected.bytes().unwrap());
            let expected = expected.checksum_zero().bytes().unwrap();
            assert_eq!(filled(none.bytes().unwrap(), source), expected);
        }
    }

    #[test]
    fn what_is_there_stays() {
        let (target, source) = ("192.0.2.1".parse().unwrap(), "192.0.2.9".parse().unwrap());
        let bytes = forge::Packet::to(target).source(source).udp(53, &[]).source_port(9);
        let bytes = bytes.bytes().unwrap();
        assert_eq!(filled(bytes.clone(), "198.51.100.7".parse().unwrap()), bytes);
    }

    #[test]
    fn a_wrong_checksum_stays_wrong() {
        let [(target, source), _] = PAIRS;
        let mut bytes = forge::Packet::to(target.parse().unwrap()).tcp(80).bytes().unwrap();
        bytes[36] ^= 1;
        let filled = filled(bytes, source.parse().unwrap());
        let right = {
            let mut segment = filled[20..].to_vec();
            segment[16..18].fill(0);
            checksum::of(&[&filled[12..20], &[0, 6, 0, 20], &segment])
        };
        assert_eq!(u16::from_be_bytes([filled[36], filled[37]]) ^ right, 0x0100);
    }

    #[test]
    fn a_syn_opens_and_takes_a_sequence_number() {
        let packet = forge::Packet::to("192.0.2.1".parse().unwrap());
        let syn = packet.clone().tcp_syn(80).sequence(u32::MAX).payload(b"ab").bytes().unwrap();
        assert!(opens(&syn));
        assert_eq!(sequence_end(&syn), Some(2));
        assert!(!opens(&packet.tcp(80).bytes().unwrap()));
    }
}
