//! What is built is read back by etherparse, which knows nothing of the builder.

use etherparse::{NetHeaders, PacketHeaders, TransportHeader};

use super::*;
use crate::packet::TcpFlags;
use crate::{Job, Record};

const V4: &str = "192.0.2.1";
const V6: &str = "2001:db8::1";

fn to(target: &str) -> Packet {
    let source = if target == V4 { "198.51.100.7" } else { "2001:db8::7" };
    Packet::to(target.parse().unwrap()).source(source.parse().unwrap())
}

fn read(bytes: &[u8]) -> PacketHeaders<'_> {
    let headers = PacketHeaders::from_ip_slice(bytes).unwrap();
    if let Some(NetHeaders::Ipv4(ip, _)) = &headers.net {
        assert_eq!(ip.header_checksum, ip.calc_header_checksum());
        assert_eq!(usize::from(ip.total_len), bytes.len());
    }
    headers
}

/// Whether the transport's checksum is the right one, by etherparse.
fn is_right(headers: &PacketHeaders<'_>) -> bool {
    let payload = headers.payload.slice();
    match (&headers.net, &headers.transport) {
        (Some(NetHeaders::Ipv4(ip, _)), Some(TransportHeader::Tcp(tcp))) => {
            tcp.calc_checksum_ipv4(ip, payload) == Ok(tcp.checksum)
        }
        (Some(NetHeaders::Ipv6(ip, _)), Some(TransportHeader::Tcp(tcp))) => {
            tcp.calc_checksum_ipv6(ip, payload) == Ok(tcp.checksum)
        }
        (Some(NetHeaders::Ipv4(ip, _)), Some(TransportHeader::Udp(udp))) => {
            udp.calc_checksum_ipv4(ip, payload) == Ok(udp.checksum)
        }
        (Some(NetHeaders::Ipv6(ip, _)), Some(TransportHeader::Udp(udp))) => {
            udp.calc_checksum_ipv6(ip, payload) == Ok(udp.checksum)
        }
        _ => false,
    }
}

