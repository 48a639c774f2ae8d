//! What HTTP/2 concludes from flows that are written out here, and what its chain reads from bytes.

use pathspider_plugin_api::packet::TcpFlags;
use pathspider_plugin_api::testing::{self, TestFlow};

use super::chain::{OFFERED, SWITCHED, offer};
use super::*;

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
