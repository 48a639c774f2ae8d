//! What leaves in each configuration, and what is concluded from flows that are written out here. How
//! targets and paths change it, the lab has.

use std::net::SocketAddr;

use pathspider_plugin_api::testing::{self, Peer, Server, TestFlow};

use super::*;

const ENDS: [[&str; 2]; 2] =
    [["192.0.2.7:4000", "198.51.100.1:80"], ["[2001:db8::7]:4000", "[2001:db8::1]:80"]];

/// A server whose SYN/ACK has these three bits.
struct Agrees(Server, u8);

impl Peer for Agrees {
    fn take(&mut self, now: Duration, sent: &[u8]) -> Vec<(Duration, Vec<u8>)> {
        let bits = self.1;
        let set = move |(at, mut octets): (Duration, Vec<u8>)| {
            let tcp = if octets[0] >> 4 == 4 { 20 } else { 40 };
            if octets[tcp + 13] & 2 != 0 {
                octets[tcp + 12] |= bits >> 2;
                octets[tcp + 13] |= bits << 6;
            }
            (at, octets)
        };
        self.0.take(now, sent).into_iter().map(set).collect()
    }

    fn due(&mut self, now: Duration) -> Option<Duration> {
        self.0.due(now)
    }

    fn wake(&mut self, now: Duration) -> Vec<(Duration, Vec<u8>)> {
        self.0.wake(now)
    }
}

/// What leaves in a configuration: the three bits, the ECN field, and how many octets of data.
fn sent(config: &Configuration, bits: u8, ends: [&str; 2]) -> Vec<(u8, u8, usize)> {
    let [local, remote] = ends.map(|end| end.parse::<SocketAddr>().unwrap());
    let job = Job::new(0, remote.ip(), remote.port(), Record::new());
    let accecn: AccEcn = testing::with_options(Record::new());
    let mut connect = testing::connect(&accecn, &job, config).unwrap();
    let mut target = Agrees(Server::new("HTTP/1.1 204 \r\n\r\n"), bits);
    let talked = testing::converse(&mut connect, (local, remote), &mut target).unwrap();
    assert_eq!(talked.outcome.state(), State::Ok);
    let each = |(_, octets): &(Duration, Vec<u8>)| {
        let packet = testing::packet(octets).unwrap();
        (packet.tcp().unwrap().flags().ace(), packet.ip().ecn(), packet.payload().len())
    };
    talked.sent.iter().map(each).collect()
}

#[test]
fn data_are_marked_where_the_target_agreed() {
    for ends in ENDS {
        let sent = sent(&ACCURATE, 0b010, ends);
        assert_eq!(sent[..2], [(7, 0, 0), (0b010, 0, 0)]);
        let data: Vec<_> = sent.iter().filter(|(_, _, octets)| *octets > 0).collect();
        assert!(matches!(data[..], [(5, 1, first), (5, 3, second)] if first.abs_diff(*second) < 2));
        for (_, mark, octets) in &sent[2..] {
            assert_eq!(*octets == 0, *mark == 0, "segments without data have no mark");
        }
    }
    for bits in [0b000, 0b001, 0b111] {
        let sent = sent(&ACCURATE, bits, ENDS[0]);
        assert_eq!(sent[0], (7, 0, 0));
        assert!(sent[1..].iter().all(|(ace, mark, _)| (*ace, *mark) == (0, 0)), "{sent:?}");
        assert_eq!(sent.iter().filter(|(_, _, octets)| *octets > 0).count(), 2, "{bits}");
    }
}

#[test]
fn a_asks_for_classic_ecn_and_the_others_have_a_mark_on_the_syn() {
    let a = sent(&CLASSIC, 0b001, ENDS[0]);
    assert_eq!(a[0], (0b011, 0, 0));
    assert!(a[1..].iter().all(|(ace, mark, _)| (*ace, *mark) == (0, 0)), "{a:?}");
    assert_eq!(a.iter().filter(|(_, _, octets)| *octets > 0).count(), 2);
    for (config, mark) in MARKED {
        let sent = sent(&config, 0b010, ENDS[1]);
        assert_eq!(sent[..2], [(7, mark, 0), (0b010, 0, 0)]);
        assert!(sent.iter().all(|(_, _, octets)| *octets == 0), "a handshake alone");
    }
}

#[test]
fn a_syn_that_nobody_goes_on_with_asks_for_the_same() {
    let accecn: AccEcn = testing::with_options(Record::new().with("connect", "syn"));
    let all = [(CLASSIC, 0b011, 0), (ACCURATE, 0b111, 0)].into_iter();
    for (config, bits, mark) in all.chain(MARKED.map(|(config, mark)| (config, 0b111, mark))) {
        let job = Job::new(0, [192, 0, 2, 1].into(), 80, Record::new());
        let connect = testing::connect(&accecn, &job, config).unwrap();
        let octets = testing::syn(&connect, &job).unwrap();
        let packet = testing::packet(&octets).unwrap();
        assert_eq!((packet.tcp().unwrap().flags().ace(), packet.ip().ecn()), (bits, mark));
    }
}

/// A connection whose SYN had this mark, and whose SYN/ACK these bits; `None` without one.
fn flow(config: &Configuration, answer: Option<u8>) -> TestFlow {
    let flags = if config.id() == CLASSIC {
        TcpFlags::SYN.and(TcpFlags::ECE).and(TcpFlags::CWR)
    } else {
        TcpFlags::SYN.and(TcpFlags::ASK_FOR_ECN)
    };
    let flow = testing::flow(if answer.is_some() { State::Ok } else { State::Timeout });
    flow.with(syn::COUNT_FWD, 1)
        .with(syn::FLAGS_ALL_FWD, flags)
        .with(syn::FLAGS_ANY_FWD, flags)
        .with(tcp::CONNECTED, answer.is_some())
        .with(accecn::SYN_MARKS, 1 << mark(config.id()))
        .with(accecn::ANSWER, answer)
}

