//! Which packet is the one that was sent, and what follows.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use pathspider_arrivals::{Answer, Arrival, Match};
use pathspider_locate::{Change, Reading, Template};
use pathspider_plugin_api::forge::{Packet, Segment};
use pathspider_plugin_api::packet::TcpFlags;
use pathspider_plugin_api::{Class, Condition, Configuration, Info, info};

use super::condition::conditions;
use super::judge::{Fate, Sent, judge};
use super::questions::Reply;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));
const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

fn packet(identification: u16) -> Packet {
    Packet::to(THERE).source(HERE).identification(identification)
}

fn syn(packet: Packet, mss: u16) -> Vec<u8> {
    segment(packet, TcpFlags::SYN, 9).mss(mss).bytes().unwrap()
}

fn segment(packet: Packet, flags: TcpFlags, sequence: u32) -> Segment {
    packet.tcp(80).source_port(4_000).flags(flags).sequence(sequence)
}

fn started() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

fn sent(opening: &[u8], data: Option<&[u8]>) -> Sent {
    let data = data.and_then(Template::new);
    Sent { opening: Template::new(opening), data, started: Some(started()), has_twin: false }
}

/// An answer five seconds after the connection began, with packets that came so many milliseconds after that.
fn reply(found: Match, packets: &[(u64, &[u8])]) -> Reply {
    let arrival = |(after, octets): &(u64, &[u8])| Arrival {
        age_us: (5_000 - after) * 1_000,
        wire: octets.len() as u32,
        octets: octets.to_vec(),
    };
    let arrivals: Vec<Arrival> = packets.iter().map(arrival).collect();
    let count = arrivals.len() as u32;
    let answer =
        Answer { nonce: [0; 16], found, kept_us: 300_000_000, count, from: HERE, arrivals };
    Reply::Answer(answer, started() + Duration::from_secs(5))
}

fn fate(sent: &Sent, reply: &Reply) -> Fate {
    judge(sent, (None, false), reply).packets.remove(0).1
}

fn changes(fate: &Fate) -> Vec<String> {
    let Fate::Came(compared) = fate else { panic!("{fate:?}") };
    let text = |change: &Change| format!("{}:{}>{}", change.field, change.sent, change.seen);
    compared.changes.iter().map(text).collect()
}

#[test]
fn a_repeat_that_differs_is_no_change() {
    let (first, repeat) = (syn(packet(7).ecn(2), 1_460), syn(packet(8).ecn(0), 1_460));
    let own = sent(&first, None);
    // The first one was lost, and its repeat came a second later.
    let found = fate(&own, &reply(Match::Both, &[(1_050, &repeat)]));
    assert_eq!(found, Fate::Unknown("what came may be a repeat"));
    // It is known by its identification, whenever it came; or as it came before anything was repeated.
    let changed = syn(packet(7).ecn(0), 1_460);
    assert_eq!(changes(&fate(&own, &reply(Match::Both, &[(1_050, &changed)]))), ["ecn:2>0"]);
    assert_eq!(changes(&fate(&own, &reply(Match::Both, &[(50, &repeat)]))), ["ecn:2>0"]);
    // What came as it left came, whichever of the packets it is.
    let both = reply(Match::Both, &[(50, &repeat), (1_050, &first)]);
    assert!(changes(&fate(&own, &both)).is_empty());
}

#[test]
fn what_did_not_come_and_what_is_not_known_are_told_apart() {
    let first = syn(packet(7), 1_460);
    let own = sent(&first, None);
    let unknown = |reply: &Reply| match fate(&own, reply) {
        Fate::Unknown(why) => why,
        came => panic!("{came:?}"),
    };
    assert_eq!(unknown(&reply(Match::Nothing, &[])), "it did not come");
    let Reply::Answer(answer, at) = reply(Match::Nothing, &[]) else { panic!() };
    let forgetful = Answer { kept_us: 4_000_000, ..answer };
    let why = unknown(&Reply::Answer(forgetful, at));
    assert_eq!(why, "the responder did not keep packets then");
    assert_eq!(unknown(&Reply::Unknown("no answer came")), "no answer came");
    let other = segment(packet(9), TcpFlags::SYN, 10).bytes().unwrap();
    assert_eq!(unknown(&reply(Match::Both, &[(50, &other)])), "it did not come");
    assert_eq!(Sent::default().sought(), None);
    let nothing = fate(&Sent::default(), &reply(Match::Both, &[(50, &first)]));
    assert_eq!(nothing, Fate::Unknown("its packets were not captured"));
}

