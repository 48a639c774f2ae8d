//! Packets made by another library, edited, and read again by it: every edit does what it says,
//! and every checksum is right after it.

use etherparse::{IpNumber, PacketBuilder, TcpOptionElement};

use super::*;

const OPTIONS: [TcpOptionElement; 5] = [
    TcpOptionElement::MaximumSegmentSize(1460),
    TcpOptionElement::SelectiveAcknowledgementPermitted,
    TcpOptionElement::Timestamp(1, 0),
    TcpOptionElement::Noop,
    TcpOptionElement::WindowScale(7),
];

fn ip(ipv6: bool) -> etherparse::PacketBuilderStep<etherparse::IpHeaders> {
    if ipv6 {
        let (mut from, mut to) = ([0; 16], [0; 16]);
        (from[0], from[15], to[0], to[15]) = (0xfd, 1, 0xfd, 2);
        PacketBuilder::ipv6(from, to, 64)
    } else {
        PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
    }
}

/// A SYN that asks for ECN.
fn syn(ipv6: bool, data: &[u8]) -> Packet {
    let step = ip(ipv6).tcp(40_000, 80, 1000, 64_000).syn().ece().cwr().options(&OPTIONS).unwrap();
    let mut bytes = Vec::new();
    step.write(&mut bytes, data).unwrap();
    Packet::parse(bytes).unwrap()
}

fn datagram(ipv6: bool) -> Packet {
    let mut bytes = Vec::new();
    ip(ipv6).udp(5000, 53).write(&mut bytes, b"odd").unwrap();
    Packet::parse(bytes).unwrap()
}

/// Runs a check on both versions.
fn both(check: impl Fn(bool)) {
    check(false);
    check(true);
}

#[test]
fn readers_read() {
    both(|ipv6| {
        let packet = syn(ipv6, b"data");
        assert!(packet.checksums_are_right() && packet.is_syn() && packet.is_tcp());
        assert_eq!(packet.ports(), Some((40_000, 80)));
        assert_eq!(packet.tcp_flags(), Some(flag::SYN | flag::ECE | flag::CWR));
        assert_eq!((packet.ttl(), packet.traffic_class(), packet.data()), (64, 0, &b"data"[..]));
        assert_eq!(packet.is_ipv6(), ipv6);
    });
}

#[test]
fn header_edits_mend_checksums() {
    both(|ipv6| {
        let mut packet = syn(ipv6, b"x");
        packet.set_ttl(3);
        packet.set_traffic_class(0xba);
        packet.set_tcp_flags(flag::SYN);
        assert_eq!((packet.ttl(), packet.traffic_class()), (3, 0xba));
        assert_eq!(packet.tcp_flags(), Some(flag::SYN));
        assert!(packet.checksums_are_right());
    });
}

#[test]
fn addresses_and_ports_are_rewritten() {
    both(|ipv6| {
        for mut packet in [syn(ipv6, b"x"), datagram(ipv6)] {
            let to: IpAddr =
                if ipv6 { "2001:db8::9".parse().unwrap() } else { [192, 0, 2, 9].into() };
            packet.set_source(to, Some(7));
            packet.set_destination(to, Some(8));
            assert_eq!((packet.source(), packet.destination()), (to, to));
            assert_eq!(packet.ports(), Some((7, 8)));
            assert!(packet.checksums_are_right());
        }
    });
}

#[test]
fn checksums_are_left_wrong_when_told_to() {
    let mut packet = syn(false, b"");
    packet.leave_checksums(true);
    packet.set_tcp_flags(flag::SYN);
    assert!(!packet.checksums_are_right());
}

#[test]
fn a_wrong_checksum_stays_wrong() {
    let mut bytes = syn(false, b"").into_bytes();
    bytes[36] ^= 0xff;
    let mut packet = Packet::parse(bytes).unwrap();
    packet.set_tcp_flags(flag::SYN);
    assert!(!packet.checksums_are_right());
}

#[test]
fn an_option_is_blanked_in_place_or_removed() {
    both(|ipv6| {
        let mut blanked = syn(ipv6, b"data");
        let length = blanked.bytes().len();
        blanked.blank_tcp_option(8);
        assert_eq!(blanked.bytes().len(), length);
        let mut removed = syn(ipv6, b"data");
        let options: Vec<_> =
            removed.parsed_tcp_options().into_iter().filter(|option| option.kind != 8).collect();
        removed.set_tcp_options(&options);
        assert_eq!(removed.bytes().len(), length - 8);
        for packet in [blanked, removed] {
            let kinds: Vec<u8> = packet.parsed_tcp_options().iter().map(|o| o.kind).collect();
            assert_eq!(kinds, [2, 4, 3]);
            assert_eq!(packet.data(), b"data");
            assert!(packet.checksums_are_right());
            assert!(etherparse::SlicedPacket::from_ip(packet.bytes()).is_ok());
        }
    });
}

