//! The observer in a measurement: each claim is answered with the flow that is its connection's.
//!
//! The packets come from captures made here, so that times are exact.

#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::net::{IpAddr, SocketAddr};

use crate::wire::*;
use crossbeam::channel::{Receiver, bounded, unbounded};
use pathspider_observer::chains::Catalogue;
use pathspider_observer::{
    Answer, Await, Claim, ConnectionId, Counters, Endpoint, Follow, Notice, Observation,
    PcapWriter, Replay, Seek, Settings, Source, Told, Unanswering, Wanted, last_ns, open, watch,
};
use pathspider_plugin_api::abi::ChainSet;
use pathspider_plugin_api::chains::flow;
use pathspider_plugin_api::{ChainName, FlowRecord};
use pathspider_runtime::files::Existing;
use proptest::prelude::*;

const TCP: u8 = 6;

fn remote() -> SocketAddr {
    (IpAddr::from(THEM), THEIR_PORT).into()
}

fn expect() -> Notice {
    Notice::Expect(Endpoint { protocol: TCP, address: THEM.into(), port: THEIR_PORT })
}

fn withdraw() -> Notice {
    Notice::Withdraw(Endpoint { protocol: TCP, address: THEM.into(), port: THEIR_PORT })
}

/// A claim of a connection from this port, in milliseconds after the captures' start.
fn claim(number: u64, port: u16, (started, ended): (i64, i64)) -> Notice {
    Notice::Claim(Claim {
        id: connection(number),
        protocol: TCP,
        local: (IpAddr::from(US), port).into(),
        remote: remote(),
        started_ns: START + started * 1_000_000,
        ended_ns: START + ended * 1_000_000,
        last_ns: None,
    })
}

/// Runs the observer over a capture, with these notices waiting from the start.
fn run(capture: &Capture, notices: &[Notice], settings: Settings) -> (Vec<Observation>, Counters) {
    let (sender, receiver) = unbounded();
    for notice in notices {
        sender.send(again(notice)).unwrap();
    }
    drop(sender);
    observe(capture, receiver, settings)
}

/// Runs the observer over a capture, with these notices.
fn observe(
    capture: &Capture,
    receiver: Receiver<Notice>,
    settings: Settings,
) -> (Vec<Observation>, Counters) {
    let (answers, answered) = bounded(1);
    let watch = watch(capture.source(), chains(), settings, receiver, answers, || {}).unwrap();
    let mut answers: Vec<Observation> = answered.iter().collect();
    answers.sort_by_key(|answer| answer.id);
    let (counters, result) = watch.join().unwrap();
    assert_eq!(result, Ok(()));
    (answers, counters)
}

/// A notice, once more.
fn again(notice: &Notice) -> Notice {
    match notice {
        Notice::Expect(end) => Notice::Expect(*end),
        Notice::Withdraw(end) => Notice::Withdraw(*end),
        Notice::Claim(claim) => Notice::Claim(*claim),
        Notice::Seek(seek) => Notice::Seek(*seek),
        Notice::Await(_) | Notice::Forget { .. } => panic!("an answer can be asked for once"),
    }
}

fn number(record: &Option<FlowRecord>, key: &str) -> Option<u64> {
    record.as_ref()?.value(key)?.as_u64()
}

fn segment(port: u16, way: Way, flags: u8, sequence: u32) -> Vec<u8> {
    tcp_from(port, way, flags, (sequence, 1), &[], &[])
}

/// A segment that acknowledges our SYN with this number.
fn answer(port: u16, flags: u8, sequence: u32, syn: u32) -> Vec<u8> {
    tcp_from(port, Back, flags, (sequence, syn + 1), &[], &[])
}

#[test]
fn a_claim_gets_its_flow_and_nothing_else_is_looked_at() {
    let mut foreign = segment(7, There, SYN, 1);
    foreign[16] = 99;
    let capture = Capture::raw()
        .at(0, foreign)
        .at(1, segment(7, There, SYN, 1))
        .at(2, answer(7, SYN | ACK, 2, 1))
        .at(3, segment(8, There, SYN, 1));
    let notices = [expect(), expect(), claim(1, 7, (0, 10)), claim(2, 9, (0, 10))];
    let (answers, counters) = run(&capture, &notices, Settings::default());
    assert_eq!(answers.len(), 2);
    assert_eq!(number(&answers[0].flow, "pkt_fwd"), Some(1));
    assert_eq!(number(&answers[0].flow, "pkt_rev"), Some(1));
    assert!(answers[1].flow.is_none());
    assert_eq!((counters.ignored, counters.flows), (1, 2));
}

