//! What ECN concludes from flows that are written out here.

use pathspider_plugin_api::testing::{self, TestFlow};

use super::*;

const SYN: u16 = 0x02;
const ECN_SYN: u16 = 0xc2;

/// A connection: how it ended, what its SYNs carried, what the SYN/ACK did.
fn flow(state: State, syn_flags: u16, answer: Option<u16>) -> TestFlow {
    testing::flow(state)
        .with(syn::FLAGS_ALL_FWD, TcpFlags(syn_flags))
        .with(syn::FLAGS_ANY_FWD, TcpFlags(syn_flags))
        .with(syn::COUNT_FWD, 1)
        .with(tcp::SYNFLAGS_REV, answer.map(TcpFlags))
        .with(tcp::CONNECTED, answer.is_some())
        .with(basic::PACKETS_REV, answer.map_or(0, |_| 1))
}

fn conclude(a: TestFlow, b: TestFlow) -> Vec<String> {
    let ecn: Ecn = testing::with_options(Record::new());
    let mut conditions = testing::conclude(&ecn, &[a, b]);
    conditions.retain(|condition| !condition.ends_with("not_seen"));
    conditions
}

#[test]
fn the_kernel_asks_in_b_and_never_falls_back() {
    let ecn: Ecn = testing::with_options(Record::new());
    for (config, ask) in [(PLAIN, 2), (ECN, 1)] {
        let expected =
            ["net.ipv4.tcp_ecn_fallback=0".to_owned(), format!("net.ipv4.tcp_ecn={ask}")];
        assert_eq!(testing::changes(&ecn, config), expected);
    }
}

#[test]
fn negotiation_is_read_from_the_syn_ack() {
    let a = || flow(State::Ok, SYN, Some(0x12));
    for (answer, word) in
        [(0x52, "succeeded"), (0xd2, "reflected"), (0x12, "failed"), (0x92, "failed")]
    {
        assert_eq!(
            conclude(a(), flow(State::Ok, ECN_SYN, Some(answer))),
            ["ecn.connectivity.works".to_owned(), format!("ecn.negotiation.{word}")]
        );
    }
}

#[test]
fn a_path_that_drops_ecn_is_broken() {
    let a = flow(State::Ok, SYN, Some(0x12));
    assert_eq!(conclude(a, flow(State::Timeout, ECN_SYN, None)), ["ecn.connectivity.broken"]);
}

#[test]
fn no_verdict_where_a_fallback_took_ecn_off() {
    let a = flow(State::Ok, SYN, Some(0x12));
    let b = flow(State::Ok, ECN_SYN, Some(0x12)).with(syn::FLAGS_ALL_FWD, TcpFlags(SYN));
    assert_eq!(conclude(a, b), ["pathspider.not_applied:1"]);
}

#[test]
fn no_verdict_where_the_baseline_asked_for_ecn() {
    let a = flow(State::Ok, ECN_SYN, Some(0x52));
    let b = flow(State::Ok, ECN_SYN, Some(0x52));
    assert_eq!(conclude(a, b), ["pathspider.not_applied:0"]);
}

#[test]
fn no_connectivity_where_a_flow_was_missed() {
    let missed = testing::missed(State::Ok);
    let b = flow(State::Ok, ECN_SYN, Some(0x52));
    assert_eq!(conclude(missed.clone(), b), ["ecn.negotiation.succeeded"]);
    let a = flow(State::Ok, SYN, Some(0x12));
    assert!(conclude(a, missed).is_empty());
}

#[test]
fn no_verdict_where_the_syn_was_not_captured() {
    let blind = |state, answer| {
        let flow = flow(state, SYN, answer).with(syn::COUNT_FWD, 0);
        flow.with(syn::FLAGS_ALL_FWD, None).with(syn::FLAGS_ANY_FWD, None)
    };
    let a = || flow(State::Ok, SYN, Some(0x12));
    let unseen = ["pathspider.not_observed"];
    assert_eq!(conclude(a(), blind(State::Ok, Some(0x52))), unseen);
    assert_eq!(conclude(a(), blind(State::Failed, None)), unseen);
    let b = flow(State::Ok, ECN_SYN, Some(0x52));
    assert_eq!(
        conclude(blind(State::Ok, Some(0x12)), b),
        ["ecn.negotiation.succeeded", "pathspider.not_observed"]
    );
}

#[test]
fn negotiation_counts_also_without_a_response() {
    let a = flow(State::Failed, SYN, Some(0x12));
    let b = flow(State::Failed, ECN_SYN, Some(0x52));
    assert_eq!(conclude(a, b), ["ecn.connectivity.offline", "ecn.negotiation.succeeded"]);
}

#[test]
fn marks_of_the_target_are_told() {
    let a = flow(State::Ok, SYN, Some(0x12));
    let b = flow(State::Ok, ECN_SYN, Some(0x52)).with(ecn::ECT0_DATA_REV, true);
    assert!(conclude(a, b).contains(&"ecn.ipmark.ect0.seen".to_owned()));
}

#[test]
fn an_icmp_error_is_no_packet_of_the_target() {
    let ecn: Ecn = testing::with_options(Record::new());
    let a = flow(State::Ok, SYN, Some(0x12));
    let b = flow(State::Failed, ECN_SYN, None).with(basic::PACKETS_REV, 1);
    assert_eq!(testing::conclude(&ecn, &[a, b]), ["ecn.connectivity.broken"]);
}