#[test]
fn the_mss_is_clamped_downwards_only() {
    both(|ipv6| {
        let mss = |packet: &Packet| packet.parsed_tcp_options()[0].value.clone();
        let mut packet = syn(ipv6, b"");
        packet.clamp_mss(9000);
        assert_eq!(mss(&packet), 1460_u16.to_be_bytes());
        packet.clamp_mss(1200);
        assert_eq!(mss(&packet), 1200_u16.to_be_bytes());
        assert!(packet.checksums_are_right());
    });
}

#[test]
fn syn_data_is_split_into_a_segment_of_its_own() {
    both(|ipv6| {
        let mut packet = syn(ipv6, b"data");
        let segment = packet.split_syn_data().unwrap();
        assert_eq!((packet.data(), segment.data()), (&b""[..], &b"data"[..]));
        assert_eq!(segment.tcp_numbers().unwrap().0, 1001);
        assert!(packet.checksums_are_right() && segment.checksums_are_right());
        assert!(packet.split_syn_data().is_none());
    });
}

#[test]
fn a_zero_udp_checksum_stays_through_edits_until_filled() {
    let mut packet = datagram(false);
    packet.set_udp_checksum(true);
    packet.set_source([10, 9, 9, 9].into(), None);
    assert_eq!(packet.udp_checksum(), Some(0));
    packet.set_udp_checksum(false);
    assert_ne!(packet.udp_checksum(), Some(0));
    assert!(packet.checksums_are_right());
}

#[test]
fn the_evil_bit_is_set_and_cleared() {
    let mut packet = syn(false, b"");
    for evil in [true, true, false] {
        packet.set_evil(evil);
        assert!(packet.is_evil() == evil && packet.checksums_are_right());
    }
    let mut ipv6 = syn(true, b"");
    ipv6.set_evil(true);
    assert!(!ipv6.is_evil() && ipv6.checksums_are_right());
}

#[test]
fn an_icmp_error_quotes_what_it_is_told_to() {
    both(|ipv6| {
        let packet = syn(ipv6, &[0; 1400]);
        let router = packet.destination();
        for (quote, length) in [
            (Quote::Bytes(28), 28),
            (Quote::Most, if ipv6 { 1280 - 48 } else { 576 - 28 }),
            (Quote::Bytes(9000), packet.bytes().len()),
        ] {
            let error = packet.icmp_error(router, IcmpError::AdminProhibited, 0, quote).unwrap();
            assert_eq!((error.source(), error.destination()), (router, packet.source()));
            assert_eq!(error.data(), &packet.bytes()[..length]);
            assert!(error.checksums_are_right());
            let icmp = &error.bytes()[error.transport..];
            assert_eq!(icmp[..2], if ipv6 { [1, 1] } else { [3, 13] });
            let again = error.icmp_error(router, IcmpError::NetUnreachable, 0, quote);
            assert_eq!(again, None, "no error about an error");
        }
    });
}

#[test]
fn a_reset_answers_as_the_other_end_would() {
    both(|ipv6| {
        let packet = syn(ipv6, b"");
        let reset = packet.reset().unwrap();
        assert_eq!(reset.tcp_flags(), Some(flag::RST | flag::ACK));
        assert_eq!(reset.tcp_numbers(), Some((0, 1001)));
        assert_eq!(reset.source(), packet.destination());
        assert!(reset.checksums_are_right());
        assert_eq!(reset.reset(), None);
        assert_eq!(datagram(ipv6).reset(), None);
    });
}

#[test]
fn a_later_fragment_has_no_transport_header() {
    let mut bytes = syn(false, b"data").into_bytes();
    (bytes[6], bytes[7]) = (0, 10);
    let packet = Packet::parse(bytes).unwrap();
    assert!(packet.is_fragment());
    assert_eq!(
        (packet.protocol(), packet.ports(), packet.tcp_flags()),
        (IpNumber::TCP, None, None)
    );
}