#[test]
fn a_syn_is_what_was_asked_for() {
    for target in [V4, V6] {
        let syn = to(target).dscp(46).ecn(1).ttl(7).tcp_syn(80).mss(1460).option(4, &[]);
        let bytes = syn.source_port(4000).sequence(77).payload(b"odd").bytes().unwrap();
        let headers = read(&bytes);
        assert!(is_right(&headers), "{target}");
        let Some(TransportHeader::Tcp(tcp)) = &headers.transport else { panic!("{headers:?}") };
        assert!(tcp.syn && !tcp.ack && !tcp.rst);
        assert_eq!((tcp.source_port, tcp.destination_port, tcp.sequence_number), (4000, 80, 77));
        assert_eq!(tcp.options.as_slice(), [2, 4, 5, 180, 4, 2, 0, 0]);
        match &headers.net {
            Some(NetHeaders::Ipv4(ip, _)) => {
                assert_eq!((ip.dscp.value(), ip.ecn.value(), ip.time_to_live), (46, 1, 7));
                assert!(ip.dont_fragment);
                assert_ne!(ip.identification, 0);
            }
            Some(NetHeaders::Ipv6(ip, _)) => {
                assert_eq!((ip.traffic_class, ip.hop_limit), (46 << 2 | 1, 7));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_reserved_flag_is_the_first_bit() {
    let flags = |packet: Packet| packet.tcp_syn(80).bytes().unwrap()[6];
    assert_eq!(flags(to(V4)), 0x40);
    assert_eq!(flags(to(V4).reserved_flag(true)), 0xc0);
    assert_eq!(flags(to(V4).reserved_flag(true).dont_fragment(false)), 0x80);
    let (plain, evil) = (to(V6).tcp(80), to(V6).reserved_flag(true).tcp(80));
    assert_eq!(plain.bytes().unwrap(), evil.bytes().unwrap());
}

#[test]
fn a_datagram_has_a_checksum_or_none() {
    for target in [V4, V6] {
        let datagram = to(target).udp(53, b"hello");
        assert!(is_right(&read(&datagram.bytes().unwrap())), "{target}");
        let bytes = datagram.checksum_zero().bytes().unwrap();
        let Some(TransportHeader::Udp(udp)) = read(&bytes).transport else { panic!("{bytes:?}") };
        assert_eq!((udp.checksum, udp.destination_port, udp.length), (0, 53, 13));
    }
}

#[test]
fn a_checksum_that_comes_to_zero_is_written_as_all_ones() {
    let of = |payload: u16| {
        let bytes = to(V4).udp(53, &payload.to_be_bytes()).bytes().unwrap();
        u16::from_be_bytes([bytes[26], bytes[27]])
    };
    // This payload makes the sum of all words 0xffff.
    let payload = of(0);
    assert_eq!(of(payload), 0xffff);
}

#[test]
fn udp_options_stand_behind_the_datagram_and_have_both_checksums_right() {
    for target in [V4, V6] {
        for data in [&b"even"[..], b"odd"] {
            let surplus = udp_options(data.len(), &[1, 127, 6, 7, 8, 9, 10, 0]);
            assert!(is_udp_options(data.len(), &surplus));
            let bytes = to(target).udp(53, data).surplus(&surplus).bytes().unwrap();
            let at = if target == V4 { 20 } else { 40 };
            let length = usize::from(u16::from_be_bytes([bytes[at + 4], bytes[at + 5]]));
            assert_eq!((length, bytes.len()), (8 + data.len(), at + length + surplus.len()));
            // The datagram's own checksum, and that over all of the IP payload.
            let addresses = if target == V4 { &bytes[12..20] } else { &bytes[8..40] };
            for all in [&bytes[at..at + length], &bytes[at..]] {
                let sum = checksum::of_transport(addresses, 17, &[all]);
                assert!([0, u16::MAX].contains(&sum), "{target} {data:?}: {sum}");
            }
            let mut wrong = surplus.clone();
            wrong[data.len() % 2] ^= 1;
            assert!(!is_udp_options(data.len(), &wrong) && !is_udp_options(data.len(), &[]));
        }
    }
}

#[test]
fn extension_headers_stand_before_the_transport() {
    let hop = [0, 0x1e, 4, 0, 0, 0, 0];
    let packet = to(V6).flow_label(0x12345).extension(0, &hop).extension(60, &hop);
    let bytes = packet.tcp_syn(80).bytes().unwrap();
    assert_eq!((bytes[6], bytes[40], bytes[48]), (0, 60, 6));
    assert_eq!(bytes[1..4], [0x01, 0x23, 0x45]);
    assert_eq!(u16::from_be_bytes([bytes[4], bytes[5]]), 16 + 20);
    let sum = checksum::of_transport(&bytes[8..40], 6, &[&bytes[56..]]);
    assert_eq!(sum, 0, "the checksum covers the segment alone");
    let plain = to(V4).identification(1).extension(0, &hop).flow_label(9).raw(6, b"x");
    assert_eq!(plain.unwrap(), to(V4).identification(1).raw(6, b"x").unwrap());
}

#[test]
fn all_of_tcps_flags_can_be_set() {
    let bytes = to(V4).tcp(80).flags(TcpFlags(0x1ff)).bytes().unwrap();
    let Some(TransportHeader::Tcp(tcp)) = read(&bytes).transport else { panic!("{bytes:?}") };
    assert!(tcp.ns && tcp.cwr && tcp.ece && tcp.urg && tcp.ack && tcp.psh && tcp.rst && tcp.fin);
}

#[test]
fn the_urgent_pointer_is_under_the_checksum() {
    for target in [V4, V6] {
        let segment = to(target).tcp(80).flags(TcpFlags::ACK.and(TcpFlags::URG)).urgent(7);
        let bytes = segment.payload(b"urgent").bytes().unwrap();
        let headers = read(&bytes);
        assert!(is_right(&headers), "{target}");
        let Some(TransportHeader::Tcp(tcp)) = &headers.transport else { panic!("{headers:?}") };
        assert_eq!((tcp.urg, tcp.urgent_pointer), (true, 7));
    }
}

#[test]
fn a_request_names_its_host_and_whom_to_ask() {
    let host = crate::Host::standalone();
    let said = |target: &str, port, domain: Option<&str>| {
        let record = domain.map(|domain| Record::new().with("domain", domain));
        let job = Job::new(0, target.parse().unwrap(), port, record.unwrap_or_default());
        HttpRequest::get(&job, &host).octets().map(|octets| String::from_utf8(octets).unwrap())
    };
    let rest = format!("\r\nUser-Agent: {}\r\nConnection: close\r\n\r\n", host.user_agent());
    assert!(host.user_agent().contains(host.contact()));
    for (target, port, domain, name) in [
        (V4, 80, None, "192.0.2.1"),
        (V6, 80, Some(""), "[2001:db8::1]"),
        (V6, 8080, None, "[2001:db8::1]:8080"),
        (V4, 80, Some("www.example.org"), "www.example.org"),
        (V4, 81, Some("www.example.org"), "www.example.org:81"),
    ] {
        let expected = format!("GET / HTTP/1.1\r\nHost: {name}{rest}");
        assert_eq!(said(target, port, domain).unwrap(), expected);
    }
    for domain in ["a b", "a\r\nX: y", "a/b", "ä.example"] {
        assert!(said(V4, 80, Some(domain)).unwrap_err().message().contains("HTTP Host"));
    }
    let job = Job::new(0, V4.parse().unwrap(), 80, Record::new());
    for (name, value) in [("", "x"), ("X Y", "x"), ("X", "a\r\nY: z"), ("X", "\u{7f}")] {
        let request = HttpRequest::get(&job, &host).header(name, value);
        assert!(request.octets().is_err(), "{name:?}: {value:?}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    assert!(to(V4).tcp(80).option(253, &[0; 38]).bytes().is_ok());
    assert!(to(V4).tcp(80).option(253, &[0; 39]).bytes().is_err());
    assert!(to(V4).tcp(80).option(253, &[0; 300]).bytes().is_err());
    assert!(to(V4).udp(53, &[0; 65_507]).bytes().is_ok());
    assert!(to(V4).udp(53, &[0; 65_508]).bytes().is_err());
    let mixed = Packet::to(V4.parse().unwrap()).source(V6.parse().unwrap());
    assert!(mixed.raw(17, &[]).is_err());
}

#[test]
fn checksums_are_mended_by_the_difference() {
    let octets = [0x45, 0x00, 0xff, 0xff, 0x12, 0x34, 0x00, 0x00];
    let right = checksum::of(&[&octets]);
    for new in [[0u8, 0], [0xff, 0xff], [0x80, 1]] {
        let mut changed = octets;
        changed[2..4].copy_from_slice(&new);
        let mended = checksum::mended(right, &octets[2..4], &new);
        assert_eq!(mended, checksum::of(&[&changed]), "{new:?}");
        let off = checksum::mended(right ^ 0x0100, &octets[2..4], &new);
        assert_ne!(off, mended, "a wrong one stays wrong");
    }
    assert_eq!(checksum::mended_udp(0, &[1, 2], &[3, 4]), 0, "none stays none");
    assert_eq!(checksum::mended_udp(0x0202, &[0, 0], &[2, 2]), 0xffff);
}

#[test]
fn a_query_is_a_question() {
    let query = dns_query("lab.example.", 0x1234).unwrap();
    assert_eq!(query, b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03lab\x07example\0\0\x01\0\x01");
    assert_eq!(dns_query(".", 1).unwrap()[12..], [0, 0, 1, 0, 1]);
    assert_eq!(dns_query("", 1).unwrap(), dns_query(".", 1).unwrap());
    assert!(dns_query("a..b", 1).is_err());
    assert!(dns_query(&"x".repeat(64), 1).is_err());
    assert!(dns_query(&["x"; 127].join("."), 1).is_ok());
    assert!(dns_query(&["x"; 128].join("."), 1).is_err());
}

#[test]
fn a_query_is_padded_to_its_size() {
    for octets in [44, 512, 1452] {
        let query = padded_dns_query("lab.example", 7, octets).unwrap();
        assert_eq!((query.len(), &query[10..12]), (octets, &[0, 1][..]));
        // The record's data are all that is left, and the option all but its own head.
        let word = |at: usize| usize::from(u16::from_be_bytes([query[at], query[at + 1]]));
        let at = dns_query("lab.example", 7).unwrap().len();
        assert_eq!((query[at], word(at + 1)), (0, 41));
        assert_eq!(
            (word(at + 9), word(at + 11), word(at + 13)),
            (octets - at - 11, 12, octets - at - 15)
        );
    }
    assert!(padded_dns_query("lab.example", 7, 43).is_err());
}

#[test]
fn random_numbers_differ() {
    let numbers: std::collections::HashSet<u32> = (0..100).map(|_| random()).collect();
    assert!(numbers.len() > 95);
}

#[test]
fn checksums_of_packets_made_by_hand_are_filled_in() {
    for target in ["192.0.2.1", "2001:db8::1"].map(|text| text.parse::<IpAddr>().unwrap()) {
        let packets = [
            Packet::to(target).tcp_syn(80).bytes().unwrap(),
            Packet::to(target).udp(53, b"abc").bytes().unwrap(),
        ];
        for packet in packets {
            let header = if target.is_ipv4() { 20 } else { 40 };
            let at = header + if packet[packet.len() - 3..] == *b"abc" { 6 } else { 16 };
            let mut without = packet.clone();
            without[at..at + 2].fill(0);
            if target.is_ipv4() {
                without[10..12].fill(0);
            }
            fill_checksums(&mut without);
            assert_eq!(without, packet);
        }
    }
    for cut in [&b""[..], &[0x45; 19], &[0x4f; 30], &[0x60; 41]] {
        let mut same = cut.to_vec();
        fill_checksums(&mut same);
        assert_eq!(same.len(), cut.len());
    }
}
