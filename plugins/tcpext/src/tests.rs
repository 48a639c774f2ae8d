//! What is sent, and what is concluded from what comes of it.

use std::net::SocketAddr;

use pathspider_plugin_api::FlowRecord;
use pathspider_plugin_api::abi::ChainHandle;
use pathspider_plugin_api::packet::TcpOptions;
use pathspider_plugin_api::testing::{self, Peer, Server, TestFlow};

use super::*;
use crate::lists::MOST;

const JOB: &str = "198.51.100.7";

fn tcpext(on: &str) -> Tcpext {
    testing::with_options(Record::new().with("on", on.to_owned()))
}

fn of(on: &str, config: usize) -> Connect {
    let job = Job::new(0, JOB.parse().unwrap(), 80, Record::new());
    testing::connect(&tcpext(on), &job, ConfigId::new(config)).unwrap()
}

#[test]
fn a_syn_that_nobody_goes_on_with_has_the_same_options_and_no_data_are_asked_for() {
    let given = |on: &str| Record::new().with("connect", "syn").with("on", on.to_owned());
    let tcpext: Tcpext = testing::with_options(given("both"));
    assert_eq!(tcpext.configurations().len(), 1 + Form::ALL.len());
    let forms = [None].into_iter().chain(Form::ALL.map(Some));
    for (config, form) in forms.enumerate() {
        let job = Job::new(0, JOB.parse().unwrap(), 80, Record::new());
        let connect = testing::connect(&tcpext, &job, ConfigId::new(config)).unwrap();
        let octets = testing::syn(&connect, &job).unwrap();
        let mut options = list(Place::Syn, form);
        options.resize(options.len().next_multiple_of(4), 0);
        assert_eq!(octets[40..], options);
    }
    let mut options = Tcpext::options().defaults().into_record();
    options.set("connect", "syn");
    options.set("on", "data");
    assert!(Tcpext::new(&OptionValues::new(options), Host::standalone()).is_err());
}

/// A server behind a path that drops data with options of 40 octets, or nothing.
struct Behind(Server, bool);

impl Peer for Behind {
    fn take(&mut self, now: Duration, sent: &[u8]) -> Vec<(Duration, Vec<u8>)> {
        let packet = testing::packet(sent).unwrap();
        let is_long = packet.transport().len() == 60 && !packet.payload().is_empty();
        if self.1 && is_long { Vec::new() } else { self.0.take(now, sent) }
    }

    fn due(&mut self, now: Duration) -> Option<Duration> {
        self.0.due(now)
    }

    fn wake(&mut self, now: Duration) -> Vec<(Duration, Vec<u8>)> {
        self.0.wake(now)
    }
}

/// What the chain says of the connection of a configuration.
fn observed(config: usize, drops: bool) -> FlowRecord {
    let ends: (SocketAddr, SocketAddr) =
        ("192.0.2.1:4000".parse().unwrap(), format!("{JOB}:80").parse().unwrap());
    let mut peer = Behind(Server::new("HTTP/1.1 204 No Content\r\n\r\n"), drops);
    let talked = testing::converse(&mut of("both", config), ends, &mut peer).unwrap();
    talked.observe(ChainHandle::of::<OptionsChain>()).unwrap()
}

#[test]
fn lists_are_what_they_are_called() {
    for place in Place::ALL {
        let lists = Form::ALL.map(|form| list(place, Some(form)));
        let kinds = |list: &[u8]| TcpOptions::new(list).map(|o| o.kind).collect::<Vec<_>>();
        let usual: &[u8] = if place == Place::Syn { &[2, 4] } else { &[] };
        let plain = list(place, None);
        assert_eq!(kinds(&plain), usual);
        assert_eq!(lists.each_ref().map(Vec::len), [plain.len(), plain.len(), MOST, MOST]);
        for (list, kind) in lists.iter().zip([253, 254, 253]) {
            assert_eq!(kinds(list), [usual, &[kind]].concat());
        }
        assert_eq!(kinds(&lists[3]), if place == Place::Syn { usual } else { &[253] });
        assert!(lists.iter().all(|list| list.len().is_multiple_of(4)));
    }
}