/// A connection whose local end nobody knows, in milliseconds after the captures' start.
fn seek(number: u64, (started, ended): (i64, i64)) -> Notice {
    const UDP: u8 = 17;
    Notice::Seek(Seek {
        id: connection(number),
        remotes: [TCP, UDP].map(|protocol| Endpoint {
            protocol,
            address: THEM.into(),
            port: THEIR_PORT,
        }),
        started_ns: START + started * 1_000_000,
        ended_ns: START + ended * 1_000_000,
    })
}

#[test]
fn a_connection_without_our_end_gets_the_flow_of_its_time() {
    let capture = Capture::raw()
        .at(1, segment(7, There, SYN, 1))
        .at(400, segment(7, There, SYN, 1))
        // At once after the call before.
        .at(1_001, segment(8, There, SYN, 1))
        .at(1_006, answer(8, SYN | ACK, 2, 1))
        .at(5_000, answer(9, SYN | ACK, 2, 1));
    let notices = [expect(), expect(), expect(), seek(1, (0, 1_000)), seek(2, (1_000, 2_000))];
    let (answers, _) = run(&capture, &notices, Settings::default());
    let found = |at: usize| {
        let answer: &Observation = &answers[at];
        let port = answer.local.map(|local| (local.ip(), local.port()));
        (
            answer.id.job().number(),
            number(&answer.flow, "pkt_fwd"),
            number(&answer.flow, "pkt_rev"),
            port,
        )
    };
    assert_eq!(found(0), (1, Some(2), Some(0), Some((US.into(), 7))));
    assert_eq!(found(1), (2, Some(1), Some(1), Some((US.into(), 8))));
}

#[test]
fn what_may_be_anothers_is_nobodys() {
    let two = Capture::raw().at(1, segment(7, There, SYN, 1)).at(2, segment(8, There, SYN, 1));
    let one = Capture::raw().at(1, segment(7, There, SYN, 1));
    let two_at_once = [expect(), expect(), seek(1, (0, 10)), seek(2, (5, 20))];
    // One of two flows is claimed: the other is left.
    let (answers, _) = run(
        &two,
        &[expect(), expect(), claim(1, 7, (0, 10)), seek(2, (0, 10))],
        Settings::default(),
    );
    assert_eq!(answers[1].local.map(|local| local.port()), Some(8));
    for (capture, notices) in [(&two, &[expect(), seek(1, (0, 10))][..]), (&one, &two_at_once)] {
        let (answers, _) = run(capture, notices, Settings::default());
        assert!(answers.iter().all(|answer| answer.flow.is_none() && answer.local.is_none()));
    }
    // Our system resets what somebody sprays: that is no connection of anybody's.
    let sprayed = Capture::raw().at(1, answer(9, SYN | ACK, 2, 1)).at(2, segment(9, There, RST, 2));
    let both = sprayed.clone().at(3, segment(7, There, SYN, 1));
    for (capture, port) in [(&sprayed, None), (&both, Some(7))] {
        let (answers, _) = run(capture, &[expect(), seek(1, (0, 10))], Settings::default());
        assert_eq!(answers[0].local.map(|local| local.port()), port);
    }
    // What began before is not of its time.
    let (answers, _) = run(&one, &[expect(), seek(1, (50, 60))], Settings::default());
    assert!(answers[0].flow.is_none());
}

#[test]
fn forward_is_from_us_whoever_is_seen_first() {
    // Before anything has left us, nothing can be an answer.
    let capture = Capture::raw()
        .at(1, answer(7, SYN | ACK, 2, 1))
        .at(2, segment(7, There, SYN, 1))
        .at(3, answer(7, SYN | ACK, 2, 1));
    let (answers, counters) = run(&capture, &[expect(), claim(1, 7, (0, 5))], Settings::default());
    assert_eq!(number(&answers[0].flow, "pkt_rev"), Some(1));
    assert_eq!(number(&answers[0].flow, "sp"), Some(7));
    assert_eq!(counters.unanswering(Unanswering::Unasked), 1);
}

