//! What makes a flow, when it ends, and which packets belong to it.

#![allow(clippy::unwrap_used)] // a test fails by panicking

use crate::wire::*;
use std::io::Cursor;

use pathspider_observer::{Malformed, Settings, Source, SourceOptions};
use serde_json::json;

#[test]
fn both_directions_are_one_flow_of_whoever_spoke_first() {
    let seen = Capture::raw()
        .at(0, tcp(Back, SYN | ACK, &[], &[]))
        .at(1, tcp(There, ACK, &[], b"hello"))
        .observe(&["basic"]);
    let flow = seen.flow();
    assert_eq!((&flow["sip"], &flow["sp"]), (&json!("198.51.100.7"), &json!(80)));
    assert_eq!((&flow["pkt_fwd"], &flow["pkt_rev"]), (&json!(1), &json!(1)));
    assert_eq!((&flow["oct_fwd"], &flow["oct_rev"]), (&json!(40), &json!(45)));
}

#[test]
fn the_sender_of_a_syn_is_the_originator_also_where_its_answer_stands_first() {
    let answer = tcp_from(OUR_PORT, Back, SYN | ACK, (700, 1_001), &[], &[]);
    let syn = |sequence| tcp_from(OUR_PORT, There, SYN, (sequence, 0), &[], &[]);
    let third = tcp_from(OUR_PORT, There, ACK, (1_001, 701), &[], &[]);
    let capture = Capture::raw().at(3, answer.clone()).at(1, syn(1_000)).at(4, third);
    let seen = capture.observe(&["basic", "tcp", "syn"]);
    let flow = seen.flow();
    assert_eq!((&flow["sip"], &flow["sp"]), (&json!("192.0.2.1"), &json!(OUR_PORT)));
    assert_eq!((&flow["pkt_fwd"], &flow["pkt_rev"]), (&json!(2), &json!(1)));
    assert_eq!((&flow["tcp_connected"], &flow["syn_count_rev"]), (&json!(true), &json!(1)));
    assert_eq!((&flow["pkt_first"], seen.counters.flows), (&json!(1_700_000_000.001), 1));
    // It answers another SYN; and nobody's.
    let other = Capture::raw().at(3, answer.clone()).at(1, syn(5)).observe(&["basic"]);
    assert_eq!(other.flow()["sip"], "198.51.100.7");
    let twice = Capture::raw().at(3, answer.clone()).at(4, answer).observe(&["basic", "syn"]);
    assert_eq!(twice.flow()["syn_count_fwd"], 2);
}

#[test]
fn late_packets_of_a_complete_flow_count_until_it_is_emitted() {
    let seen = Capture::raw()
        .at(0, tcp(There, SYN, &[], &[]))
        .at(10, tcp(Back, RST | ACK, &[], &[]))
        .at(4_900, tcp(There, ACK, &[], &[]))
        .at(5_100, tcp(There, ACK, &[], &[]))
        .observe(&["basic", "tcp"]);
    let counts: Vec<_> = seen.flows.iter().map(|flow| flow["pkt_fwd"].clone()).collect();
    assert_eq!(counts, [json!(2), json!(1)]);
}

#[test]
fn a_silent_flow_ends_and_what_follows_is_another() {
    let capture = Capture::raw()
        .at(0, udp(There, b"a"))
        .at(29_000, udp(Back, b"b"))
        .at(59_500, udp(There, b"c"));
    assert_eq!(capture.observe(&["basic"]).flows.len(), 2);
    let patient = settings(31, 5, 100);
    assert_eq!(capture.observe_with(&["basic"], &patient).flows.len(), 1);
}

#[test]
fn a_syn_with_another_sequence_number_is_another_connection() {
    let syn = |sequence| tcp_from(OUR_PORT, There, SYN, (sequence, 0), &[], &[]);
    let seen = Capture::raw().at(0, syn(1)).at(5, syn(1)).at(9, syn(2)).observe(&["basic", "syn"]);
    let counts: Vec<_> = seen.flows.iter().map(|flow| flow["syn_count_fwd"].clone()).collect();
    assert_eq!(counts, [json!(2), json!(1)]);
}

#[test]
fn a_full_table_gives_up_the_flow_that_was_silent_for_longest() {
    let from = |port| tcp_from(port, There, ACK, (1, 1), &[], &[]);
    let seen = Capture::raw()
        .at(0, from(1))
        .at(1_000, from(2))
        .at(2_000, from(1))
        .at(3_000, from(3))
        .at(4_000, from(1))
        .observe_with(&["basic"], &settings(30, 5, 2));
    assert_eq!(seen.counters.evicted, 1);
    let ports: Vec<_> = seen.flows.iter().map(|flow| flow["sp"].clone()).collect();
    assert_eq!(ports, [json!(2), json!(1), json!(3)]);
    assert_eq!(seen.flows[1]["pkt_fwd"], 3);
}

