//! What the library chains say of captures that show one thing each.

#![allow(clippy::unwrap_used)] // a test fails by panicking

use crate::wire::*;
use etherparse::TcpOptionElement::{
    MaximumSegmentSize, Noop, SelectiveAcknowledgementPermitted, Timestamp, WindowScale,
};
use pathspider_observer::chains::Catalogue;
use serde_json::{Value, json};

const ALL: [&str; 17] = [
    "basic", "tcp", "ecn", "dscp", "mss", "tfo", "tcpopt", "udp", "icmp", "dns", "evil", "syn",
    "rtt", "accecn", "carrier", "quic", "noop",
];

/// A web connection with marks and options, closed by both.
fn connection() -> Capture {
    let options = [
        MaximumSegmentSize(1460),
        SelectiveAcknowledgementPermitted,
        Timestamp(1, 0),
        Noop,
        WindowScale(7),
    ];
    let mut marked = tcp(There, ACK, &[], b"GET / HTTP/1.1\r\n\r\n");
    marked[1] = 46 << 2 | 2;
    Capture::raw()
        .at(0, tcp(There, SYN | ECE | CWR, &options, &[]))
        .at(10, tcp(Back, SYN | ACK | ECE, &options[..2], &[]))
        .at(20, tcp(There, ACK, &[], &[]))
        .at(21, marked)
        .at(30, tcp(Back, ACK, &[], b"HTTP/1.1 204 No Content\r\n\r\n"))
        .at(31, tcp(Back, FIN | ACK, &[], &[]))
        .at(32, tcp(There, FIN | ACK, &[], &[]))
        .at(40, tcp(Back, ACK, &[], &[]))
}

#[test]
fn every_field_that_is_declared_is_written_in_its_type() {
    let seen = connection().observe(&ALL);
    let flow = seen.flow().as_object().unwrap();
    let catalogue = Catalogue::library();
    let mut declared = 2;
    for entry in catalogue.list() {
        for field in &entry.info.fields {
            declared += 1;
            let fits = match &flow[&field.name] {
                Value::Null => true,
                Value::Bool(_) => field.kind.name() == "bool",
                Value::Number(_) => field.kind.name() == "uint",
                Value::String(_) => field.kind.name() == "text",
                Value::Array(_) => field.kind.name() == "list",
                Value::Object(_) => false,
            };
            assert!(fits, "{}: {}", field.name, flow[&field.name]);
            assert!(!field.meaning.is_empty(), "{}", field.name);
        }
    }
    assert_eq!(flow.len(), declared);
}

#[test]
fn the_order_of_chains_does_not_matter() {
    // An unreachable target, a reset, DNS: something in it completes the flow for many chains.
    let syn = tcp(There, SYN, &[], &[]);
    let captures = [
        connection(),
        Capture::raw()
            .at(0, syn.clone())
            .at(1, icmp(3, 1, &syn))
            .at(2, tcp(Back, RST | ACK, &[], &[]))
            .at(3, tcp(There, SYN, &[], &[])),
    ];
    for capture in captures {
        let forward = capture.observe(&ALL).flows;
        let mut reversed = ALL;
        reversed.reverse();
        assert_eq!(capture.observe(&reversed).flows, forward);
        for chain in ALL {
            let alone = capture.observe(&[chain]);
            for (key, value) in alone.flow().as_object().unwrap() {
                assert_eq!(forward[0][key], *value, "{key}");
            }
        }
    }
}

#[test]
fn fins_are_the_right_way_round() {
    let seen = Capture::raw()
        .at(0, tcp(There, ACK, &[], &[]))
        .at(1, tcp(Back, FIN | ACK, &[], &[]))
        .observe(&["tcp"]);
    assert_eq!(seen.flow()["tcp_fin_rev"], true);
    assert_eq!(seen.flow()["tcp_fin_fwd"], false);
}

#[test]
fn a_handshake_is_three_packets() {
    let syn = tcp(There, SYN, &[], &[]);
    let answer = tcp(Back, SYN | ACK, &[], &[]);
    let half = Capture::raw().at(0, syn).at(1, answer);
    assert_eq!(half.observe(&["tcp"]).flow()["tcp_connected"], false);
    let refused = half.clone().at(2, tcp(There, RST | ACK, &[], &[]));
    assert_eq!(refused.observe(&["tcp"]).flow()["tcp_connected"], false);
    let whole = half.at(2, tcp(There, ACK, &[], &[]));
    assert_eq!(whole.observe(&["tcp"]).flow()["tcp_connected"], true);
}