#[test]
fn a_withdrawn_endpoint_is_not_ours_any_more() {
    let capture = Capture::raw().at(1, segment(7, There, SYN, 1));
    let (answers, counters) = run(&capture, &[expect(), withdraw()], Settings::default());
    assert!(answers.is_empty());
    assert_eq!(counters.ignored, 1);
}

#[test]
fn ports_used_again_make_two_flows() {
    // The second connection begins 20 ms after the first has ended, with the same ports.
    let capture = Capture::raw()
        .at(1, segment(7, There, SYN, 100))
        .at(2, answer(7, RST | ACK, 0, 100))
        .at(30, segment(7, There, SYN, 900))
        .at(31, answer(7, SYN | ACK, 5, 900))
        .at(32, segment(7, There, ACK, 901));
    let first_then_second = [expect(), expect(), claim(1, 7, (0, 10)), claim(2, 7, (20, 40))];
    let second_then_first = [expect(), expect(), claim(2, 7, (20, 40)), claim(1, 7, (0, 10))];
    for notices in [first_then_second, second_then_first] {
        let (answers, counters) = run(&capture, &notices, Settings::default());
        assert_eq!(number(&answers[0].flow, "pkt_fwd"), Some(1));
        assert_eq!(number(&answers[1].flow, "pkt_fwd"), Some(2));
        assert_eq!(counters.flows, 2);
    }
}

#[test]
fn late_packets_count_for_a_while_and_then_are_known_as_late() {
    let capture = Capture::raw()
        .at(1, segment(7, There, SYN, 100))
        .at(2, answer(7, RST | ACK, 0, 100))
        .at(50, answer(7, RST | ACK, 0, 100))
        .at(400, answer(7, RST | ACK, 0, 100))
        .at(500, answer(7, RST | ACK, 0, 100));
    // Another connection keeps the endpoint expected.
    let notices = [expect(), expect(), claim(1, 7, (0, 10)), claim(2, 9, (0, 2_000))];
    // One packet a batch, or the end of the file would come before the claim is due.
    let (answers, _) = run(&capture, &notices, Settings::default());
    assert_eq!(answers.len(), 2);
    assert!(number(&answers[0].flow, "pkt_rev") >= Some(2));
}

#[test]
fn an_error_about_a_packet_that_was_not_captured_proves_nothing() {
    let syn = segment(7, There, SYN, 1);
    let notices = [expect(), claim(1, 7, (0, 5))];
    let capture = Capture::raw().at(3, icmp(3, 1, &syn[..28]));
    let (answers, counters) = run(&capture, &notices, Settings::default());
    assert!(answers[0].flow.is_none());
    assert_eq!(counters.unanswering(Unanswering::Quote), 1);
    let capture = Capture::raw().at(2, syn.clone()).at(3, icmp(3, 1, &syn[..28]));
    let (answers, counters) = run(&capture, &notices, Settings::default());
    let flow = answers[0].flow.as_ref().unwrap().to_record();
    assert_eq!(flow.bool("icmp_unreachable"), Some(true));
    assert_eq!((flow.str("dip"), flow.u64("dp")), (Some("198.51.100.7"), Some(80)));
    // The error is no packet of the target's.
    assert_eq!((flow.u64("pkt_fwd"), flow.u64("pkt_rev")), (Some(1), Some(0)));
    assert_eq!(counters.unanswering_total(), 0);
}

