//! Whole jobs without root and without a network: the tests play the target and the path to it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use pathspider_plugin_api::FlowRecord;
use pathspider_plugin_api::abi::{ChainHandle, MeasurementHandle};
use pathspider_plugin_api::testing::{self, End, Peer, Server};

use super::*;

const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 40_000);
const REMOTE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)), 80);
const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage";

/// A server behind a path that drops some of what is sent to it.
struct Drops {
    server: Server,
    drops: fn(&Packet<'_>) -> bool,
}

impl Peer for Drops {
    fn take(&mut self, now: Duration, sent: &[u8]) -> Vec<(Duration, Vec<u8>)> {
        if testing::packet(sent).is_some_and(|packet| (self.drops)(&packet)) {
            Vec::new()
        } else {
            self.server.take(now, sent)
        }
    }

    fn due(&mut self, now: Duration) -> Option<Duration> {
        self.server.due(now)
    }

    fn wake(&mut self, now: Duration) -> Vec<(Duration, Vec<u8>)> {
        self.server.wake(now)
    }
}

/// Holds one connection's conversation over a path that drops these packets. What the host's chain
/// `tcp` would say of the flow stands beside what the chain of this crate does.
fn talk(connect: &mut Connect, drops: fn(&Packet<'_>) -> bool) -> (End, String) {
    let mut target = Drops { server: Server::new(PAGE), drops };
    let talked = testing::converse(connect, (LOCAL, REMOTE), &mut target).unwrap();
    let is_answer = |octets: &[u8]| testing::packet(octets).unwrap().ip().source() == REMOTE.ip();
    let is_connected = talked.wire.iter().any(|(_, octets)| is_answer(octets));
    let own = talked.observe(ChainHandle::of::<Marks>()).unwrap();
    let hosts = FlowRecord::of_chains(&[tcp::CHAIN.into()]).with(tcp::CONNECTED, is_connected);
    let request = String::from_utf8(target.server.request().to_vec()).unwrap();
    (talked.end(own.and(&hosts)), request)
}

fn job() -> Job {
    let record = Record::new().with("domain", "www.example.org");
    Job::new(0, REMOTE.ip(), REMOTE.port(), record)
}

/// What is concluded where the connection of each configuration goes over such a path.
fn concluded(paths: [fn(&Packet<'_>) -> bool; 2]) -> String {
    let talker = MeasurementHandle::of::<Talker>();
    let object = testing::instantiate(talker, Record::new()).unwrap();
    let concluded = testing::measure(talker, &object, &job(), |config, connect| {
        talk(connect, paths[config.index()]).0
    });
    concluded.unwrap().texts().join(" ")
}

fn nothing(_: &Packet<'_>) -> bool {
    false
}

fn all(_: &Packet<'_>) -> bool {
    true
}

fn ce(packet: &Packet<'_>) -> bool {
    packet.ip().ecn() == 3
}

#[test]
fn paths_get_their_verdicts() {
    assert_eq!(concluded([nothing, nothing]), "talker.connectivity.works");
    assert_eq!(concluded([ce, ce]), "talker.connectivity.broken");
    assert_eq!(concluded([all, all]), "talker.connectivity.offline");
    assert_eq!(concluded([all, nothing]), "talker.connectivity.transient");
    assert_eq!(concluded([nothing, all]), "pathspider.not_observed", "no data, so no mark either");
}

#[test]
fn the_request_says_whom_to_ask_and_is_marked_in_b_alone() {
    let talker = MeasurementHandle::of::<Talker>();
    let object = testing::instantiate(talker, Record::new()).unwrap();
    let (mut requests, mut flows) = (Vec::new(), Vec::new());
    let concluded = testing::measure(talker, &object, &job(), |_, connect| {
        let (end, request) = talk(connect, nothing);
        requests.push(request);
        flows.extend(end.flow.clone());
        end
    });
    let outcomes = concluded.unwrap().flows;
    assert!(outcomes.iter().all(|outcome| outcome.bool("talk_whole") == Some(true)));
    let contact = Host::standalone().contact();
    for request in requests {
        assert!(request.starts_with("GET / HTTP/1.1\r\nHost: www.example.org\r\n"), "{request}");
        assert!(request.contains(contact), "{request}");
    }
    let marked: Vec<_> = flows.iter().map(|flow| flow.get(marks::MARKED)).collect();
    let unmarked: Vec<_> = flows.iter().map(|flow| flow.get(marks::UNMARKED)).collect();
    assert_eq!((&marked[..], &unmarked[..]), (&[Some(0), Some(1)][..], &[Some(1), Some(0)][..]));
}

#[test]
fn what_the_wire_does_not_show_is_no_verdict() {
    let talker = MeasurementHandle::of::<Talker>();
    let object = testing::instantiate(talker, Record::new()).unwrap();
    let mut as_a = None;
    let concluded = testing::measure(talker, &object, &job(), |_, connect| {
        as_a.get_or_insert_with(|| talk(connect, nothing).0).clone()
    });
    assert_eq!(concluded.unwrap().texts(), ["pathspider.not_applied:1"], "B was sent as A");
}
