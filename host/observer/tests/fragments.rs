//! Answers in fragments, in a measurement: what a socket gets is what chains see.

#![allow(clippy::unwrap_used)] // a test fails by panicking

use pathspider_observer::Unanswering;

use super::answers::{TCP, UDP, measure};
use super::wire::*;

/// An IPv4 packet cut into fragments of this many octets.
fn fragments(packet: &[u8], size: usize) -> Vec<Vec<u8>> {
    let (header, body) = packet.split_at(20);
    let last = body.len().div_ceil(size) - 1;
    let cut = |(number, data): (usize, &[u8])| {
        let mut fragment = header.to_vec();
        let length = (20 + data.len()) as u16;
        let place = (number * size / 8) as u16 | u16::from(number < last) << 13;
        fragment[2..4].copy_from_slice(&length.to_be_bytes());
        fragment[4..6].copy_from_slice(&[0x12, 0x34]);
        fragment[6..8].copy_from_slice(&place.to_be_bytes());
        fragment.extend(data);
        fragment
    };
    body.chunks(size).enumerate().map(cut).collect()
}

fn message(id: u8, flags: u8) -> Vec<u8> {
    let mut message = vec![0, id, flags, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    message.extend([7, b'e', b'x', b'a', b'm', b'p', b'l', b'e', 0, 0, 1, 0, 1]);
    message
}

/// A capture that begins with our query, and these packets after it.
fn asked(answers: &[Vec<u8>]) -> Capture {
    let query = Capture::raw().at(0, udp(There, &message(7, 1)));
    answers.iter().zip(1..).fold(query, |capture, (answer, ms)| capture.at(ms, answer.clone()))
}

#[test]
fn a_response_in_fragments_is_one_packet_in_any_order() {
    let answer = udp(Back, &message(7, 0x80));
    for size in [8, 16, 24] {
        let mut pieces = fragments(&answer, size);
        for _ in 0..pieces.len() {
            pieces.rotate_left(1);
            let (flow, counters) = measure(&asked(&pieces), UDP, &["basic", "dns", "udp"]);
            assert_eq!(flow.bool("dns_response_valid"), Some(true));
            let octets = pieces.iter().map(|piece| piece.len() as u64).sum();
            assert_eq!((flow.u64("pkt_rev"), flow.u64("oct_rev")), (Some(1), Some(octets)));
            assert_eq!((counters.unanswering_total(), counters.orphaned), (0, 0));
            assert_eq!(counters.malformed_total(), 0);
        }
    }
}

#[test]
fn what_does_not_come_whole_is_no_answer() {
    let whole = fragments(&udp(Back, &message(7, 0x80)), 8);
    for missing in 0..whole.len() {
        let mut pieces = whole.clone();
        pieces.remove(missing);
        let (flow, _) = measure(&asked(&pieces), UDP, &["basic", "dns"]);
        assert_eq!((flow.bool("dns_response_valid"), flow.u64("pkt_rev")), (Some(false), Some(0)));
    }
}

#[test]
fn a_response_in_fragments_to_another_query_is_none() {
    let pieces = fragments(&udp(Back, &message(8, 0x80)), 16);
    let (flow, counters) = measure(&asked(&pieces), UDP, &["basic", "dns"]);
    assert_eq!((flow.bool("dns_response_valid"), flow.u64("pkt_rev")), (Some(false), Some(0)));
    assert_eq!(counters.unanswering(Unanswering::Query), 1);
}

#[test]
fn a_handshake_in_fragments_is_one() {
    let options = [etherparse::TcpOptionElement::MaximumSegmentSize(1_300)];
    let answer = tcp_from(OUR_PORT, Back, SYN | ACK, (5_000, 1_001), &options, &[]);
    let data = tcp_from(OUR_PORT, Back, ACK, (5_001, 1_001), &[], b"0123456789abcdef");
    for size in [8, 16] {
        let capture = Capture::raw().at(0, tcp_from(OUR_PORT, There, SYN, (1_000, 0), &[], &[]));
        let add = |capture: Capture, ms: i64, packet: &[u8]| {
            fragments(packet, size).iter().rev().fold(capture, |c, one| c.at(ms, one.clone()))
        };
        let capture = add(capture, 10, &answer);
        let capture = capture.at(11, tcp_from(OUR_PORT, There, ACK, (1_001, 5_001), &[], &[]));
        let capture = add(capture, 20, &data);
        let (flow, counters) = measure(&capture, TCP, &["basic", "tcp", "mss", "syn", "rtt"]);
        assert_eq!(flow.bool("tcp_connected"), Some(true));
        assert_eq!((flow.u64("mss_value_rev"), flow.u64("syn_count_rev")), (Some(1_300), Some(1)));
        assert_eq!((flow.u64("pkt_rev"), flow.u64("rtt_us")), (Some(2), Some(10_000)));
        assert_eq!((counters.malformed_total(), counters.unanswering_total()), (0, 0));
    }
}

#[test]
fn fragments_that_leave_us_begin_a_flow() {
    let pieces = fragments(&udp(There, &message(7, 1)), 32);
    let capture = pieces.iter().fold(Capture::raw(), |capture, piece| capture.at(0, piece.clone()));
    let capture = capture.at(1, udp(Back, &message(7, 0x80)));
    let (flow, _) = measure(&capture, UDP, &["basic", "dns"]);
    assert_eq!((flow.u64("pkt_fwd"), flow.u64("pkt_rev")), (Some(2), Some(1)));
    assert_eq!(flow.bool("dns_response_valid"), Some(true));
}