#[test]
fn what_was_saved_gives_the_same_records_when_observed() {
    let path = std::env::temp_dir().join(format!("pathspider-claims-{}.pcap", std::process::id()));
    let mut foreign = segment(7, There, SYN, 1);
    foreign[16] = 99;
    let capture = Capture::raw()
        .at(1, segment(7, There, SYN, 100))
        .at(2, foreign)
        .at(3, answer(7, RST | ACK, 0, 100))
        .at(30, segment(7, There, SYN, 900))
        .at(31, segment(8, There, SYN, 1))
        .at(32, icmp(3, 1, &segment(8, There, SYN, 1)[..28]))
        .at(33, answer(7, SYN | ACK, 5, 900));
    let notices = [
        expect(),
        expect(),
        expect(),
        claim(1, 7, (0, 10)),
        claim(2, 7, (20, 40)),
        claim(3, 8, (20, 40)),
    ];
    let save = PcapWriter::create(&path, Existing::Refuse).unwrap();
    let settings = Settings { save: Some(save), ..Settings::default() };
    let (answers, _) = run(&capture, &notices, settings);
    let mut ours: Vec<_> =
        answers.iter().map(|a| serde_json::to_value(a.flow.as_ref().unwrap()).unwrap()).collect();
    let source = pathspider_observer::open(path.to_str().unwrap(), &Default::default()).unwrap();
    let mut replayed = see(source, &["basic", "tcp", "syn", "icmp"], &Settings::default()).flows;
    std::fs::remove_file(&path).unwrap();
    // An ICMP error counts among the packets of what is merely observed.
    let of_error = ours.iter_mut().find(|record| record["icmp_unreachable"] == true).unwrap();
    assert_eq!((&of_error["pkt_rev"], &of_error["oct_rev"]), (&0.into(), &0.into()));
    (of_error["pkt_rev"], of_error["oct_rev"]) = (1.into(), 56.into());
    ours.sort_by_key(|record| record.to_string());
    replayed.sort_by_key(|record| record.to_string());
    assert_eq!(ours, replayed);
}

/// The claims of these notices, with the times that the answers have.
fn known(claims: &[(i64, Notice)], answers: &[Observation]) -> Vec<Claim> {
    let claims = claims.iter().map(|(_, notice)| match notice {
        Notice::Claim(claim) => *claim,
        other => panic!("{other:?}"),
    });
    claims
        .map(|claim| {
            let flow = answers.iter().find(|answer| answer.id == claim.id).unwrap().flow.as_ref();
            let last = flow.map(|seen| seen.get(flow::LAST).unwrap());
            Claim { last_ns: last.map(last_ns), ..claim }
        })
        .collect()
}

/// A capture that is read packet by packet, while connections begin and end as in a run: a notice is
/// sent before the first packet that is not before its time.
struct Lived {
    packets: std::vec::IntoIter<(i64, Vec<u8>)>,
    notices: std::iter::Peekable<std::vec::IntoIter<(i64, Notice)>>,
    /// `None` when all are sent.
    sender: Option<crossbeam::channel::Sender<Notice>>,
    now: std::io::Cursor<Vec<u8>>,
}

impl Lived {
    /// Claims come this many milliseconds after the end of their connection.
    fn new(capture: &Capture, claims: &[(i64, Notice)]) -> (Lived, Receiver<Notice>) {
        let (sender, receiver) = unbounded();
        let begin = claims.iter().map(|(_, notice)| (started_ns(notice), expect()));
        let end = claims.iter().map(|(ms, notice)| {
            let Notice::Claim(claim) = notice else { panic!("{notice:?}") };
            (claim.ended_ns + ms * 1_000_000, again(notice))
        });
        let mut notices: Vec<(i64, Notice)> = begin.chain(end).collect();
        notices.sort_by_key(|notice| notice.0);
        let file = |packets| Capture { packets, link: capture.link, cut: capture.cut }.file();
        let header = file(Vec::new());
        let alone = |one: &(i64, Vec<u8>)| (one.0, file(vec![one.clone()]).split_off(header.len()));
        let mut packets = vec![(i64::MIN, header.clone())];
        packets.extend(capture.packets.iter().map(alone));
        let packets = packets.into_iter();
        let notices = notices.into_iter().peekable();
        (Lived { packets, notices, sender: Some(sender), now: Default::default() }, receiver)
    }

    fn send_until(&mut self, time: i64) {
        while let Some((_, notice)) = self.notices.next_if(|notice| notice.0 <= time) {
            self.sender.as_ref().unwrap().send(notice).unwrap();
        }
    }
}

impl std::io::Read for Lived {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.now.position() == self.now.get_ref().len() as u64 {
            let Some((time, octets)) = self.packets.next() else {
                if self.sender.is_some() {
                    self.send_until(i64::MAX);
                    self.sender = None;
                }
                return Ok(0);
            };
            self.send_until(time);
            self.now = std::io::Cursor::new(octets);
        }
        self.now.read(into)
    }
}

