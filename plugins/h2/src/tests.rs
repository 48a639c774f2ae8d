//! What HTTP/2 concludes from flows that are written out here, and what its chain reads from bytes.

use std::sync::Arc;

use pathspider_plugin_api::FlowRecord;
use pathspider_plugin_api::abi::{ChainHandle, ChainSet};
use pathspider_plugin_api::packet::{Direction, Layers, Packet, Parts, TcpFlags};
use pathspider_plugin_api::testing::{self, TestFlow};

use super::chain::{self, OFFERED, Offer, SWITCHED};
use super::*;

/// What the first data of a connection offer.
fn offer(data: &[u8]) -> Option<bool> {
    chain::offer(data).break_value().flatten()
}

/// A connection: how it ended, and what its first data offered.
fn flow(state: State, offered: bool) -> TestFlow {
    testing::flow(state)
        .with(tcp::SYNFLAGS_FWD, TcpFlags::SYN)
        .with(tcp::CONNECTED, true)
        .with(OFFERED, offered)
}

fn unanswered() -> TestFlow {
    flow(State::Timeout, false).with(tcp::CONNECTED, false).with(OFFERED, None)
}

fn conclude(a: TestFlow, b: TestFlow) -> Vec<String> {
    let h2: H2 = testing::with_options(Record::new());
    testing::conclude(&h2, &[a, b])
}

