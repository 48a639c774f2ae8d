//! What the measurement sends, and what it concludes from flows that are written out here.

use pathspider_plugin_api::packet::TcpFlags;
use pathspider_plugin_api::testing::{self, TestFlow};

use super::*;

const SYN_ACK: u16 = 0x12;
const RST_ACK: u16 = 0x14;

fn evilbit(mode: &str) -> Evilbit {
    testing::with_options(Record::new().with("connect", mode.to_owned()))
}

/// A SYN with or without the flag, and the flags of the answer, which does not have it.
fn syn(evil: bool, answer: Option<u16>) -> TestFlow {
    let state = if answer == Some(SYN_ACK) { State::Ok } else { State::Failed };
    testing::flow(state)
        .with(evil::SYN_FWD, evil)
        .with(tcp::SYNFLAGS_REV, answer.filter(|flags| flags & 2 != 0).map(TcpFlags))
        .with(evil::SYN_REV, answer.filter(|flags| flags & 2 != 0).map(|_| false))
        .with(evil::DATA_REV, answer.filter(|flags| flags & 2 == 0).map(|_| false))
}

fn query(evil: bool, valid: bool) -> TestFlow {
    testing::flow(if valid { State::Ok } else { State::Timeout })
        .with(evil::DATA_FWD, evil)
        .with(evil::DATA_REV, valid.then_some(false))
        .with(dns::RESPONSE_VALID, valid)
}

#[test]
fn only_b_has_the_flag() {
    let job = Job::new(0, "192.0.2.1".parse().unwrap(), 53, Record::new());
    for (mode, protocol) in [("tcpsyn", 6), ("dnsudp", 17)] {
        for (config, flags) in [(PLAIN, 0x40), (EVIL, 0xc0)] {
            let connect = testing::connect(&evilbit(mode), &job, config).unwrap();
            let packet = connect.packet_bytes().next().unwrap();
            assert_eq!((packet[6], packet[9]), (flags, protocol));
        }
    }
}

#[test]
fn targets_of_ipv6_are_skipped_without_a_verdict() {
    let job = Job::new(0, "2001:db8::1".parse().unwrap(), 80, Record::new());
    let connect = testing::connect(&evilbit("tcpsyn"), &job, EVIL).unwrap();
    assert_eq!(connect.kind(), ConnectKind::Skip);
    let skipped = || testing::missed(State::Skipped);
    assert!(testing::conclude(&evilbit("tcpsyn"), &[skipped(), skipped()]).is_empty());
}

#[test]
fn a_syn_ack_is_what_connects() {
    let works = ["evilbit.connectivity.works", "evilbit.mark.not_seen"];
    let broken = ["evilbit.connectivity.broken", "evilbit.mark.not_seen"];
    let conclude = |a, b| testing::conclude(&evilbit("tcpsyn"), &[syn(false, a), syn(true, b)]);
    assert_eq!(conclude(Some(SYN_ACK), Some(SYN_ACK)), works);
    assert_eq!(conclude(Some(SYN_ACK), Some(RST_ACK)), broken);
    assert_eq!(conclude(Some(SYN_ACK), None), ["evilbit.connectivity.broken"]);
    assert_eq!(conclude(None, None), ["evilbit.connectivity.offline"]);
    assert_eq!(conclude(None, Some(SYN_ACK))[0], "evilbit.connectivity.transient");
}

#[test]
fn a_valid_response_is_what_connects() {
    let conclude = |a, b| testing::conclude(&evilbit("dnsudp"), &[query(false, a), query(true, b)]);
    assert_eq!(conclude(true, true), ["evilbit.connectivity.works", "evilbit.mark.not_seen"]);
    assert_eq!(conclude(true, false), ["evilbit.connectivity.broken"]);
}

#[test]
fn the_targets_own_flag_is_told() {
    let b = syn(true, Some(SYN_ACK)).with(evil::SYN_REV, true);
    let conditions = testing::conclude(&evilbit("tcpsyn"), &[syn(false, Some(SYN_ACK)), b]);
    assert_eq!(conditions, ["evilbit.connectivity.works", "evilbit.mark.seen"]);
}

#[test]
fn no_verdict_without_the_flag_on_the_wire() {
    let conclude = |a, b| testing::conclude(&evilbit("tcpsyn"), &[a, b]);
    let answer = Some(SYN_ACK);
    assert_eq!(conclude(syn(false, answer), syn(false, answer)), ["pathspider.not_applied:1"]);
    assert_eq!(conclude(syn(true, answer), syn(true, answer)), ["pathspider.not_applied:0"]);
    let unseen = syn(true, answer).with(evil::SYN_FWD, None);
    assert_eq!(conclude(syn(false, answer), unseen), ["pathspider.not_observed"]);
}