fn started_ns(notice: &Notice) -> i64 {
    match notice {
        Notice::Claim(claim) => claim.started_ns,
        other => panic!("{other:?}"),
    }
}

fn chains() -> ChainSet {
    let names = ChainName::list(["basic", "tcp", "syn", "icmp"]);
    Catalogue::library().resolve(&names).unwrap().chains
}

/// Runs the observer over a capture, and again over what it saved: the answers, and those of then.
/// Claims come this many milliseconds late.
fn replayed(
    name: &str,
    capture: &Capture,
    claims: &[(i64, Notice)],
) -> (Vec<Observation>, Vec<Observation>) {
    let file = format!("pathspider-replay-{}-{name}.pcap", std::process::id());
    let path = std::env::temp_dir().join(file);
    let save = PcapWriter::create(&path, Existing::Overwrite).unwrap();
    let settings = Settings { save: Some(save), ..Settings::default() };
    let (lived, notices) = Lived::new(capture, claims);
    let source = Source::from_reader(lived, "lived", &Default::default()).unwrap();
    let (answers, answered) = unbounded();
    let watch = watch(source, chains(), settings, notices, answers, || {}).unwrap();
    let mut answers: Vec<Observation> = answered.iter().collect();
    answers.sort_by_key(|answer| answer.id);
    assert_eq!(watch.join().unwrap().1, Ok(()));
    let source = open(path.to_str().unwrap(), &Default::default()).unwrap();
    let replay = Replay::new(source, chains(), known(claims, &answers));
    let mut again: Vec<Observation> = replay.collect();
    again.sort_by_key(|answer| answer.id);
    std::fs::remove_file(&path).unwrap();
    (answers, again)
}

fn assert_same((answers, again): &(Vec<Observation>, Vec<Observation>)) {
    assert_eq!(answers.len(), again.len());
    for (then, now) in answers.iter().zip(again) {
        assert_eq!((then.id, &then.flow), (now.id, &now.flow));
    }
}

#[test]
fn what_was_saved_gives_the_same_answers_again() {
    let syn = |port| segment(port, There, SYN, 100);
    let capture = Capture::raw()
        .at(1, syn(7))
        .at(2, answer(7, RST | ACK, 0, 100))
        // Its ports are used again, by a connection that is never answered.
        .at(30, segment(7, There, SYN, 900))
        .at(1_030, segment(7, There, SYN, 900))
        // Nothing but an error about a packet that was not captured: it answers nothing.
        .at(1_040, icmp(3, 1, &syn(8)[..28]))
        // Late for the first of them, before its grace is over, and after that.
        .at(1_100, syn(9))
        .at(1_101, answer(9, SYN | ACK, 5, 100))
        .at(1_102, segment(9, There, ACK, 101))
        .at(1_150, answer(9, FIN | ACK, 6, 100))
        .at(7_500, answer(9, RST | ACK, 6, 100));
    let claims = [
        (1, claim(1, 7, (0, 10))),
        (0, claim(2, 7, (20, 3_000))),
        (5, claim(3, 8, (1_020, 1_060))),
        (5, claim(4, 9, (1_090, 1_120))),
        (5, claim(5, 11, (1_100, 8_000))),
    ];
    let both = replayed("all", &capture, &claims);
    assert_same(&both);
    let flows: Vec<_> = both.1.iter().map(|answer| number(&answer.flow, "pkt_fwd")).collect();
    assert_eq!(flows, [Some(1), Some(2), None, Some(2), None]);
}

/// Has this capture observed, while somebody waits for what comes on the flow from our port 7. What is
/// told then.
fn awaited(capture: &Capture, wanted: Wanted) -> Option<Told> {
    awaited_but(capture, wanted, None)
}

/// The same with a further notice before the capture.
fn awaited_but(capture: &Capture, wanted: Wanted, further: Option<Notice>) -> Option<Told> {
    let (sender, receiver) = unbounded();
    let local = (IpAddr::from(US), 7).into();
    sender.send(Notice::Await(Await { protocol: TCP, local, remote: remote(), wanted })).unwrap();
    further.into_iter().for_each(|notice| sender.send(notice).unwrap());
    drop(sender);
    let (answers, mut told) = tokio::sync::mpsc::unbounded_channel();
    observe(capture, receiver, Settings { answers: Some(answers), ..Settings::default() });
    let first = told.try_recv().ok();
    assert_eq!(told.try_recv().ok(), None, "there is one notice");
    first
}