/// What B's data and their feedback are on a path that harms nothing.
fn fed(b: TestFlow) -> TestFlow {
    b.with(accecn::OPTION_SYN, true)
        .with(accecn::OPTION_LATER, true)
        .with(accecn::ZEROED, false)
        .with(accecn::SENT_NOT_ECT, 0)
        .with(accecn::SENT_ECT1, 1)
        .with(accecn::SENT_ECT0, 0)
        .with(accecn::SENT_CE, 1)
        .with(accecn::ACE_BEFORE, 5)
        .with(accecn::E0B_BEFORE, 1)
        .with(accecn::CEB_BEFORE, 0)
        .with(accecn::E1B_BEFORE, 41)
        .with(accecn::ACE_AFTER, 6)
        .with(accecn::E0B_AFTER, 1)
        .with(accecn::CEB_AFTER, 40)
        .with(accecn::E1B_AFTER, 41)
}

/// What is concluded, without the conditions that a clean path has too, and which of these are missing.
fn differs(b: TestFlow, marked: [Option<u8>; 3]) -> (String, String) {
    let conclude = |b: TestFlow, marked: [Option<u8>; 3]| {
        let others =
            MARKED.into_iter().zip(marked).map(|((config, _), answer)| flow(&config, answer));
        let flows: Vec<_> = [flow(&CLASSIC, Some(1)), b].into_iter().chain(others).collect();
        let accecn: AccEcn = testing::with_options(Record::new());
        testing::conclude(&accecn, &flows)
    };
    let clean = conclude(fed(flow(&ACCURATE, Some(0b010))), CLEAN);
    let found = conclude(b, marked);
    let without = |all: &[String], others: &[String]| {
        let rest = all.iter().filter(|one| !others.contains(one));
        rest.map(|one| one.trim_start_matches("accecn.")).collect::<Vec<_>>().join(" ")
    };
    (without(&found, &clean), without(&clean, &found))
}

/// The answers to SYNs with ECT(0), ECT(1) and CE.
const CLEAN: [Option<u8>; 3] = [Some(0b100), Some(0b011), Some(0b110)];

fn agreed() -> TestFlow {
    fed(flow(&ACCURATE, Some(0b010)))
}

#[test]
fn marks_of_syns_are_read_from_the_answer() {
    assert_eq!(differs(agreed(), CLEAN), (String::new(), String::new()));
    let (found, missing) = differs(agreed(), [Some(0b010), Some(0b100), None]);
    let expected = "ce.connectivity.broken syn.ect0.became:notect syn.ect1.became:ect0";
    assert_eq!(found, expected);
    assert_eq!(missing, "ce.connectivity.works syn.ect0.intact syn.ect1.intact syn.ce.intact");
    let (found, _) = differs(agreed(), [Some(0b101); 3]);
    assert_eq!(found, "", "reserved bits say nothing of marks");
    for (bits, word) in [(0, "failed"), (1, "classic"), (7, "reflected")] {
        let (found, missing) = differs(fed(flow(&ACCURATE, Some(bits))), CLEAN);
        assert_eq!(found, format!("negotiation.{word}"));
        assert!(
            missing.contains("data.ect1.intact") && missing.contains("ce.counted"),
            "{missing}"
        );
    }
}

#[test]
fn feedback_is_read_from_the_counters() {
    let b = agreed().with(accecn::ACE_AFTER, 5).with(accecn::CEB_AFTER, 0);
    let became = differs(b, CLEAN).0;
    assert_eq!(became, "ce.not_counted data.ce.became:notect");
    let b = agreed().with(accecn::E1B_BEFORE, 1).with(accecn::E0B_BEFORE, 41);
    let b = b.with(accecn::E1B_AFTER, 1).with(accecn::E0B_AFTER, 41);
    assert_eq!(differs(b, CLEAN).0, "data.ect1.became:ect0");
    // The counter of packets goes round after seven.
    let b = agreed().with(accecn::ACE_BEFORE, 7).with(accecn::ACE_AFTER, 0);
    assert_eq!(differs(b, CLEAN), (String::new(), String::new()));
    let b = agreed().with(accecn::ACE_BEFORE, 0).with(accecn::ACE_AFTER, 0);
    assert_eq!(differs(b, CLEAN).0, "ace.zeroed");
    let (found, missing) = differs(agreed().with(accecn::ZEROED, true), CLEAN);
    assert_eq!(
        (&*found, &*missing),
        ("option.zeroed", "option.seen data.ect1.intact data.ce.intact")
    );
    assert_eq!(differs(agreed().with(accecn::OPTION_LATER, false), CLEAN).0, "option.stripped");
}

#[test]
fn no_verdict_where_the_wire_does_not_show_what_was_meant() {
    let unmarked = agreed().with(accecn::SENT_NOT_ECT, 1);
    let (found, missing) = differs(unmarked, CLEAN);
    let data = "data.connectivity.works ce.counted data.ect1.intact data.ce.intact";
    assert_eq!((&*found, &*missing), ("", data));
    let (found, missing) = differs(agreed().with(accecn::SYN_MARKS, 4), CLEAN);
    assert_eq!(found, "pathspider.not_applied:1");
    assert!(missing.contains("connectivity.works negotiation.accurate"), "{missing}");
    let (found, _) = differs(agreed().with(accecn::SYN_MARKS, None), CLEAN);
    assert_eq!(found, "pathspider.not_observed");
}
