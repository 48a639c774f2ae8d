//! What the chains of a measurement see where more comes than the target's answer: forged segments
//! and responses, ICMP errors, and what was sent back. Each flow is what it is without them.

#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::net::{IpAddr, SocketAddr};

use crossbeam::channel::{bounded, unbounded};
use etherparse::{EtherType, Ethernet2Header};
use pathspider_observer::chains::Catalogue;
use pathspider_observer::{
    Claim, Counters, Endpoint, Notice, Observation, Settings, Unanswering, watch,
};
use pathspider_plugin_api::{ChainName, Record};

use super::wire::*;

pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;

/// The record of our flow with them, and what was counted, where these chains look.
pub(crate) fn measure(capture: &Capture, protocol: u8, chains: &[&str]) -> (Record, Counters) {
    let (sender, receiver) = unbounded();
    let their_port = if protocol == UDP { 53 } else { THEIR_PORT };
    let (address, remote) = (IpAddr::from(THEM), SocketAddr::from((THEM, their_port)));
    let endpoint = Endpoint { protocol, address, port: their_port };
    sender.send(Notice::Expect(endpoint)).unwrap();
    let local = (IpAddr::from(US), OUR_PORT).into();
    let (started_ns, ended_ns) = (START, START + SECOND);
    let id = connection(1);
    let claim = Claim { id, protocol, local, remote, started_ns, ended_ns, last_ns: None };
    sender.send(Notice::Claim(claim)).unwrap();
    drop(sender);
    let chains = Catalogue::library().resolve(&ChainName::list(chains)).unwrap().chains;
    let (answers, answered) = bounded(1);
    let watch =
        watch(capture.source(), chains, Settings::default(), receiver, answers, || {}).unwrap();
    let answers: Vec<Observation> = answered.iter().collect();
    let (counters, result) = watch.join().unwrap();
    assert_eq!(result, Ok(()));
    (answers.into_iter().next().unwrap().flow.unwrap().into_record(), counters)
}

const ISN: u32 = u32::MAX;

fn ours(flags: u8, sequence: u32, data: &[u8]) -> Vec<u8> {
    tcp_from(OUR_PORT, There, flags, (ISN.wrapping_add(sequence), 5001), &[], data)
}

fn theirs(flags: u8, sequence: u32, acknowledged: u32, data: &[u8]) -> Vec<u8> {
    let numbers = (5000 + sequence, ISN.wrapping_add(acknowledged));
    tcp_from(OUR_PORT, Back, flags, numbers, &[], data)
}

/// Sets the DSCP and ECN of an IPv4 packet.
fn marked(mut packet: Vec<u8>, class: u8) -> Vec<u8> {
    packet[1] = class;
    packet
}

/// Every chain that looks at TCP.
const CHAINS: [&str; 11] =
    ["basic", "tcp", "ecn", "dscp", "mss", "tfo", "tcpopt", "icmp", "evil", "syn", "rtt"];

/// Measures an exchange with these packets before the SYN/ACK, and compares it with one without.
fn changes_nothing(before: &[Vec<u8>], kind: Unanswering) {
    let exchange = |others: &[Vec<u8>]| {
        let sent = Capture::raw().at(0, ours(SYN | ECE | CWR, 0, &[]));
        let capture = others.iter().fold(sent, |capture, other| capture.at(1, other.clone()));
        let capture = capture.at(2, theirs(SYN | ACK, 0, 1, &[])).at(3, ours(ACK, 1, b"question"));
        let capture = others.iter().fold(capture, |capture, other| capture.at(4, other.clone()));
        measure(&capture.at(5, theirs(ACK, 1, 9, b"answer")), TCP, &CHAINS)
    };
    let (with, counters) = exchange(before);
    let (without, _) = exchange(&[]);
    assert_eq!(json(&with), json(&without), "{kind:?}");
    assert_eq!(counters.unanswering(kind), 2 * before.len() as u64, "{counters}");
}

fn json(record: &Record) -> serde_json::Value {
    serde_json::to_value(record).unwrap()
}

#[test]
fn forged_segments_leave_no_trace_in_any_chain() {
    let wrong = marked(theirs(SYN | ACK | ECE, 77, 1000, &[]), 0xff);
    changes_nothing(&[wrong], Unanswering::Acknowledgment);
    let data = marked(theirs(ACK, 1, 1000, b"forged"), 0xff);
    changes_nothing(&[data], Unanswering::Acknowledgment);
    changes_nothing(&[theirs(RST | ACK, 0, 1000, &[])], Unanswering::Acknowledgment);
    changes_nothing(&[theirs(SYN | ECE, 77, 0, &[])], Unanswering::Syn);
    let reset = tcp_from(OUR_PORT, There, RST, (ISN.wrapping_add(1000), 0), &[], &[]);
    changes_nothing(&[reset], Unanswering::OurReset);
}

#[test]
fn a_flow_begins_with_what_left() {
    let early = theirs(SYN | ACK | ECE, 77, 1, &[]);
    let reset = tcp_from(OUR_PORT, There, RST, (ISN.wrapping_add(1), 0), &[], &[]);
    let capture = Capture::raw()
        .at(0, early)
        // Our system knows of no connection yet.
        .at(1, reset)
        .at(2, ours(SYN | ECE | CWR, 0, &[]))
        .at(3, theirs(SYN | ACK, 0, 1, &[]))
        .at(4, ours(ACK, 1, &[]));
    let (flow, counters) = measure(&capture, TCP, &["basic", "tcp", "syn"]);
    assert_eq!(flow.u64("tcp_synflags_rev"), Some((SYN | ACK).into()));
    assert_eq!(flow.bool("tcp_rst_fwd"), Some(false));
    assert_eq!((flow.u64("pkt_fwd"), flow.u64("pkt_rev")), (Some(2), Some(1)));
    assert_eq!(counters.unanswering(Unanswering::Unasked), 1);
}