/// The notice of a flow's first answer in this capture.
fn first_answer(capture: &Capture) -> Option<Answer> {
    let told = awaited(capture, Wanted::First(connection(3)))?;
    assert_eq!(told.id, connection(3));
    Some(told.answer)
}

/// The notice that a flow of this capture is complete.
fn completion(capture: &Capture) -> Option<Answer> {
    awaited(capture, Wanted::Done(connection(3))).map(|told| told.answer)
}

#[test]
fn nothing_is_told_of_a_flow_that_was_not_sent() {
    let capture = || {
        let sent = Capture::raw().at(0, segment(7, There, SYN, 1));
        sent.at(1, answer(7, SYN | ACK, 2, 1))
    };
    assert_eq!(first_answer(&capture()), Some(Answer::Packet));
    let local = (IpAddr::from(US), 7).into();
    let forget = Notice::Forget { protocol: TCP, local, remote: remote() };
    assert_eq!(awaited_but(&capture(), Wanted::First(connection(3)), Some(forget)), None);
}

#[test]
fn a_complete_flow_is_told_and_what_comes_before_is_not() {
    let sent = || Capture::raw().at(0, segment(7, There, SYN, 1));
    let syn_ack = answer(7, SYN | ACK, 2, 1);
    let reset = answer(7, RST | ACK, 3, 1);
    assert_eq!(completion(&sent().at(1, syn_ack.clone())), None, "a SYN/ACK completes nothing");
    assert_eq!(completion(&sent().at(1, syn_ack.clone()).at(2, reset)), Some(Answer::Reset));
    let unreachable = icmp(3, 13, &segment(7, There, SYN, 1)[..28]);
    let told = completion(&sent().at(1, syn_ack).at(2, unreachable));
    assert_eq!(told, Some(Answer::Icmp("admin_prohibited")));
}

#[test]
fn a_flow_that_is_followed_is_copied_and_one_that_is_not_read_is_left() {
    let syn = segment(7, There, SYN, 1);
    let syn_ack = answer(7, SYN | ACK, 2, 1);
    let unreachable = icmp(3, 13, &syn[..28]);
    let capture = || {
        let capture = Capture::raw().at(0, syn.clone()).at(1, syn_ack.clone());
        let wrong = answer(7, SYN | ACK, 2, 9);
        capture.at(2, wrong).at(3, unreachable.clone()).at(4, answer(8, SYN | ACK, 2, 1))
    };
    let (follow, mut following) = Follow::new(2);
    awaited(&capture(), Wanted::All(follow));
    let heard: Vec<Vec<u8>> =
        std::iter::from_fn(|| following.try_next()).map(|heard| heard.octets).collect();
    assert_eq!(heard, [syn_ack.clone(), unreachable.clone()], "what answers, and errors about it");
    assert!(!following.is_overrun());
    let (follow, mut following) = Follow::new(1);
    awaited(&capture().at(5, syn_ack.clone()), Wanted::All(follow));
    assert!(following.is_overrun());
    assert_eq!(following.try_next().unwrap().octets, syn_ack);
    assert_eq!(following.try_next(), None, "nothing follows what was left out");
    let (follow, following) = Follow::new(1);
    drop(following);
    awaited(&capture(), Wanted::All(follow));
}