#[test]
fn the_evil_chain_does_not_end_a_flow_at_its_second_data_packet() {
    let mut evil = udp(There, b"c");
    evil[6] |= 0x80;
    let seen = Capture::raw()
        .at(0, udp(There, b"a"))
        .at(1, udp(There, b"b"))
        .at(7_000, evil)
        .observe(&["basic", "evil"]);
    assert_eq!(seen.flow()["pkt_fwd"], 3);
    assert_eq!(seen.flow()["evilbit_data_fwd"], true);
    assert_eq!(seen.flow()["evilbit_syn_fwd"], json!(null));
}

#[test]
fn a_mark_bleached_to_zero_is_a_mark() {
    let mut sent = udp(There, b"a");
    sent[1] = 46 << 2;
    let seen = Capture::raw().at(0, sent).at(1, udp(Back, b"b")).observe(&["dscp"]);
    assert_eq!(seen.flow()["dscp_mark_data_fwd"], 46);
    assert_eq!(seen.flow()["dscp_mark_data_rev"], 0);
}

#[test]
fn marks_of_routers_are_not_the_targets() {
    let syn = tcp(There, SYN, &[], &[]);
    let mut error = icmp(11, 0, &syn);
    error[1] = 3;
    let seen = Capture::raw().at(0, syn).at(1, error).observe(&["ecn"]);
    assert_eq!(seen.flow()["ecn_ce_data_rev"], false);
}

#[test]
fn fast_open_sequence_numbers_wrap() {
    // Kind 34 with a cookie of eight octets, on a SYN with data whose acknowledgment wraps.
    let mut syn = tcp_from(OUR_PORT, There, SYN, (u32::MAX - 3, 0), &[], &[]);
    let cookie = [34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1];
    syn.splice(40.., cookie.into_iter().chain(*b"0123456789"));
    (syn[3], syn[32]) = (62, 0x80);
    let answer = tcp_from(OUR_PORT, Back, SYN | ACK, (5, 7), &[], &[]);
    let seen = Capture::raw().at(0, syn).at(1, answer).observe(&["tfo"]);
    let flow = seen.flow();
    assert_eq!((&flow["tfo_synkind"], &flow["tfo_synclen"]), (&json!(34), &json!(8)));
    assert_eq!((&flow["tfo_seq"], &flow["tfo_dlen"]), (&json!(u32::MAX - 3), &json!(10)));
    assert_eq!(flow["tfo_ack"], (u32::MAX - 3).wrapping_add(1 + 10));
}

#[test]
fn repeated_syns_are_all_told() {
    // What Linux does with tcp_ecn_fallback: the first SYN asks for ECN, the repeated one not.
    let seen = Capture::raw()
        .at(0, tcp(There, SYN | ECE | CWR, &[MaximumSegmentSize(1460), Timestamp(1, 0)], &[]))
        .at(1_000, tcp(There, SYN, &[MaximumSegmentSize(1460)], &[]))
        .observe(&["syn", "tcp"]);
    let flow = seen.flow();
    assert_eq!(flow["syn_count_fwd"], 2);
    assert_eq!((&flow["syn_flags_all_fwd"], &flow["syn_flags_any_fwd"]), (&json!(2), &json!(194)));
    assert_eq!(flow["syn_options_all_fwd"], json!([2]));
    assert_eq!(flow["syn_options_any_fwd"], json!([2, 8]));
    assert_eq!(flow["syn_flags_all_rev"], json!(null));
    assert_eq!(flow["tcp_synflags_fwd"], 194);
}

#[test]
fn agreed_options_are_those_of_the_answer() {
    let seen = connection().observe(&["tcpopt", "mss"]);
    let flow = seen.flow();
    assert_eq!((&flow["tcpopt_sack"], &flow["tcpopt_ts"]), (&json!(true), &json!(null)));
    assert_eq!((&flow["mss_value_fwd"], &flow["mss_len_rev"]), (&json!(1460), &json!(4)));
}