#[test]
fn a_flow_that_is_known_by_its_port_alone_counts_where_nobody_translates() {
    let own = sent(&syn(packet(7), 1_460), None);
    let rewritten = segment(packet(7), TcpFlags::SYN, 77).mss(1_460).bytes().unwrap();
    assert!(changes(&fate(&own, &reply(Match::Port, &[(50, &rewritten)]))).is_empty());
    let elsewhere = Packet::to(THERE).source([192, 0, 2, 77].into());
    let elsewhere = segment(elsewhere, TcpFlags::SYN, 77).bytes().unwrap();
    let found = fate(&own, &reply(Match::Port, &[(50, &elsewhere)]));
    assert_eq!(found, Fate::Unknown("it did not come"));
    // Translated, it is known by its number.
    let translated = Packet::to(THERE).source([192, 0, 2, 77].into()).identification(7);
    let translated = translated.tcp(80).source_port(9).flags(TcpFlags::SYN).sequence(9).mss(1_460);
    let found = fate(&own, &reply(Match::Mark, &[(50, &translated.bytes().unwrap())]));
    assert_eq!(
        changes(&found),
        ["ports:4000>80>9>80", "addresses:10.0.0.2>192.0.2.1>192.0.2.77>192.0.2.1"]
    );
}

#[test]
fn what_had_the_same_port_or_data_before_is_another_packet() {
    let own = sent(&syn(packet(7), 1_460), None);
    let Reply::Answer(answer, at) = reply(Match::Port, &[(0, &syn(packet(7), 1_460))]) else {
        panic!()
    };
    let old = |mut answer: Answer| {
        answer.arrivals[0].age_us += 60_000_000;
        Reply::Answer(answer, at)
    };
    assert_eq!(fate(&own, &old(answer)), Fate::Unknown("it did not come"));
    // A segment that follows a SYN which the responder has forgotten.
    let flags = TcpFlags::ACK;
    let next = segment(packet(7), flags, 10).payload(b"GET /").bytes().unwrap();
    assert_eq!(fate(&own, &reply(Match::Port, &[(50, &next)])), Fate::Unknown("it did not come"));
    // Of two flows with the same data, that of another port may be the other one.
    let datagram =
        |id, dscp| packet(id).dscp(dscp).udp(53, &[9; 20]).source_port(4_000).bytes().unwrap();
    let own = Sent { has_twin: true, ..sent(&datagram(7, 46), None) };
    let found = fate(&own, &reply(Match::Mark, &[(50, &datagram(8, 0))]));
    assert_eq!(found, Fate::Unknown("it did not come"));
    assert_eq!(changes(&fate(&own, &reply(Match::Mark, &[(50, &datagram(7, 0))]))), ["dscp:46>0"]);
}

#[test]
fn where_the_baseline_is_not_known_a_change_may_be_its_own_too() {
    let (first, clamped) = (syn(packet(7), 1_460), syn(packet(7), 1_200));
    let own = sent(&first, None);
    let baseline = judge(&own, (None, false), &Reply::Unknown("no answer came"));
    let found = judge(&own, (Some(&own), false), &reply(Match::Both, &[(50, &clamped)]));
    assert_eq!(conditions(&info(), &[PLAIN, MARKED], &[baseline, found], &[WORKS]), []);
}

#[test]
fn segments_with_data_are_known_by_what_each_has_alone() {
    let data = |identification, ecn| {
        let packet = packet(identification).ecn(ecn);
        segment(packet, TcpFlags::ACK, 10).payload(b"GET /").bytes().unwrap()
    };
    let own = sent(&syn(packet(7), 1_460), Some(&data(8, 2)));
    let of_data = |packets: &[(u64, &[u8])]| {
        let mut found = judge(&own, (None, false), &reply(Match::Both, packets));
        assert_eq!(found.packets.len(), 2);
        found.packets.remove(1).1
    };
    assert_eq!(changes(&of_data(&[(60, &data(8, 0))])), ["ecn:2>0"]);
    let repeat = data(9, 0);
    assert_eq!(of_data(&[(60, &repeat)]), Fate::Unknown("what came may be a repeat"));
    assert_eq!(of_data(&[]), Fate::Unknown("it did not come"));
}

