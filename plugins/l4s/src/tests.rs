//! What leaves in each configuration, and what is concluded from flows that are written out here.

use std::net::SocketAddr;

use pathspider_plugin_api::testing::{self, Server, TestFlow};

use super::*;

#[test]
fn the_configurations_differ_by_the_mark_on_data() {
    for (local, remote) in
        [("192.0.2.7:4000", "198.51.100.1:80"), ("[2001:db8::7]:4000", "[2001:db8::1]:80")]
    {
        let remote: SocketAddr = remote.parse().unwrap();
        let job = Job::new(0, remote.ip(), remote.port(), Record::new());
        let l4s: L4s = testing::with_options(Record::new());
        for (config, mark) in [(ECT0, 2), (ECT1, 1)] {
            let mut connect = testing::connect(&l4s, &job, &config).unwrap();
            let mut target = Server::new("HTTP/1.1 204 \r\n\r\n");
            let ends = (local.parse().unwrap(), remote);
            let talked = testing::converse(&mut connect, ends, &mut target).unwrap();
            assert_eq!(talked.outcome.state(), State::Ok);
            let mut data = 0;
            for (_, octets) in &talked.sent {
                let packet = testing::packet(octets).unwrap();
                let has_data = !packet.payload().is_empty();
                assert_eq!(packet.ip().ecn(), if has_data { mark } else { 0 });
                data += usize::from(has_data);
            }
            assert_eq!(data, 1);
        }
    }
}

/// A connection that was answered, with data of this mark; the target agreed to these bits.
fn flow(mark: u8, bits: u8) -> TestFlow {
    let sent = [accecn::SENT_NOT_ECT, accecn::SENT_ECT1, accecn::SENT_ECT0, accecn::SENT_CE];
    let asks = TcpFlags::SYN.and(TcpFlags::ASK_FOR_ECN);
    let flow = testing::flow(State::Ok)
        .with(syn::COUNT_FWD, 1)
        .with(syn::FLAGS_ALL_FWD, asks)
        .with(syn::FLAGS_ANY_FWD, asks)
        .with(tcp::CONNECTED, true)
        .with(accecn::ANSWER, bits)
        .with(accecn::ACE_BEFORE, if bits > 1 { 5 } else { 0 });
    (0..).zip(sent).fold(flow, |flow, (k, field)| flow.with(field, u32::from(k == mark)))
}

/// The same with counters for ECT(0), CE and ECT(1).
fn counted(mark: u8, [ect0, ce, ect1]: [u32; 3]) -> TestFlow {
    let flow = flow(mark, 2).with(accecn::ZEROED, false).with(accecn::E0B_BEFORE, ect0);
    flow.with(accecn::CEB_BEFORE, ce).with(accecn::E1B_BEFORE, ect1)
}

fn conclude(a: TestFlow, b: TestFlow) -> String {
    let l4s: L4s = testing::with_options(Record::new());
    let found = testing::conclude(&l4s, &[a, b]);
    let short: Vec<&str> = found.iter().map(|one| one.trim_start_matches("l4s.")).collect();
    short.join(" ")
}

#[test]
fn counters_say_which_mark_arrived() {
    let a = || counted(2, [81, 0, 1]);
    for (counters, word) in [
        ([1, 0, 81], "ect1.intact"),
        ([1, 20, 61], "ect1.congested"),
        ([1, 0, 1], "ect1.bleached"),
        ([81, 0, 1], "ect1.remarked:ect0"),
        ([1, 80, 1], "ect1.remarked:ce"),
    ] {
        let expected = format!("connectivity.works ect0.intact {word} feedback.counters");
        assert_eq!(conclude(a(), counted(1, counters)), expected);
    }
    let zeroed = counted(1, [0, 0, 0]).with(accecn::ZEROED, true);
    assert_eq!(conclude(a(), zeroed), "connectivity.works ect0.intact feedback.ace");
}

#[test]
fn a_target_without_counters_says_less() {
    let said = |bits, ace: u8| conclude(flow(2, bits), flow(1, bits).with(accecn::ACE_BEFORE, ace));
    assert_eq!(said(2, 5), "connectivity.works feedback.ace");
    assert_eq!(said(2, 6), "connectivity.works ect1.remarked:ce feedback.ace");
    assert_eq!(said(2, 0), "connectivity.works feedback.absent");
    assert_eq!(said(1, 0), "connectivity.works feedback.classic");
    assert_eq!(said(1, 1), "connectivity.works ect1.remarked:ce feedback.classic");
    assert_eq!(said(0, 0), "connectivity.works feedback.absent");
}