#[test]
fn time_that_leaps_neither_hangs_nor_loses_flows() {
    let far = 70 * 365 * 86_400_000_i64;
    let seen = Capture::raw()
        .at(0, udp(There, b"a"))
        .at(far, udp(There, b"b"))
        .at(10, udp(There, b"c"))
        .at(far, tcp(There, SYN, &[], &[]))
        .observe(&["basic"]);
    assert_eq!(seen.flows.len(), 2, "one packet with a wrong time cuts no flow");
    assert_eq!(seen.flows[0]["pkt_fwd"], 3);
    assert_eq!(seen.counters.packets, 4);
    assert_eq!(seen.counters.clock_jumps, 1);
}

#[test]
fn a_clock_that_is_set_back_cuts_no_flow() {
    let hour = 3_600_000_000;
    let seen = Capture::raw()
        .at(hour, udp(There, b"a"))
        .at(hour + 1, udp(Back, b"b"))
        .at(2, udp(There, b"c"))
        .at(3, udp(Back, b"d"))
        .observe(&["basic"]);
    assert_eq!(seen.flow()["pkt_fwd"], 2);
    assert_eq!(seen.flow()["pkt_rev"], 2);
    assert_eq!(seen.counters.clock_jumps, 1);
}

#[test]
fn protocols_with_ports_and_those_without() {
    let packet = |protocol: u8| {
        let mut packet = vec![0x45, 0, 0, 32, 0, 0, 0, 0, 60, protocol, 0, 0];
        packet.extend(US);
        packet.extend(THEM);
        packet.extend([0x9c, 0x40, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0]);
        packet
    };
    for (protocol, port) in [(132, json!(40_000)), (136, json!(40_000)), (47, json!(null))] {
        let seen = Capture::raw().at(0, packet(protocol)).observe(&["basic"]);
        assert_eq!(seen.flow()["proto"], protocol);
        assert_eq!(seen.flow()["sp"], port, "{protocol}");
    }
}

#[test]
fn an_icmp_error_belongs_to_the_flow_it_quotes_however_little() {
    let syn = tcp(There, SYN, &[], &[]);
    for quoted in [&syn[..], &syn[..28], &syn[..24]] {
        let seen = Capture::raw()
            .at(0, syn.clone())
            .at(5, icmp(11, 0, quoted))
            .at(9, icmp(3, 1, quoted))
            .observe(&["basic", "icmp", "ecn"]);
        let flow = seen.flow();
        assert_eq!((&flow["pkt_fwd"], &flow["pkt_rev"]), (&json!(1), &json!(2)));
        assert_eq!(flow["icmp_unreachable"], true);
    }
    // Without the ports it names no flow, and is one of its own.
    let seen = Capture::raw().at(0, syn.clone()).at(5, icmp(3, 1, &syn[..22])).observe(&["icmp"]);
    assert_eq!(seen.flows.len(), 2);
}

/// A UDP datagram over IPv6 between two addresses, behind these extension headers.
fn v6(forward: bool, first: u8, extensions: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(((extensions.len() + payload.len()) as u16).to_be_bytes());
    packet.extend([first, 60]);
    let (us, them) = ([0x20; 16], [0x26; 16]);
    packet.extend(if forward { [us, them] } else { [them, us] }.concat());
    packet.extend(extensions);
    packet.extend(payload);
    packet
}

fn v6_udp(payload: usize) -> Vec<u8> {
    let mut datagram = vec![0x9c, 0x40, 0, 53];
    datagram.extend(((8 + payload) as u16).to_be_bytes());
    datagram.extend([1, 1]);
    datagram.resize(8 + payload, 7);
    datagram
}

#[test]
fn an_icmp_error_about_a_packet_with_extension_headers_finds_its_flow() {
    let hop_by_hop_then_destination = [[60, 0, 1, 4, 0, 0, 0, 0], [17, 0, 1, 4, 0, 0, 0, 0]];
    let sent = v6(true, 0, &hop_by_hop_then_destination.concat(), &v6_udp(4));
    let mut message = vec![1, 0, 0, 0, 0, 0, 0, 0];
    message.extend(&sent[..64]);
    let seen = Capture::raw()
        .at(0, sent.clone())
        .at(3, v6(false, 58, &[], &message))
        .observe(&["basic", "icmp"]);
    assert_eq!(seen.flow()["icmp_unreachable"], true);
    assert_eq!((&seen.flow()["proto"], &seen.flow()["dp"]), (&json!(17), &json!(53)));
}

