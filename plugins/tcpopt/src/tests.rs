//! What is concluded of TCP options from flows that are written out here.

use pathspider_plugin_api::packet::{OptionKinds, TcpFlags};
use pathspider_plugin_api::testing::{self, TestFlow};

use super::*;

const KINDS: [u8; 4] = [2, 8, 3, 4];

/// The flow of a configuration: its SYN has the MSS and what the configuration offers; its SYN/ACK
/// has these kinds.
fn flow(config: usize, state: State, answer: Option<&[u8]>) -> TestFlow {
    let own: OptionKinds =
        KINDS[..1].iter().chain((config > 0).then(|| &KINDS[config])).copied().collect();
    let has = |kind| answer.is_some_and(|kinds| kinds.contains(&kind)).then_some(true);
    testing::flow(state)
        .with(syn::COUNT_FWD, 1)
        .with(syn::COUNT_REV, u32::from(answer.is_some()))
        .with(syn::OPTIONS_ALL_FWD, own)
        .with(syn::OPTIONS_ANY_FWD, own)
        .with(tcpopt::TIMESTAMPS, has(8))
        .with(tcpopt::WINDOW_SCALE, has(3))
        .with(tcpopt::SACK, has(4))
}

/// Flows of a target that accepts all that it is offered.
fn accepting() -> [TestFlow; 4] {
    [0, 1, 2, 3].map(|config| flow(config, State::Ok, Some(&[2, KINDS[config]])))
}

fn conclude(flows: &[TestFlow]) -> Vec<String> {
    let tcpopt: Tcpopt = testing::with_options(Record::new());
    testing::conclude(&tcpopt, flows)
}

fn all_well() -> Vec<String> {
    let words = ["connectivity.works", "negotiation.succeeded", "unsolicited.not_seen"];
    let of = |prefix| words.map(|word| format!("{prefix}.{word}"));
    ["tsopt", "wsopt", "sack"].into_iter().flat_map(of).collect()
}

#[test]
fn a_syn_of_our_own_has_exactly_one_option_too() {
    let tcpopt: Tcpopt = testing::with_options(Record::new().with("connect", "syn"));
    assert!(tcpopt.configurations().iter().all(|c| c.held() == Hold::Initiation));
    let job = Job::new(0, [192, 0, 2, 1].into(), 80, Record::new());
    for (config, kind) in [None, Some(8), Some(3), Some(4)].into_iter().enumerate() {
        let config = ConfigId::new(config);
        assert!(testing::changes(&tcpopt, config).is_empty());
        let connect = testing::connect(&tcpopt, &job, config).unwrap();
        let octets = testing::syn(&connect, &job).unwrap();
        let packet = testing::packet(&octets).unwrap();
        let offered = packet.tcp().unwrap().options().map(|option| option.kind);
        assert_eq!(offered.collect::<Vec<_>>(), [2].into_iter().chain(kind).collect::<Vec<_>>());
    }
}

#[test]
fn exactly_one_option_is_on_in_each_configuration() {
    let tcpopt: Tcpopt = testing::with_options(Record::new());
    assert!(tcpopt.configurations().iter().all(|c| c.held() == Hold::Handshake));
    for (config, switches) in ["000", "100", "010", "001"].into_iter().enumerate() {
        let changes = testing::changes(&tcpopt, ConfigId::new(config));
        let set: String = changes.iter().filter_map(|change| change.chars().last()).collect();
        assert_eq!(set, switches, "{changes:?}");
    }
}

#[test]
fn syns_that_ask_for_ecn_are_pinned_and_prove_nothing() {
    let tcpopt: Tcpopt = testing::with_options(Record::new());
    for (before, after) in [("0", None), ("2", None), ("1", Some("2")), ("3", Some("5"))] {
        let changes = testing::changes_from(&tcpopt, NONE, &[("net.ipv4.tcp_ecn", before)]);
        let ecn = changes.iter().find_map(|change| change.strip_prefix("net.ipv4.tcp_ecn="));
        assert_eq!(ecn, after, "{before}");
    }
    let asking = accepting()
        .map(|flow| flow.with(tcp::SYNFLAGS_FWD, TcpFlags::SYN.and(TcpFlags::ASK_FOR_ECN)));
    let expected: Vec<_> = (0..4).map(|k| format!("pathspider.not_applied:{k}")).collect();
    assert_eq!(conclude(&asking), expected);
}

#[test]
fn a_target_that_accepts_all() {
    assert_eq!(conclude(&accepting()), all_well());
}

#[test]
fn an_option_that_is_not_accepted() {
    let mut flows = accepting();
    flows[2] = flow(2, State::Ok, Some(&[2]));
    let found = conclude(&flows);
    assert!(found.contains(&"wsopt.negotiation.failed".to_owned()), "{found:?}");
    assert!(found.contains(&"tsopt.negotiation.succeeded".to_owned()), "{found:?}");
}

#[test]
fn a_path_that_drops_one_option_is_broken_for_that_one() {
    let mut flows = accepting();
    flows[1] = flow(1, State::Timeout, None);
    let mut expected = all_well();
    expected[0] = "tsopt.connectivity.broken".to_owned();
    expected.remove(1);
    assert_eq!(conclude(&flows), expected);
}

#[test]
fn an_option_that_nobody_offered() {
    for config in [0, 1, 3] {
        let mut flows = accepting();
        flows[config] = flow(config, State::Ok, Some(&[2, KINDS[config], 3]));
        let mut expected = all_well();
        expected[5] = "wsopt.unsolicited.seen".to_owned();
        assert_eq!(conclude(&flows), expected);
    }
}

#[test]
fn a_syn_repeated_in_another_configuration_is_no_evidence() {
    let mut flows = accepting();
    let kinds = |kinds: &[u8]| kinds.iter().copied().collect::<OptionKinds>();
    let [a, b, c, d] = flows;
    let d = d.with(syn::OPTIONS_ALL_FWD, kinds(&[2])).with(syn::OPTIONS_ANY_FWD, kinds(&[2, 4, 8]));
    flows = [a, b, c, d];
    let mut expected = all_well();
    expected.drain(6..8);
    expected.push("pathspider.not_applied:3".to_owned());
    assert_eq!(conclude(&flows), expected);
    flows[0] = flows[0].clone().with(syn::OPTIONS_ANY_FWD, kinds(&[2, 8]));
    assert_eq!(conclude(&flows), ["pathspider.not_applied:0", "pathspider.not_applied:3"]);
}

#[test]
fn no_answer_says_nothing_of_negotiation() {
    let dead = [0, 1, 2, 3].map(|config| flow(config, State::Timeout, None));
    assert_eq!(
        conclude(&dead),
        ["tsopt.connectivity.offline", "wsopt.connectivity.offline", "sack.connectivity.offline"]
    );
}