#[test]
fn data_without_the_mark_prove_nothing() {
    let a = || counted(2, [81, 0, 1]);
    let plain = counted(1, [1, 0, 81]).with(accecn::SENT_NOT_ECT, 1);
    assert_eq!(conclude(a(), plain), "ect0.intact pathspider.not_applied:1");
    let unseen = counted(1, [1, 0, 81]).with(accecn::SENT_ECT1, 0);
    assert_eq!(conclude(a(), unseen), "ect0.intact pathspider.not_observed");
    let lost = flow(1, 2).state(State::Timeout).with(accecn::ACE_BEFORE, None);
    assert_eq!(conclude(a(), lost), "connectivity.broken ect0.intact");
}

/// A connection over QUIC whose packets had this mark, and what the target counted: ECT(0), ECT(1), CE.
fn by_quic(mark: u8, counts: Option<[u64; 3]>) -> TestFlow {
    acknowledged_by_quic(5, mark, counts)
}

/// The same with this many packets that the target acknowledged.
fn acknowledged_by_quic(count: u64, mark: u8, counts: Option<[u64; 3]>) -> TestFlow {
    let space = Record::new().with("sent", count + 1).with("acknowledged", count);
    let space = match counts {
        None => space,
        Some([ect0, ect1, ce]) => space.with("ect0", ect0).with("ect1", ect1).with("ce", ce),
    };
    let info = Record::new().with("ecn", Record::new().with("application", space));
    let seen = [ecn::ECT1_DATA_FWD, ecn::ECT0_DATA_FWD, ecn::CE_DATA_FWD];
    let flow = testing::flow(State::Ok).with(quic::VERSION_FWD, quic::version(1));
    let flow = flow.outcome("quic_info", info);
    (1..).zip(seen).fold(flow, |flow, (value, field)| flow.with(field, value == mark))
}

#[test]
fn over_quic_acknowledgments_say_which_mark_arrived() {
    let l4s: L4s = testing::with_options(Record::new().with("connect", "quic"));
    let job = Job::new(0, std::net::Ipv4Addr::LOCALHOST.into(), 443, Record::new());
    for (config, mark) in [(ECT0, 2), (ECT1, 1)] {
        let connect = testing::connect(&l4s, &job, &config).unwrap();
        assert_eq!(connect.kind(), ConnectKind::Quic);
        assert_eq!(connect.settings().u64("ecn"), Some(mark));
    }
    assert!(l4s.configurations().iter().all(|one| one.carried_by() == Carrier::Opening));
    let conclude = |a, b| {
        let found = testing::conclude(&l4s, &[by_quic(2, a), by_quic(1, b)]);
        let short: Vec<&str> = found.iter().map(|one| one.trim_start_matches("l4s.")).collect();
        short.join(" ")
    };
    for (counts, words) in [
        (Some([0, 5, 0]), "ect1.intact"),
        (None, "ect1.bleached"),
        (Some([5, 0, 0]), "ect1.remarked:ect0"),
        (Some([0, 0, 5]), "ect1.remarked:ce"),
        (Some([0, 4, 1]), "ect1.congested"),
        (Some([0, 3, 0]), "ect1.undercount"),
        (Some([0, 7, 0]), "ect1.overcount"),
    ] {
        let expected = format!("connectivity.works ect0.intact {words} feedback.counters");
        assert_eq!(conclude(Some([5, 0, 0]), counts), expected);
    }
    assert_eq!(conclude(None, None), "connectivity.works feedback.absent");
    let single = acknowledged_by_quic(1, 1, Some([0, 0, 1]));
    let found = testing::conclude(&l4s, &[by_quic(2, Some([5, 0, 0])), single]);
    assert!(found.contains(&"l4s.ect1.congested".to_owned()), "{found:?}");
    let found = testing::conclude(&l4s, &[by_quic(2, None), by_quic(2, None)]);
    assert!(found.contains(&"pathspider.not_applied:1".to_owned()), "{found:?}");
}