#[test]
fn later_fragments_follow_the_first() {
    // A datagram of 24 octets in two fragments, IPv4.
    let whole = udp(There, &[9; 16]);
    let piece = |place: u16, part: &[u8]| {
        let mut packet = whole[..20].to_vec();
        packet[2..4].copy_from_slice(&((20 + part.len()) as u16).to_be_bytes());
        packet[4..8].copy_from_slice(&[0x12, 0x34, (place >> 8) as u8, place as u8]);
        packet.extend(part);
        packet
    };
    let (first, later) = (piece(0x2000, &whole[20..36]), piece(2, &whole[36..]));
    let seen = Capture::raw().at(0, first).at(1, later.clone()).observe(&["basic", "udp"]);
    assert_eq!((&seen.flow()["pkt_fwd"], &seen.flow()["sp"]), (&json!(2), &json!(40_000)));
    let ping = |place: u16, part: &[u8]| {
        let mut packet = piece(place, part);
        packet[9] = 1;
        packet
    };
    let parts = [ping(2, &[7; 8]), ping(0x2000, &[8, 0, 0, 0, 0, 1, 0, 1, 7, 7, 7, 7, 7, 7, 7, 7])];
    let [last, start] = parts;
    let seen = Capture::raw().at(0, last).at(1, start).observe(&["basic"]);
    assert_eq!((&seen.flow()["pkt_fwd"], seen.counters.orphaned), (&json!(2), 0), "without ports");
    // Alone, it has no ports, so no flow.
    let seen = Capture::raw().at(0, later).observe(&["basic"]);
    assert_eq!((seen.flows.len(), seen.counters.orphaned), (0, 1));

    let place = |bits: u16| [17, 0, (bits >> 8) as u8, bits as u8, 0, 0, 0, 5];
    let datagram = v6_udp(16);
    let seen = Capture::raw()
        .at(0, v6(true, 44, &place(1), &datagram[..16]))
        .at(1, v6(true, 44, &place(2 << 3), &datagram[16..]))
        .observe(&["basic"]);
    assert_eq!((&seen.flow()["pkt_fwd"], &seen.flow()["dp"]), (&json!(2), &json!(53)));
}

#[test]
fn a_packet_that_is_cut_behind_its_ports_has_a_flow() {
    let (syn, query) = (tcp(There, SYN, &[], &[]), udp(There, b"abc"));
    for (packet, kept) in [(&syn, 39), (&syn, 24), (&query, 24)] {
        let mut capture = Capture::raw().at(0, packet.clone()).file();
        let at = capture.len() - packet.len();
        // The octets that were captured, which the packet's header in the file says.
        capture[at - 8..at - 4].copy_from_slice(&(kept as u32).to_le_bytes());
        capture.truncate(at + kept);
        let source = Source::from_reader(Cursor::new(capture), "x", &SourceOptions::default());
        let seen = see(source.unwrap(), &["basic", "tcp"], &Settings::default());
        let flow = seen.flow();
        assert_eq!((&flow["sp"], &flow["pkt_fwd"]), (&json!(OUR_PORT), &json!(1)), "{kept}");
        assert_eq!(flow["oct_fwd"], packet.len(), "{kept}");
        assert_eq!(seen.counters.malformed_total(), 0);
    }
}

#[test]
fn malformed_packets_are_counted_by_kind_and_stop_nothing() {
    let good = tcp(There, SYN, &[], &[]);
    let with = |at: usize, value: u8| {
        let mut packet = good.clone();
        packet[at] = value;
        packet
    };
    let mut long_udp = udp(There, b"abc");
    long_udp[25] = 200;
    let seen = Capture::raw()
        .at(0, with(0, 0x44))
        .at(0, with(0, 0x75))
        .at(0, with(3, 19))
        .at(0, with(32, 0x40))
        .at(0, with(32, 0xf0))
        .at(0, long_udp)
        .at(0, v6(true, 0, &[17, 9, 0, 0, 0, 0, 0, 0], &[]))
        .at(0, with(9, 132)[..20].to_vec())
        .at(1, good.clone())
        .observe(&["basic"]);
    let counted = |kind| seen.counters.malformed(kind);
    assert_eq!(counted(Malformed::IpHeader), 2);
    assert_eq!(counted(Malformed::IpLength), 1);
    assert_eq!(counted(Malformed::CutShort), 1);
    assert_eq!(counted(Malformed::Tcp), 2);
    assert_eq!(counted(Malformed::Udp), 1);
    assert_eq!(counted(Malformed::Extension), 1);
    assert_eq!(seen.flow()["pkt_fwd"], 1);
    assert_eq!(seen.counters.packets, 9);
}