#[test]
fn b_asks_for_http2_in_the_way_of_its_kind() {
    let asked = |kind: &str| {
        let h2: H2 = testing::with_options(Record::new().with("connect", kind.to_owned()));
        let job = Job::new(0, std::net::Ipv4Addr::LOCALHOST.into(), 80, Record::new());
        [HTTP1, HTTP2].map(|config| {
            let connect = testing::connect(&h2, &job, config).unwrap();
            format!("{:?} {:?}", connect.settings().get("alpn"), connect.settings().get("headers"))
        })
    };
    let [a, b] = asked("https");
    assert!(!a.contains("h2") && b.contains(r#""h2", "http/1.1""#), "{a} {b}");
    let [a, b] = asked("http");
    assert!(!a.contains("h2c") && b.contains("h2c") && b.contains(SETTINGS), "{a} {b}");
}

#[test]
fn syns_that_ask_for_ecn_are_no_ordinary_ones() {
    let asking = TcpFlags::SYN.and(TcpFlags::ASK_FOR_ECN);
    let flows = [false, true].map(|offered| flow(State::Ok, offered));
    let [a, b] = flows.map(|flow| flow.with(tcp::SYNFLAGS_FWD, asking));
    assert_eq!(conclude(a, b), ["pathspider.not_applied:0", "pathspider.not_applied:1"]);
}

#[test]
fn the_upgrade_is_the_status_seen_on_the_wire() {
    let b = |status: u16, switched: bool| {
        flow(State::Ok, true).outcome("http_response_code", status).with(SWITCHED, switched)
    };
    let a = || flow(State::Ok, false);
    let works = "h2.connectivity.works";
    assert_eq!(conclude(a(), b(101, true)), [works, "h2.upgrade.success"]);
    assert_eq!(conclude(a(), b(200, false)), [works, "h2.upgrade.failed"]);
    // What the socket read and the capture does not have is no failure.
    assert_eq!(conclude(a(), b(101, false)), [works]);
    let unseen = b(101, true).with(SWITCHED, None);
    assert_eq!(conclude(a(), unseen), [works]);
}

#[test]
fn over_tls_it_is_the_protocol_chosen() {
    let b = |state, alpn: Option<&str>| {
        let tls = Record::new()
            .with("version", "TLSv1.3")
            .with("alpn", alpn.map(|name| name.as_bytes().to_vec()));
        flow(state, true).outcome("tls_info", tls).outcome("http_response_code", 200u8)
    };
    let a = || flow(State::Ok, false);
    assert_eq!(conclude(a(), b(State::Ok, Some("h2")))[1], "h2.upgrade.success");
    assert_eq!(conclude(a(), b(State::Ok, Some("http/1.1")))[1], "h2.upgrade.failed");
    assert_eq!(conclude(a(), b(State::Ok, None))[1], "h2.upgrade.failed");
    let broken = ["h2.connectivity.broken", "h2.upgrade.success"];
    assert_eq!(conclude(a(), b(State::Failed, Some("h2"))), broken);
    let cut =
        flow(State::Failed, true).outcome("tls_info", Record::new().with("sni", "lab.example"));
    assert_eq!(conclude(a(), cut), ["h2.connectivity.broken"]);
}

#[test]
fn no_verdict_where_the_offer_was_not_as_meant() {
    let (a, b) = (flow(State::Ok, false), flow(State::Ok, false));
    assert_eq!(conclude(a, b), ["pathspider.not_applied:1"]);
    let (a, b) = (flow(State::Ok, true), flow(State::Ok, true));
    assert_eq!(conclude(a, b), ["pathspider.not_applied:0"]);
    let unread = flow(State::Ok, true).with(OFFERED, None);
    assert_eq!(conclude(flow(State::Ok, false), unread), ["pathspider.not_observed"]);
}

#[test]
fn a_handshake_that_fails_in_b_alone_is_no_fault_of_http2() {
    assert_eq!(conclude(unanswered(), unanswered()), ["h2.connectivity.offline"]);
    assert_eq!(conclude(flow(State::Ok, false), unanswered()), ["pathspider.not_observed"]);
    assert_eq!(conclude(unanswered(), flow(State::Ok, true)), ["h2.connectivity.transient"]);
}

/// A ClientHello with these protocols; none without the extension.
fn hello(protocols: Option<&[&str]>) -> Vec<u8> {
    let block = |size: usize, bytes: Vec<u8>| {
        let length = (bytes.len() as u32).to_be_bytes();
        [&length[4 - size..], &bytes].concat()
    };
    let mut extensions = [vec![0, 23], block(2, Vec::new())].concat();
    if let Some(protocols) = protocols {
        let names = protocols.iter().flat_map(|name| block(1, name.as_bytes().to_vec())).collect();
        extensions.extend([vec![0, 16], block(2, block(2, names))].concat());
    }
    let mut hello = [vec![3, 3], vec![7; 32]].concat();
    hello.extend([block(1, vec![1; 32]), block(2, vec![0x13, 1]), block(1, vec![0])].concat());
    hello.extend(block(2, extensions));
    [vec![22, 3, 1], block(2, [vec![1], block(3, hello)].concat())].concat()
}

#[test]
fn offers_are_read_from_a_client_hello() {
    assert_eq!(offer(&hello(Some(&["http/1.1", "h2"]))), Some(true));
    assert_eq!(offer(&hello(Some(&["http/1.1", "h2c"]))), Some(false));
    assert_eq!(offer(&hello(None)), Some(false));
    // Whatever follows the protocols need not be there.
    let mut long = hello(Some(&["h2"]));
    long[3] = 1;
    long[7] = 1;
    assert_eq!(offer(&long), Some(true));
}

#[test]
fn offers_are_read_from_a_request() {
    let request = |line: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n").into_bytes();
    assert_eq!(offer(&request("UPGRADE: websocket , H2C")), Some(true));
    assert_eq!(offer(&request("Upgrade: h2c-14")), Some(false));
    assert_eq!(offer(&request("X-Upgrade: h2c")), Some(false));
    assert_eq!(offer(b"GET / HTTP/1.1\r\nUpgrade: h2c\r\nHTTP2-Set"), Some(true));
    assert_eq!(offer(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c"), None);
    assert_eq!(offer(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), None);
}

#[test]
fn whatever_is_cut_or_damaged_is_read_without_harm() {
    let whole = hello(Some(&["http/1.1", "h2"]));
    let longer = hello(Some(&["h2x"]));
    assert_eq!(offer(&longer[..longer.len() - 1]), None);
    for length in 0..whole.len() {
        // The name that decides is the last thing in it.
        assert_eq!(offer(&whole[..length]), None, "{length}");
        for value in [0, 1, 0x7f, 0xff] {
            let mut damaged = whole.clone();
            damaged[length] = value;
            let _ = offer(&damaged);
        }
    }
}

const SWITCHING: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n\0\0\x0c";

#[test]
fn the_response_that_is_not_an_interim_one_decides() {
    let switched = |data: &[&[u8]]| chain::switched(&data.concat()).break_value().flatten();
    let go_on: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
    let hints: &[u8] = b"HTTP/1.1 103 Early Hints\nLink: </x>; rel=preload\n\n";
    assert_eq!(switched(&[SWITCHING]), Some(true));
    assert_eq!(switched(&[go_on, hints, b"\r\n", SWITCHING]), Some(true));
    assert_eq!(switched(&[go_on, b"HTTP/1.1 200 OK\r\n"]), Some(false));
    assert_eq!(switched(&[b"SSH-2.0-x\r\n", SWITCHING]), Some(false));
    // The interim one is all that was seen.
    assert_eq!(switched(&[go_on]), None);
    assert_eq!(switched(&[go_on, b"HTTP/1.1 1"]), None);
}

/// A segment: whether it goes from us, its distance from the SYN, flags and data.
type Segment = (bool, u32, u8, Vec<u8>);

/// What the chain says of a flow of these segments.
fn observe(segments: &[Segment]) -> FlowRecord {
    const START: u32 = u32::MAX - 5;
    let set = ChainSet::new(&[ChainHandle::of::<Offer>()]).unwrap();
    let mut flow = None;
    for (there, at, flags, data) in segments {
        let mut transport = [0; 20];
        transport[4..8].copy_from_slice(&START.wrapping_add(*at).to_be_bytes());
        (transport[12], transport[13]) = (0x50, *flags);
        let packet = Packet::new(Parts {
            time_ns: 0,
            ip: &[0x45; 20],
            transport: &transport,
            payload: data,
            ip_length: 40 + data.len() as u32,
            payload_length: data.len() as u32,
            layers: Layers::IP4.and(Layers::TCP),
            direction: if *there { Direction::Forward } else { Direction::Reverse },
            protocol: 6,
        });
        let flow = flow.get_or_insert_with(|| set.new_flow(&packet));
        set.packet(flow, &packet);
    }
    let mut record = FlowRecord::new(Arc::clone(set.slots()));
    set.finish(flow.unwrap(), &mut record).unwrap();
    record
}

#[test]
fn what_was_said_is_read_in_its_order() {
    const SYN: u8 = 2;
    const ACK: u8 = 16;
    let request = b"GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n";
    let answer = [b"HTTP/1.1 100 Continue\r\n\r\n", SWITCHING].concat();
    let says = |there: bool, octets: &[u8], size: usize| -> Vec<Segment> {
        let pieces = octets.chunks(size).enumerate();
        pieces.map(|(n, piece)| (there, 1 + (n * size) as u32, ACK, piece.to_vec())).collect()
    };
    let begin = [(true, 0, SYN, Vec::new()), (false, 0, SYN | ACK, Vec::new())];
    // Dripped, in twos, and whole; in order and the other way round, each of them twice.
    for size in [1, 2, 40, 200] {
        for is_reversed in [false, true] {
            let mut said = [says(true, request, size), says(false, &answer, size)].concat();
            if is_reversed {
                said.reverse();
            }
            let twice: Vec<Segment> = said.into_iter().flat_map(|one| [one.clone(), one]).collect();
            let flow = observe(&[&begin[..], &twice].concat());
            let words = [OFFERED, SWITCHED].map(|field| flow.get(field));
            assert_eq!(words, [Some(true); 2], "{size} {is_reversed}");
        }
    }
    // A lost piece leaves it open.
    let mut lost = says(false, &answer, 10);
    lost.remove(2);
    let flow = observe(&[&begin[..], &lost].concat());
    assert_eq!(flow.get(SWITCHED), None);
}