#[test]
fn what_is_opened_from_both_sides_was_sent_as_it_was_meant() {
    let capture = Capture::raw()
        .at(0, ours(SYN | ECE | CWR, 0, &[]))
        .at(1, theirs(SYN, 0, 0, &[]))
        .at(2, ours(SYN | ACK, 0, &[]))
        .at(3, theirs(ACK, 1, 1, &[]));
    let (flow, counters) = measure(&capture, TCP, &["tcp", "syn"]);
    assert_eq!(flow.u64("syn_flags_all_fwd"), Some((SYN | ECE | CWR).into()));
    assert_eq!(flow.bool("tcp_connected"), Some(true));
    assert_eq!(flow.u64("tcp_synflags_rev"), None);
    assert_eq!(counters.unanswering(Unanswering::Syn), 1);
}

#[test]
fn an_icmp_message_is_never_the_targets_packet() {
    let syn = ours(SYN | ECE | CWR, 0, &[]);
    let (plain, _) = measure(&Capture::raw().at(0, syn.clone()), TCP, &CHAINS);
    // Unreachable, too big, source quench, redirects, time exceeded, parameter problem.
    let errors = [(3, 1), (3, 4), (3, 13), (4, 0), (5, 0), (5, 1), (11, 0), (11, 1), (12, 0)];
    for (kind, code) in errors {
        let error = marked(icmp(kind, code, &syn), 48 << 2 | 3);
        let capture = Capture::raw().at(0, syn.clone()).at(1, error);
        let (flow, counters) = measure(&capture, TCP, &CHAINS);
        let unreachable = kind == 3;
        assert_eq!(flow.bool("icmp_unreachable"), Some(unreachable), "{kind} {code}");
        assert_eq!(flow.get("icmp_errors").unwrap().as_list().unwrap().len(), 1);
        // What is left of it is that, and its time.
        let (mut flow, plain) = (json(&flow), json(&plain));
        for key in ["icmp_unreachable", "icmp_errors", "pkt_last"] {
            flow[key] = plain[key].clone();
        }
        assert_eq!(flow, plain, "{kind} {code}");
        assert_eq!(counters.unanswering_total(), 0);
    }
}

#[test]
fn an_error_about_what_was_not_sent_is_none() {
    let syn = ours(SYN, 0, &[]);
    let others = [
        icmp(3, 1, &ours(SYN, 1, &[])),
        icmp(3, 1, &ours(SYN, 1 << 31, &[])[..28]),
        // About a packet of the target's, to us.
        icmp(3, 1, &theirs(SYN | ACK, 0, 1, &[])),
        // Too short to tell.
        icmp(3, 1, &syn[..26]),
    ];
    for other in others {
        let capture = Capture::raw().at(0, syn.clone()).at(1, other);
        let (flow, counters) = measure(&capture, TCP, &["icmp"]);
        assert_eq!(flow.bool("icmp_unreachable"), Some(false));
        assert_eq!(counters.unanswering(Unanswering::Quote), 1);
    }
}

#[test]
fn responses_to_another_query_are_none() {
    let message = |id: u8, flags: u8, kind: u8| {
        let mut message = vec![0, id, flags, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        message.extend([7, b'e', b'x', b'a', b'm', b'p', b'l', b'e', 0, 0, kind, 0, 1]);
        message
    };
    let capture = Capture::raw()
        .at(0, udp(Back, &message(7, 0x80, 1)))
        .at(1, udp(There, &message(7, 1, 1)))
        .at(2, marked(udp(Back, &message(8, 0x80, 1)), 9 << 2))
        .at(3, marked(udp(Back, &message(7, 0x80, 2)), 9 << 2))
        .at(4, marked(udp(Back, b"nonsense"), 9 << 2))
        .at(5, udp(Back, &message(7, 0x80, 1)));
    let (flow, counters) = measure(&capture, UDP, &["basic", "dns", "dscp"]);
    assert_eq!(flow.bool("dns_response_valid"), Some(true));
    assert_eq!((flow.u64("pkt_rev"), flow.u64("dscp_mark_data_rev")), (Some(1), Some(0)));
    assert_eq!(counters.unanswering(Unanswering::Query), 3);
    assert_eq!(counters.unanswering(Unanswering::Unasked), 1);
}

#[test]
fn what_was_cut_off_is_known_to_have_come_back() {
    let syn = ours(SYN, 0, &[]);
    let mut ethernet = Vec::new();
    let header = Ethernet2Header { ether_type: EtherType::IPV4, ..Default::default() };
    header.write(&mut ethernet).unwrap();
    for (link, before) in [(RAW, Vec::new()), (ETHERNET, ethernet)] {
        let framed = |packet: &[u8]| [&before[..], packet].concat();
        // The second came in, so the kernel's filter has cut it off.
        let capture = Capture { link, cut: Some((1, before.len() + 27)), ..Capture::default() }
            .at(0, framed(&syn))
            .at(1, framed(&marked(syn.clone(), 9 << 2)));
        let (flow, counters) = measure(&capture, TCP, &["basic", "syn"]);
        assert_eq!(flow.u64("syn_count_fwd"), Some(1));
        assert_eq!(counters.unanswering(Unanswering::Reflected), 1);
        assert_eq!(counters.malformed_total(), 0);
    }
}
