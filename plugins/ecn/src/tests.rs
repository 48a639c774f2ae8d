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
fn a_syn_of_our_own_asks_in_b_and_nothing_is_changed() {
    let ecn: Ecn = testing::with_options(Record::new().with("connect", "syn"));
    let job = Job::new(0, [192, 0, 2, 1].into(), 80, Record::new());
    for (config, flags) in [(PLAIN, SYN), (ECN, ECN_SYN)] {
        assert!(testing::changes(&ecn, &config).is_empty());
        let connect = testing::connect(&ecn, &job, &config).unwrap();
        let octets = testing::syn(&connect, &job).unwrap();
        let packet = testing::packet(&octets).unwrap();
        assert_eq!(packet.tcp().unwrap().flags(), TcpFlags(flags));
    }
    // Nobody goes on with it, so there is no third packet; data, which alone have marks, are not missed.
    let own = |flow: TestFlow| {
        let kind = ConnectKind::Syn.name();
        flow.with(tcp::CONNECTED, false).outcome(pathspider_plugin_api::carriage::KIND, kind)
    };
    let (a, b) = (flow(State::Ok, SYN, Some(0x12)), flow(State::Ok, ECN_SYN, Some(0x52)));
    let found = testing::conclude(&ecn, &[own(a), own(b)]);
    assert_eq!(found, ["ecn.connectivity.works", "ecn.negotiation.succeeded"]);
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

/// The conclusion from A, B and such a C.
fn with_ce(c: TestFlow) -> Vec<String> {
    let ecn: Ecn = testing::with_options(Record::new().with("ce", true));
    let flows = [flow(State::Ok, SYN, Some(0x12)), flow(State::Ok, ECN_SYN, Some(0x52)), c];
    let mut conditions = testing::conclude(&ecn, &flows);
    conditions.retain(|condition| condition.contains(".ce.") || condition.contains("pathspider"));
    conditions.retain(|condition| !condition.contains("ipmark"));
    conditions
}

#[test]
fn ce_on_data_is_echoed_or_not() {
    let c = |echoed: Option<bool>| {
        let c = flow(State::Ok, ECN_SYN, Some(0x52));
        c.with(accecn::SENT_CE, 1).with(accecn::ECE_AFTER, echoed)
    };
    assert_eq!(with_ce(c(Some(true))), ["ecn.ce.echoed"]);
    assert_eq!(with_ce(c(Some(false))), ["ecn.ce.ignored"]);
    assert_eq!(with_ce(c(None)), ["ecn.ce.unacknowledged"]);
    // Without data with CE, or with others beside them, nothing is known.
    assert!(with_ce(c(None).with(accecn::SENT_CE, 0)).is_empty());
    assert!(with_ce(c(Some(true)).with(accecn::SENT_NOT_ECT, 1)).is_empty());
    let asked_otherwise = c(Some(true)).with(syn::FLAGS_ALL_FWD, TcpFlags(SYN));
    assert_eq!(with_ce(asked_otherwise), ["pathspider.not_applied:2"]);
}

#[test]
fn a_target_that_does_not_agree_is_sent_no_data() {
    let ends = ("192.0.2.7:4000".parse().unwrap(), "198.51.100.1:80".parse().unwrap());
    for kind in ["tcp", "http", "dnstcp"] {
        let given = Record::new().with("ce", true).with("connect", kind.to_owned());
        let ecn: Ecn = testing::with_options(given);
        assert_eq!(ecn.configurations().len(), 3);
        let job = Job::new(0, "198.51.100.1".parse().unwrap(), 80, Record::new());
        let mut connect = testing::connect(&ecn, &job, &CE).unwrap();
        // A server without ECN: a handshake, and no data.
        let mut server = testing::Server::new("HTTP/1.1 204 \r\n\r\n");
        let talked = testing::converse(&mut connect, ends, &mut server).unwrap();
        let packets: Vec<_> =
            talked.sent.iter().map(|(_, octets)| testing::packet(octets).unwrap()).collect();
        let asks = packets[0].tcp().unwrap();
        assert!(asks.has(ECN_FLAGS) && !asks.has(TcpFlags::AE));
        assert!(packets.iter().all(|packet| packet.payload().is_empty() && packet.ip().ecn() == 0));
    }
    assert_eq!(testing::with_options::<Ecn>(Record::new()).configurations().len(), 2);
}
