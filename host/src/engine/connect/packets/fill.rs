//! Reads what a forged packet says of itself, and fills in what its plugin could not know.

use std::net::IpAddr;

use pathspider_plugin_api::forge::checksum::{self, mended, mended_udp};
use pathspider_plugin_api::packet::{Direction, Packet, protocol};

use pathspider_observer::{Dissected, Fragment, dissect, packet};

/// What a packet says of itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) protocol: u8,
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    /// Source and destination; `None` where there are none, as in later fragments.
    pub(super) ports: Option<(u16, u16)>,
    /// Where the transport header begins; `None` where it is in an earlier fragment.
    transport: Option<usize>,
}

/// Reads a packet.
///
/// # Errors
///
/// Why it cannot be sent as it is: the observer could not read it, or the kernel would change it.
pub(super) fn header(bytes: &[u8]) -> Result<Header, String> {
    let dissected = sliced(bytes)?;
    if dissected.ip_length as usize != bytes.len() {
        return Err(format!("its length says {}, and it has {}", dissected.ip_length, bytes.len()));
    }
    let view = view(&dissected);
    let is_v4 = !view.ip().is_v6();
    if is_v4 && bytes[10..12] != [0, 0] && checksum::of(&[dissected.ip]) != 0 {
        return Err("the kernel would put the right checksum into its IPv4 header".to_owned());
    }
    let is_later = matches!(dissected.fragment, Fragment::Later(_));
    if dissected.tuple.protocol == protocol::SCTP && dissected.tuple.source_port == 0 && !is_later {
        // The checksum of RFC 9260, section 6.8, is no sum that can be mended.
        return Err("no source port can be filled into SCTP".to_owned());
    }
    Ok(Header {
        protocol: dissected.tuple.protocol,
        source: view.ip().source(),
        destination: view.ip().destination(),
        ports: view.ports().filter(|_| !is_later),
        transport: (!is_later).then_some(dissected.ip.len()),
    })
}

fn sliced(bytes: &[u8]) -> Result<Dissected<'_>, String> {
    let mut dissected = Dissected::NONE;
    match dissect(bytes, bytes.len() as u32, &mut dissected) {
        Ok(()) => Ok(dissected),
        Err(kind) => Err(format!("it is malformed ({})", kind.name())),
    }
}

fn view<'a>(dissected: &Dissected<'a>) -> Packet<'a> {
    packet(dissected, 0, Direction::Forward)
}

/// Puts source address and port where they are missing, and mends the checksums by the difference
/// (RFC 1624), so that a wrong one stays wrong and none stays none.
pub(super) fn fill(bytes: &mut [u8], header: &Header, source: IpAddr, port: u16) {
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
    let old = place.to_vec();
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
            rewrite(bytes, transport + offset, |sum| mend(sum, &old, new));
        }
    }
    if !is_v6 && at < 20 && bytes[10..12] != [0, 0] {
        rewrite(bytes, 10, |sum| mended(sum, &old, new));
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
    sliced(bytes).is_ok_and(|dissected| dissected.opening.is_some())
}

/// The sequence number after a TCP segment (RFC 9293, section 3.4).
pub(super) fn sequence_end(bytes: &[u8]) -> Option<u32> {
    let dissected = sliced(bytes).ok()?;
    let packet = view(&dissected);
    let tcp = packet.tcp()?;
    let flags = tcp.flags().byte() & 0b11;
    Some(tcp.sequence().wrapping_add(packet.payload_length()).wrapping_add(flags.count_ones()))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use pathspider_plugin_api::forge;

    use super::*;

    const PAIRS: [(&str, &str); 2] =
        [("192.0.2.1", "198.51.100.7"), ("2001:db8::1", "2001:db8::7")];

    fn filled(mut bytes: Vec<u8>, source: IpAddr) -> Vec<u8> {
        let header = header(&bytes).unwrap();
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
    fn what_the_kernel_would_change_is_refused() {
        let good = forge::Packet::to("192.0.2.1".parse().unwrap()).tcp(80).bytes().unwrap();
        let refused = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = good.clone();
            change(&mut bytes);
            header(&bytes).unwrap_err()
        };
        assert!(refused(&|bytes| bytes[10] ^= 1).contains("checksum"));
        assert!(refused(&|bytes| bytes.push(0)).contains("length"));
        assert!(refused(&|bytes| bytes.truncate(30)).contains("malformed"));
        let mut without = good.clone();
        without[10..12].fill(0);
        assert!(header(&without).is_ok(), "the kernel fills it in");
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
