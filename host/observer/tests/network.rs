//! What the chains `rtt` and `icmp` say: of the way, and of who is on it.

#![allow(clippy::unwrap_used)] // a test fails by panicking

use etherparse::TcpOptionElement::Timestamp;
use serde_json::{Value, json};

use super::wire::*;

/// A SYN of ours with a time stamp, and a SYN/ACK that echoes one.
fn syn(own: u32) -> Vec<u8> {
    tcp_from(OUR_PORT, There, SYN, (1_000, 0), &[Timestamp(own, 0)], &[])
}

fn syn_ack(echoed: u32) -> Vec<u8> {
    tcp_from(OUR_PORT, Back, SYN | ACK, (5_000, 1_001), &[Timestamp(9, echoed)], &[])
}

fn plain(way: Way, flags: u8) -> Vec<u8> {
    tcp_from(OUR_PORT, way, flags, (1_000, 1_001), &[], &[])
}

fn with_ttl(mut packet: Vec<u8>, ttl: u8) -> Vec<u8> {
    packet[8] = ttl;
    packet
}

/// The fields of `rtt`: round trip, TTL, hops, and the others' lowest and highest.
fn rtt(capture: &Capture) -> [Value; 5] {
    let seen = capture.observe(&["rtt"]);
    let field = |name: &str| seen.flow()[name].clone();
    ["rtt_us", "rtt_ttl", "rtt_hops", "rtt_ttl_min", "rtt_ttl_max"].map(field)
}

fn round_trip(capture: &Capture) -> Value {
    rtt(capture)[0].clone()
}

#[test]
fn a_handshake_says_how_long_and_how_far() {
    let capture = Capture::raw()
        .at(0, plain(There, SYN))
        .at(30, with_ttl(plain(Back, SYN | ACK), 53))
        .at(31, plain(There, ACK))
        .at(60, with_ttl(plain(Back, ACK), 119))
        .at(61, with_ttl(plain(Back, FIN | ACK), 118));
    assert_eq!(rtt(&capture), [json!(30_000), json!(53), json!(11), json!(118), json!(119)]);
    let refused = Capture::raw().at(0, plain(There, SYN)).at(9, plain(Back, RST | ACK));
    assert_eq!(rtt(&refused), [json!(null), json!(null), json!(null), json!(60), json!(60)]);
}

#[test]
fn hops_are_from_the_next_initial_value() {
    for (ttl, hops) in
        [(255, 0), (250, 5), (129, 126), (128, 0), (64, 0), (63, 1), (32, 0), (1, 31)]
    {
        let answer = with_ttl(plain(Back, SYN | ACK), ttl);
        let capture = Capture::raw().at(0, plain(There, SYN)).at(1, answer);
        assert_eq!(rtt(&capture)[2], hops, "{ttl}");
    }
}

#[test]
fn a_repeated_syn_counts_only_where_the_answer_names_it() {
    let twice = |first: u32, second: u32| Capture::raw().at(0, syn(first)).at(1_000, syn(second));
    // The answer to the first was late, or is to the second.
    assert_eq!(round_trip(&twice(70, 1_070).at(1_020, syn_ack(70))), 1_020_000);
    assert_eq!(round_trip(&twice(70, 1_070).at(1_020, syn_ack(1_070))), 20_000);
    let unknown = [
        twice(70, 70).at(1_020, syn_ack(70)),
        twice(70, 1_070).at(1_020, syn_ack(5)),
        twice(70, 1_070).at(1_020, syn_ack(0)),
        twice(70, 1_070).at(1_020, plain(Back, SYN | ACK)),
        Capture::raw()
            .at(0, plain(There, SYN))
            .at(1_000, plain(There, SYN))
            .at(1_020, plain(Back, SYN | ACK)),
    ];
    for capture in unknown {
        let [round_trip, ttl, ..] = rtt(&capture);
        assert_eq!((round_trip, ttl), (json!(null), json!(60)));
    }
    // What is repeated after the answer changes nothing, nor does a repeated answer.
    let late = Capture::raw().at(0, syn(70)).at(20, syn_ack(70)).at(1_000, syn(1_070));
    assert_eq!(round_trip(&late.at(1_020, syn_ack(1_070))), 20_000);
    let many = (0..9).fold(Capture::raw(), |capture, n| capture.at(1_000 * n, syn(n as u32 + 1)));
    assert_eq!(round_trip(&many.clone().at(8_010, syn_ack(1))), 8_010_000);
    assert_eq!(round_trip(&many.at(8_010, syn_ack(9))), json!(null));
}