const PLAIN: Configuration = Configuration::new(0, "baseline");
const MARKED: Configuration = Configuration::new(1, "x");
const WORKS: Condition = Condition::declare("x.connectivity.works", Class::Good, "it works");

fn info() -> Info {
    info!("x", "of these tests")
}

/// The conditions of a baseline and an experiment, each as it left and as it came.
fn concluded(plain: (&[u8], &[u8]), marked: (&[u8], &[u8])) -> Vec<String> {
    let (own, other) = (sent(marked.0, None), sent(plain.0, None));
    let baseline = judge(&other, (None, false), &reply(Match::Both, &[(50, plain.1)]));
    let found = judge(&own, (Some(&other), false), &reply(Match::Both, &[(50, marked.1)]));
    let all = conditions(&info(), &[PLAIN, MARKED], &[baseline, found], &[WORKS]);
    all.iter().map(|condition| condition.as_str().to_owned()).collect()
}

#[test]
fn conditions_are_of_what_the_experiment_alone_met_or_is_about() {
    let of = |dscp, mss| syn(packet(7).dscp(dscp), mss);
    let (plain, marked) = (of(0, 1_460), of(46, 1_460));
    assert_eq!(concluded((&plain, &plain), (&marked, &marked)), ["x.forward.intact"]);
    assert_eq!(concluded((&plain, &plain), (&marked, &plain)), ["x.forward.changed:dscp:46:0"]);
    // What befalls both explains nothing of a field in which they do not differ.
    let (plain_clamped, clamped) = (of(0, 1_200), of(46, 1_200));
    assert_eq!(concluded((&plain, &plain_clamped), (&marked, &clamped)), ["x.forward.intact"]);
    assert_eq!(
        concluded((&plain, &plain), (&marked, &of(0, 1_200))),
        ["x.forward.changed:dscp:46:0", "x.forward.changed:mss:1460:1200"]
    );
    // Where all is remarked, the experiment's mark has gone all the same.
    let remarked = of(8, 1_460);
    assert_eq!(
        concluded((&plain, &remarked), (&marked, &remarked)),
        ["x.forward.changed:dscp:46:8"]
    );
}

#[test]
fn where_a_packet_is_not_known_nothing_is_intact() {
    let first = syn(packet(7), 1_460);
    let own = sent(&first, None);
    for reply in [Reply::Unknown("no answer came"), reply(Match::Nothing, &[])] {
        let found = judge(&own, (Some(&own), false), &reply);
        assert_eq!(conditions(&info(), &[PLAIN, MARKED], &[found.clone(), found], &[WORKS]), []);
    }
}

#[test]
fn an_experiment_without_a_verdict_of_its_own_is_named_by_its_label_or_its_number() {
    let first = syn(packet(7), 1_460);
    let found = judge(&sent(&first, None), (None, false), &reply(Match::Both, &[(50, &first)]));
    let found = [found.clone(), found.clone(), found];
    let labelled = Configuration::new(1, "one two");
    let all = [PLAIN, labelled, Configuration::new(2, "another")];
    let verdict = Condition::declare("x.one.two.connectivity.works", Class::Good, "it works");
    let conditions = conditions(&info(), &all, &found, &[verdict]);
    let texts: Vec<&str> = conditions.iter().map(Condition::as_str).collect();
    assert_eq!(texts, ["x.one.two.forward.intact", "x.2.forward.intact"]);
}

#[test]
fn values_in_conditions_are_short() {
    let long = |octet| syn_with(&[octet; 12]);
    let (plain, marked) = (syn(packet(7), 1_460), long(1));
    let found = concluded((&plain, &plain), (&marked, &long(2)));
    assert_eq!(found, ["x.forward.changed:tcpopt-30:0101010101010101..:0202020202020202.."]);
    assert_eq!(
        concluded((&plain, &plain), (&marked, &plain)),
        ["x.forward.changed:tcpopt-30:0101010101010101..:absent"]
    );
    assert_eq!(Reading::Octets(Vec::new()).to_string(), "");
}

fn syn_with(option: &[u8]) -> Vec<u8> {
    segment(packet(7), TcpFlags::SYN, 9).mss(1_460).option(30, option).bytes().unwrap()
}