#[test]
fn a_response_with_another_identifier_is_not_valid() {
    let message = |id: u8, flags: u8| {
        let mut message = vec![id, 0, flags, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        message.extend([1, b'x', 0, 0, 1, 0, 1]);
        message
    };
    let asked = Capture::raw().at(0, udp(There, &message(1, 1)));
    let forged = asked.clone().at(1, udp(Back, &message(2, 0x81)));
    assert_eq!(forged.observe(&["dns"]).flow()["dns_response_valid"], false);
    let answered = forged.at(2, udp(Back, &message(1, 0x81)));
    assert_eq!(answered.observe(&["dns"]).flow()["dns_response_valid"], true);
}

#[test]
fn a_message_over_tcp_is_read_in_its_order() {
    let framed = |id: u8, flags: u8| {
        let mut message = vec![0, 19, 0, id, flags, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        message.extend([1, b'x', 0, 0, 1, 0, 1]);
        message
    };
    let says = |way: Way, octets: &[u8], size: usize| -> Vec<Vec<u8>> {
        let pieces = octets.chunks(size).enumerate();
        let number = |n: usize| (101 + (n * size) as u32, 0);
        pieces.map(|(n, data)| tcp_from(OUR_PORT, way, ACK, number(n), &[], data)).collect()
    };
    let begun = Capture::raw()
        .at(0, tcp_from(OUR_PORT, There, SYN, (100, 0), &[], &[]))
        .at(1, tcp_from(OUR_PORT, Back, SYN | ACK, (100, 101), &[], &[]));
    // Another one's response before ours.
    let answers = [framed(9, 0x81), framed(7, 0x81)].concat();
    for size in [1, 2, 16, 100] {
        for is_reversed in [false, true] {
            let mut packets =
                [says(There, &framed(7, 1), size), says(Back, &answers, size)].concat();
            if is_reversed {
                packets.reverse();
            }
            let at = |capture: Capture, packet: &Vec<u8>| capture.at(2, packet.clone());
            let seen = packets.iter().fold(begun.clone(), at).observe(&["dns"]);
            assert_eq!(seen.flow()["dns_response_valid"], true, "{size} {is_reversed}");
        }
    }
    let other = says(Back, &framed(9, 0x81), 100).remove(0);
    let seen =
        begun.at(2, says(There, &framed(7, 1), 100).remove(0)).at(3, other).observe(&["dns"]);
    assert_eq!(seen.flow()["dns_response_valid"], false);
}

#[test]
fn the_furthest_acknowledgment_counts_for_data_on_the_syn() {
    let mut syn = tcp_from(OUR_PORT, There, SYN, (1_000, 0), &[], &[]);
    let cookie = [34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1];
    syn.splice(40.., cookie.into_iter().chain(*b"0123456789"));
    (syn[3], syn[32]) = (62, 0x80);
    let answer = |acknowledged| tcp_from(OUR_PORT, Back, SYN | ACK, (5, acknowledged), &[], &[]);
    for order in [[1_001, 1_011], [1_011, 1_001]] {
        let [first, second] = order.map(answer);
        let capture = Capture::raw().at(0, syn.clone()).at(1, first).at(2, second);
        assert_eq!(capture.observe(&["tfo"]).flow()["tfo_ack"], 1_011);
    }
}

/// The first octets of the packets of RFC 9001, appendix A, which are all that is readable of them: the
/// client's Initial, the server's, and its Retry.
const QUIC_CLIENT: [u8; 18] =
    [0xc0, 0, 0, 0, 1, 8, 0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 8, 0, 0, 0x44, 0x9e];
const QUIC_SERVER: [u8; 18] =
    [0xcf, 0, 0, 0, 1, 0, 8, 0xf0, 0x67, 0xa5, 0x50, 0x2a, 0x42, 0x62, 0xb5, 0, 0x40, 0x75];
const QUIC_RETRY: [u8; 36] = [
    0xff, 0, 0, 0, 1, 0, 8, 0xf0, 0x67, 0xa5, 0x50, 0x2a, 0x42, 0x62, 0xb5, 0x74, 0x6f, 0x6b, 0x65,
    0x6e, 0x04, 0xa2, 0x65, 0xba, 0x2e, 0xff, 0x4d, 0x82, 0x90, 0x58, 0xfb, 0x3f, 0x0f, 0x24, 0x96,
    0xba,
];

#[test]
fn quic_reads_what_is_readable() {
    let filled = |head: &[u8], length: usize| [head, &vec![7; length - head.len()]].concat();
    let client = filled(&QUIC_CLIENT, 1200);
    // The server's Initial and a Handshake packet behind it, in one datagram.
    let mut handshake = filled(&[0xe0, 0, 0, 0, 1, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8, 20], 36);
    handshake[0] &= !0x40;
    let server = [filled(&QUIC_SERVER, 18 + 0x75), handshake].concat();
    let seen = Capture::raw()
        .at(0, udp(There, &client))
        .at(10, udp(Back, &QUIC_RETRY))
        .at(20, udp(There, &client))
        .at(30, udp(Back, &server))
        .at(40, udp(There, &[0x40, 1, 2, 3]))
        .at(41, udp(There, &[0x20, 1, 2, 3]))
        .at(50, udp(Back, &[0x60, 1, 2, 3]))
        .observe(&["quic"]);
    let flow = seen.flow();
    for (field, value) in [
        ("version_fwd", json!("0x00000001")),
        ("version_rev", json!("0x00000001")),
        ("dcid_length_fwd", json!(8)),
        ("scid_length_fwd", json!(0)),
        ("scid_length_rev", json!(8)),
        ("first_length_fwd", json!(1200)),
        ("long_fwd", json!(2)),
        ("short_fwd", json!(2)),
        ("long_rev", json!(2)),
        ("short_rev", json!(1)),
        ("unfixed_fwd", json!(1)),
        ("unfixed_rev", json!(0)),
        ("negotiation", json!(null)),
        ("retry", json!(true)),
        ("handshake_rev", json!(true)),
        ("spin_fwd", json!(1)),
        ("spin_rev", json!(0)),
    ] {
        assert_eq!(flow[format!("quic_{field}")], value, "{field}");
    }
}

#[test]
fn quic_takes_lists_and_answers_of_its_own_ids_alone() {
    use pathspider_plugin_api::packet::quic::{RESERVED_VERSION, probe};
    let asked =
        || Capture::raw().at(0, udp(There, &probe(RESERVED_VERSION, &[1; 8], &[2; 4], 1200)));
    let list = |to: &[u8], from: &[u8], count: usize| {
        [probe(0, to, from, 0), [0, 0, 0, 1, 0x6b, 0x33, 0x43, 0xcf].repeat(count)].concat()
    };
    let read = |answer: &[u8]| {
        let seen = asked().at(9, udp(Back, answer)).observe(&["quic"]);
        let field = |name: &str| seen.flow()[format!("quic_{name}")].clone();
        (field("negotiation"), field("long_rev"), field("version_rev"))
    };
    let none = (json!(null), json!(0), json!(null));
    let (versions, ..) = read(&list(&[2; 4], &[1; 8], 1));
    assert_eq!(versions, json!(["0x00000001", "0x6b3343cf"]));
    let (versions, ..) = read(&list(&[2; 4], &[1; 8], 8000));
    assert_eq!(versions.as_array().map(Vec::len), Some(16));
    for foreign in [
        list(&[3; 4], &[1; 8], 1),
        list(&[2; 4], &[3; 8], 1),
        list(&[2; 4], &[1; 8], 0),
        probe(1, &[3; 4], &[1; 8], 1200),
        probe(7, &[2; 4], &[1; 8], 1200),
        // IDs that are longer than any, and longer than the datagram.
        vec![0xc0, 0, 0, 0, 1, 255, 1],
        [&[0xc0, 0, 0, 0, 1, 21][..], &[2; 21], &[0]].concat(),
        vec![0x80],
        vec![],
    ] {
        assert_eq!(read(&foreign), none, "{:x?}", &foreign[..foreign.len().min(30)]);
    }
    // What is no QUIC on the way out has no such fields at all.
    let other = Capture::raw().at(0, udp(There, b"hello")).at(1, udp(Back, &QUIC_SERVER));
    assert_eq!(other.observe(&["quic"]).flow()["quic_long_rev"], json!(null));
}