#[test]
fn a_datagram_has_its_answer_and_a_query_the_one_with_its_identifier() {
    let message = |id: u8, flags: u8| {
        let mut message = vec![0, id, flags, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        message.extend([1, b'x', 0, 0, 1, 0, 1]);
        message
    };
    let query = |id| udp(There, &message(id, 1));
    let response = |id| udp(Back, &message(id, 0x80));
    let asked = Capture::raw().at(0, query(1)).at(5, query(2));
    assert_eq!(round_trip(&asked.clone().at(9, response(2)).at(10, response(1))), 4_000);
    assert_eq!(round_trip(&asked.clone().at(9, response(1))), 9_000);
    assert_eq!(round_trip(&asked.clone().at(9, response(3)).at(11, response(1))), 11_000);
    // The query was repeated.
    assert_eq!(round_trip(&asked.at(6, query(1)).at(9, response(1))), json!(null));
    let other = Capture::raw().at(0, udp(There, b"ask")).at(3, udp(Back, b"answer"));
    assert_eq!(round_trip(&other), 3_000);
    let twice = Capture::raw().at(0, udp(There, b"ask")).at(1, udp(There, b"ask"));
    assert_eq!(round_trip(&twice.at(3, udp(Back, b"answer"))), json!(null));
}

#[test]
fn routers_and_clocks_that_go_back_say_nothing_of_the_target() {
    let syn = plain(There, SYN);
    let capture = Capture::raw().at(0, syn.clone()).at(1, icmp(11, 0, &syn));
    assert_eq!(rtt(&capture), [const { Value::Null }; 5]);
    let back = Capture::raw().at(10, syn).at(0, plain(Back, SYN | ACK));
    assert_eq!(back.observe(&["rtt"]).flows[0]["rtt_us"], json!(null));
}

#[test]
fn errors_are_kept_with_what_they_quote() {
    let mut sent = plain(There, SYN);
    (sent[1], sent[8]) = (46 << 2 | 1, 64);
    let mut quoted = sent.clone();
    (quoted[1], quoted[8]) = (8 << 2, 1);
    let exceeded = icmp(11, 0, &quoted[..28]);
    let capture = Capture::raw()
        .at(0, sent.clone())
        .at(1, exceeded.clone())
        .at(2, exceeded)
        .at(3, icmp(3, 13, &sent));
    let flow = capture.observe(&["icmp"]);
    let of = |kind: u8, code: u8, count: u8, quote: [u8; 4]| {
        let [ttl, dscp, ecn, length] = quote;
        json!({"type": kind, "code": code, "from": "203.0.113.9", "ttl": 60, "count": count,
            "quote_ttl": ttl, "quote_dscp": dscp, "quote_ecn": ecn, "quote_length": length})
    };
    let expected = json!([of(11, 0, 2, [1, 8, 0, 28]), of(3, 13, 1, [64, 46, 1, 40])]);
    assert_eq!(flow.flow()["icmp_errors"], expected);
    assert_eq!(flow.flow()["icmp_unreachable"], true);
}

#[test]
fn only_so_many_errors_are_kept() {
    let sent = plain(There, SYN);
    let capture = (0..50u8).fold(Capture::raw().at(0, sent.clone()), |capture, code| {
        let mut error = icmp(11, 0, &sent);
        error[21] = code;
        capture.at(1, error)
    });
    let seen = capture.observe(&["icmp"]);
    let errors = seen.flow()["icmp_errors"].as_array().unwrap();
    assert_eq!(errors.len(), 8);
    assert_eq!((&errors[0]["code"], &errors[7]["code"]), (&json!(0), &json!(7)));
}