#[test]
fn the_first_answer_is_told() {
    let syn = segment(7, There, SYN, 1);
    let sent = || Capture::raw().at(0, syn.clone());
    let unreachable = icmp(3, 13, &syn[..28]);
    let redirect = icmp(5, 1, &syn[..28]);
    let prohibited = Answer::Icmp("admin_prohibited");
    let reassembly = icmp(11, 1, &syn[..28]);
    let expired = icmp(11, 0, &syn[..28]);
    let time_exceeded = Answer::Icmp("ttl_exceeded");
    let other = icmp(3, 13, &segment(7, There, SYN, 2)[..28]);
    let syn_ack = answer(7, SYN | ACK, 2, 1);
    let reset = answer(7, RST | ACK, 0, 1);
    let wrong = answer(7, SYN | ACK, 2, 2);
    assert_eq!(first_answer(&sent()), None);
    assert_eq!(first_answer(&sent().at(1, syn.clone())), None, "our own is none");
    assert_eq!(first_answer(&sent().at(1, answer(8, SYN | ACK, 2, 1))), None, "another's");
    assert_eq!(first_answer(&sent().at(1, wrong)), None, "it acknowledges another SYN");
    assert_eq!(first_answer(&sent().at(1, other)), None, "about another SYN");
    assert_eq!(first_answer(&sent().at(1, reassembly)), None, "sockets do not hear of it");
    assert_eq!(first_answer(&sent().at(1, expired)), Some(time_exceeded));
    assert_eq!(first_answer(&sent().at(1, syn_ack.clone())), Some(Answer::Packet));
    assert_eq!(first_answer(&Capture::raw().at(1, syn_ack.clone())), None, "nothing was sent");
    assert_eq!(first_answer(&sent().at(1, reset.clone())), Some(Answer::Reset));
    assert_eq!(first_answer(&sent().at(1, unreachable.clone())), Some(prohibited));
    assert_eq!(first_answer(&Capture::raw().at(1, unreachable.clone())), None, "nor of what");
    assert_eq!(first_answer(&sent().at(1, redirect).at(2, syn_ack.clone())), Some(Answer::Packet));
    assert_eq!(first_answer(&sent().at(1, reset).at(2, syn_ack)), Some(Answer::Reset));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Connections that follow each other on a few ports, and packets of theirs and of others.
    #[test]
    fn whatever_is_saved_is_answered_the_same_again(
        packets in prop::collection::vec(
            (0i64..12_000, 1u16..4, any::<bool>(), 0u8..32, 0u32..3), 0..80),
        lasting in prop::collection::vec((1u16..4, 2i64..900, 0i64..2_000, 0i64..2), 0..12),
    ) {
        let mut free_at = [0; 4];
        let mut claims = Vec::new();
        let mut begun = Vec::new();
        for (id, &(port, pause, lasted, late)) in lasting.iter().enumerate() {
            let from = free_at[usize::from(port)] + pause;
            free_at[usize::from(port)] = from + lasted;
            begun.push((port, from..=from + lasted));
            claims.push((late, claim(id as u64, port, (from, from + lasted))));
        }
        let mut packets = packets;
        for (ms, port, there, flags, _) in &mut packets {
            // Nothing of ours begins where no connection does.
            if *there && !begun.iter().any(|(of, times)| of == port && times.contains(ms)) {
                *flags &= !SYN;
            }
        }
        // Others' packets keep the clock going.
        packets.extend((0..1_300).map(|tick| (10 * tick, 99, true, 0, 0)));
        packets.sort_by_key(|packet| packet.0);
        let capture = packets.into_iter().fold(Capture::raw(), |capture, (ms, port, there, flags, isn)| {
            let mut packet = if there {
                segment(port, There, flags, isn)
            } else {
                answer(port, flags, isn, isn)
            };
            packet[16] ^= if port == 99 { 1 } else { 0 };
            capture.at(ms, packet)
        });
        assert_same(&replayed("random", &capture, &claims));
    }

    /// Whatever is captured and claimed, in whatever order: one answer for each claim.
    #[test]
    fn every_claim_is_answered_once(
        packets in prop::collection::vec(
            (0i64..3_000, 1u16..4, any::<bool>(), 0u8..32, 0u32..3), 0..60),
        claims in prop::collection::vec((1u16..4, 0i64..3_000, 0i64..500), 0..12),
        max_flows in 1usize..4,
    ) {
        let capture = packets.into_iter().fold(Capture::raw(), |capture, (ms, port, there, flags, isn)| {
            capture.at(ms, if there {
                segment(port, There, flags, isn)
            } else {
                answer(port, flags, isn, isn)
            })
        });
        let mut notices: Vec<Notice> = claims.iter().map(|_| expect()).collect();
        for (id, &(port, started, lasted)) in claims.iter().enumerate() {
            notices.push(claim(id as u64, port, (started, started + lasted)));
        }
        let (answers, _) = run(&capture, &notices, settings(30, 5, max_flows));
        let ids: Vec<ConnectionId> = answers.iter().map(|answer| answer.id).collect();
        prop_assert_eq!(ids, (0..claims.len() as u64).map(connection).collect::<Vec<_>>());
    }
}