#[test]
fn nonsense_is_refused_or_read_as_far_as_it_goes() {
    assert_eq!(Packet::parse(vec![]), None);
    assert_eq!(Packet::parse(vec![0x45; 10]), None);
    let whole = syn(false, b"data").into_bytes();
    for length in 20..whole.len() {
        let mut packet = Packet::parse(whole[..length].to_vec()).unwrap();
        packet.set_ttl(1);
        packet.set_tcp_flags(0);
        packet.blank_tcp_option(8);
        packet.clamp_mss(100);
        packet.set_tcp_options(&[]);
        packet.take_data();
        let _ = packet.reset();
    }
}

#[test]
fn fragments_are_put_together_by_another_library() {
    both(|ipv6| {
        for packet in [syn(ipv6, b"0123456789"), datagram(ipv6)] {
            let fragments = packet.fragments(8);
            assert_eq!(fragments.len(), (packet.bytes().len() - packet.transport).div_ceil(8));
            let mut pool = etherparse::defrag::IpDefragPool::<(), ()>::new();
            let mut whole = None;
            for fragment in &fragments {
                assert!(fragment.is_fragment() && fragment.checksums_are_right());
                let sliced = etherparse::SlicedPacket::from_ip(fragment.bytes()).unwrap();
                whole = whole.or(pool.process_sliced_packet(&sliced, (), ()).unwrap());
            }
            assert_eq!(whole.unwrap().payload, packet.bytes()[packet.transport..]);
        }
        assert_eq!(datagram(ipv6).fragments(400), [datagram(ipv6)]);
    });
}

#[test]
fn segments_have_their_own_numbers_and_sums() {
    both(|ipv6| {
        let segments = syn(ipv6, b"abcde").segments(2);
        let data: Vec<&[u8]> = segments.iter().map(Packet::data).collect();
        assert_eq!(data, [&b"ab"[..], b"cd", b"e"]);
        let numbers: Vec<u32> = segments.iter().map(|one| one.tcp_numbers().unwrap().0).collect();
        assert_eq!(numbers, [1000, 1002, 1004]);
        assert!(segments.iter().all(Packet::checksums_are_right));
        assert_eq!(syn(ipv6, b"").segments(1), [syn(ipv6, b"")]);
        assert_eq!(datagram(ipv6).segments(1), [datagram(ipv6)]);
    });
}

#[test]
fn a_surplus_is_no_data_and_its_checksum_is_not_udps() {
    both(|ipv6| {
        let plain = datagram(ipv6);
        let mut bytes = plain.bytes().to_vec();
        bytes.extend([0, 1, 2, 3, 4]);
        let mut with = Packet::parse(bytes).unwrap();
        with.set_ip_length();
        with.compute_header_checksum();
        assert_eq!((with.data(), with.surplus()), (&b"odd"[..], &[0, 1, 2, 3, 4][..]));
        assert_eq!(with.whole_checksum_is_right(), Some(false));
        assert!(with.checksums_are_right() && plain.whole_checksum_is_right() == Some(true));
        with.set_source(if ipv6 { "fd00::9" } else { "10.0.0.9" }.parse().unwrap(), Some(7));
        with.set_udp_checksum(false);
        assert!(with.checksums_are_right());
        with.strip_surplus();
        assert!(with.surplus().is_empty() && with.checksums_are_right());
        assert_eq!(with.bytes().len(), plain.bytes().len());
    });
}

#[test]
fn nops_and_extension_headers_are_counted() {
    let mut packet = syn(true, b"");
    assert_eq!((packet.nops(), packet.extensions_size()), (Some(1), Some(0)));
    packet.splice_tcp_options(&[1, 1, 1, 253, 4, 1, 1, 1, 0, 1, 1, 1]);
    assert_eq!(packet.nops(), Some(4), "those in a value, and behind the end, are none");
    let mut bytes = packet.into_bytes();
    // Hop-by-hop, destination options, TCP.
    let headers = [60, 0, 0x1e, 4, 0, 0, 0, 0, 6, 0, 0x1e, 4, 0, 0, 0, 0];
    bytes.splice(40..40, headers);
    (bytes[6], bytes[5]) = (0, bytes[5] + 16);
    let packet = Packet::parse(bytes).unwrap();
    assert!(packet.has_extension(0) && packet.has_extension(60) && !packet.has_extension(44));
    assert_eq!((packet.extensions_size(), packet.is_syn()), (Some(16), true));
    assert!(packet.checksums_are_right());
    assert!(!syn(false, b"").has_extension(0));
}
