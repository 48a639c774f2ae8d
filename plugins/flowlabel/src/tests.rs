//! What the measurement sends, what its chain sees, and what it concludes from flows that are written
//! out here.

use pathspider_plugin_api::abi::ChainHandle;
use pathspider_plugin_api::packet::TcpFlags;
use pathspider_plugin_api::testing::{self, TestFlow};

use super::*;

const TARGET: &str = "2001:db8::1";

fn job() -> Job {
    Job::new(0, TARGET.parse().unwrap(), 80, Record::new())
}

fn sent(config: usize) -> u32 {
    label(TARGET.parse().unwrap(), ConfigId::new(config))
}

/// A SYN that was sent as meant, and the label and hop limit of its SYN/ACK.
fn flow(config: usize, came: Option<(u32, u8)>) -> TestFlow {
    testing::flow(if came.is_some() { State::Ok } else { State::Timeout })
        .with(tcp::SYNFLAGS_REV, came.map(|_| TcpFlags(0x12)))
        .with(flowlabel::SENT, sent(config))
        .with(flowlabel::SENT_SAME, true)
        .with(flowlabel::CAME, came.map(|(label, _)| label))
        .with(flowlabel::TTL, came.map(|(_, ttl)| ttl))
}

fn conclude(flows: [TestFlow; 3]) -> Vec<String> {
    let measurement: Flowlabel = testing::with_options(Record::new());
    let found = testing::conclude_of(&measurement, &job(), &flows);
    found.into_iter().map(|condition| condition.replace("flowlabel.", "")).collect()
}

#[test]
fn labels_leave_as_meant_and_are_three() {
    for mode in MODES {
        let given = Record::new().with("connect", mode.to_owned());
        let measurement: Flowlabel = testing::with_options(given);
        for config in 0..3 {
            let connect = testing::connect(&measurement, &job(), ConfigId::new(config)).unwrap();
            let packets: Vec<Vec<u8>> = connect.packet_bytes().map(<[u8]>::to_vec).collect();
            let seen = testing::observe(ChainHandle::of::<Labels>(), &packets).unwrap();
            assert_eq!(seen.into_record().u64("flowlabel_sent"), Some(sent(config).into()));
        }
    }
    assert!(sent(1) == 0 && sent(0) > 0 && sent(0) < 0x8_0000 && sent(2) >= 0x8_0000);
    let v4 = Job::new(0, "192.0.2.1".parse().unwrap(), 80, Record::new());
    let measurement: Flowlabel = testing::with_options(Record::new());
    let connect = testing::connect(&measurement, &v4, STABLE).unwrap();
    assert_eq!(connect.kind(), ConnectKind::Skip);
}

#[test]
fn each_is_compared_with_the_stable_label() {
    let same = |config| flow(config, Some((7, 61)));
    let works = ["none.connectivity.works", "other.connectivity.works"];
    assert_eq!(conclude([same(0), same(1), same(2)]), works);
    let broken = ["none.connectivity.broken", "other.connectivity.works"];
    assert_eq!(conclude([same(0), flow(1, None), same(2)]), broken);
    let further = conclude([same(0), same(1), flow(2, Some((7, 59)))]);
    assert_eq!(further, [works[0], works[1], "other.hops.differ"]);
    let reflected = [0, 1, 2].map(|config| flow(config, Some((sent(config), 61))));
    assert_eq!(conclude(reflected), [works[0], works[1], "answer.same_label"]);
}

#[test]
fn no_verdict_where_another_label_left() {
    let same = |config| flow(config, Some((7, 61)));
    let otherwise = same(2).with(flowlabel::SENT, 9);
    assert_eq!(
        conclude([same(0), same(1), otherwise]),
        ["none.connectivity.works", "pathspider.not_applied:2"]
    );
}

#[test]
fn a_label_that_leads_elsewhere_shows_at_the_first_hop_that_differs() {
    let flows = [STABLE, NONE, OTHER].map(|_| testing::flow(State::Ok));
    let router = |last: u16| Some(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]));
    let located = |config: Configuration, hops: &[(u16, u16)]| {
        let hops = (1..).zip(hops).map(|(number, &(a, b))| match (a, b) {
            (0, b) => Hop::new(number, None, router(b)),
            (a, b) => Hop::new(number, router(a), router(b)),
        });
        let location = Location::new(&config).through(hops);
        testing::located(&testing::with_options::<Flowlabel>(Record::new()), &flows, &location)
    };
    assert!(located(OTHER, &[(1, 1), (2, 2)]).is_empty());
    assert!(located(OTHER, &[(1, 1), (0, 3)]).is_empty(), "one of them is silent");
    let elsewhere = ["flowlabel.other.location.elsewhere:2"];
    assert_eq!(located(OTHER, &[(1, 1), (2, 3), (4, 5), (6, 6)]), elsewhere);
    assert_eq!(located(NONE, &[(1, 2)]), ["flowlabel.none.location.elsewhere:1"]);
}