#[test]
fn each_place_is_probed_where_it_is_asked_for() {
    let labels = |on| {
        let all = tcpext(on).configurations();
        all.iter().map(|one| one.label().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(labels("syn"), ["plain", "syn exp253", "syn exp254", "syn long", "syn sled"]);
    assert_eq!(labels("data")[1], "data exp253");
    assert_eq!(labels("both").len(), 9);
}

#[test]
fn segments_leave_with_their_lists_and_what_is_acknowledged_is_seen() {
    for (config, drops) in [(0, false), (3, false), (7, false), (7, true)] {
        let record = observed(config, drops).into_record();
        let probe = tcpext("both").probe(ConfigId::new(config));
        let text = |place| lists::hexadecimal(&meant(probe, place));
        assert_eq!(record.str("tcpext_syn"), Some(&*text(Place::Syn)), "{config}");
        assert_eq!(record.bool("tcpext_syn_same"), Some(true));
        if probe.is_none_or(|(place, _)| place == Place::Data) {
            assert_eq!(record.str("tcpext_data"), Some(&*text(Place::Data)), "{config}");
            assert_eq!(record.bool("tcpext_acked"), Some(!drops));
        } else {
            assert_eq!(record.get("tcpext_data"), Some(&Value::NULL), "it closes at once");
        }
    }
}

/// A connection that was sent as meant: whether the handshake was made, and the data acknowledged.
fn flow(config: usize, open: bool, acked: bool) -> TestFlow {
    let probe = tcpext("both").probe(ConfigId::new(config));
    let has_data = open && probe.is_none_or(|(place, _)| place == Place::Data);
    let text = |place| lists::hexadecimal(&meant(probe, place));
    testing::flow(if open { State::Ok } else { State::Timeout })
        .with(tcp::CONNECTED, open)
        .with(tcpext::SYN, text(Place::Syn))
        .with(tcpext::SYN_SAME, true)
        .with(tcpext::DATA, has_data.then(|| text(Place::Data)))
        .with(tcpext::DATA_SAME, has_data.then_some(true))
        .with(tcpext::ACKED, has_data.then_some(acked))
        .with(tcpopt::SACK, open.then_some(true))
}

/// The conclusions where one configuration is another flow than a good one.
fn concluded(config: usize, other: TestFlow) -> Vec<String> {
    let mut flows: Vec<TestFlow> = (0..9).map(|config| flow(config, true, true)).collect();
    flows[config] = other;
    let good: Vec<String> = testing::conclude(&tcpext("both"), &good());
    let found = testing::conclude(&tcpext("both"), &flows);
    found.into_iter().filter(|condition| !good.contains(condition)).collect()
}

fn good() -> Vec<TestFlow> {
    (0..9).map(|config| flow(config, true, true)).collect()
}

#[test]
fn all_works_where_nothing_is_harmed() {
    let found = testing::conclude(&tcpext("both"), &good());
    assert_eq!(found.len(), 9, "{found:?}");
    assert_eq!(found[0], "tcpext.syn.exp253.connectivity.works");
    assert_eq!(found[4], "tcpext.syn.sled.option.read");
    assert_eq!(found[8], "tcpext.data.sled.connectivity.works");
}

#[test]
fn what_is_harmed_is_said_with_how() {
    let broken = "tcpext.syn.long.connectivity.broken".to_owned();
    assert_eq!(concluded(3, flow(3, false, false)), [&*broken, "tcpext.syn.long.failure.dropped"]);
    let reset = flow(3, false, false).with(tcp::RST_REV, true);
    assert_eq!(concluded(3, reset), [&*broken, "tcpext.syn.long.failure.reset"]);
    let unacked = ["tcpext.data.exp254.connectivity.broken", "tcpext.data.exp254.failure.dropped"];
    assert_eq!(concluded(6, flow(6, true, false)), unacked);
    let echoed = flow(1, true, true).with(tcpext::SYN_ECHOED, true);
    assert_eq!(concluded(1, echoed), ["tcpext.syn.exp253.option.mirrored"]);
    let unread = flow(4, true, true).with(tcpopt::SACK, None);
    assert_eq!(concluded(4, unread), ["tcpext.syn.sled.option.unread"]);
}

#[test]
fn a_handshake_that_failed_says_nothing_of_data() {
    assert_eq!(concluded(5, flow(5, false, false)), ["pathspider.not_observed"]);
    let dead: Vec<TestFlow> = (0..9).map(|config| flow(config, false, false)).collect();
    let found = testing::conclude(&tcpext("both"), &dead);
    assert!(found.iter().all(|c| c.ends_with("offline")) && found.len() == 8, "{found:?}");
}

#[test]
fn no_verdict_where_the_list_left_otherwise() {
    let stripped =
        flow(2, true, true).with(tcpext::SYN, lists::hexadecimal(&list(Place::Syn, None)));
    assert_eq!(concluded(2, stripped), ["pathspider.not_applied:2"]);
    let once = flow(7, true, true).with(tcpext::DATA_SAME, false);
    assert_eq!(concluded(7, once), ["pathspider.not_applied:7"]);
    assert_eq!(
        concluded(1, flow(1, true, true).with(tcpext::SYN, None)),
        ["pathspider.not_observed"]
    );
}
