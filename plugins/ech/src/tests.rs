//! What is concluded from connections that are written out here, and what the chain reads from octets.

use pathspider_plugin_api::packet::TcpFlags;
use pathspider_plugin_api::testing::{self, TestFlow};

use super::chain::{ALERT, Answer, Hello, NAME, OFFERED, TLS13, answer, hello};
use super::*;

/// A connection whose ClientHello was seen.
fn flow(state: State, offered: bool, name: &str) -> TestFlow {
    testing::flow(state)
        .with(tcp::SYNFLAGS_FWD, TcpFlags::SYN)
        .with(tcp::CONNECTED, true)
        .with(OFFERED, offered)
        .with(NAME, name.to_owned())
}

fn shaken(offered: bool, name: &str) -> TestFlow {
    let tls = Record::new().with("version", "TLSv1.3");
    flow(State::Ok, offered, name).with(TLS13, true).outcome("tls_info", tls)
}

fn failed(offered: bool, name: &str, error: &'static str) -> TestFlow {
    let state = if error == "timeout" { State::Timeout } else { State::Failed };
    let flow = flow(state, offered, name).outcome("spdr_phase", "tls");
    flow.outcome("spdr_error", error).outcome("spdr_carried", false)
}

fn alerted(offered: bool, name: &str, number: u8) -> TestFlow {
    let tls = Record::new().with("alert", number);
    let flow = failed(offered, name, "tls_alert").outcome("spdr_carried", true);
    flow.with(ALERT, number).outcome("tls_info", tls)
}

/// One whose handshake of TCP did not come about.
fn unconnected() -> TestFlow {
    testing::flow(State::Timeout)
        .with(tcp::SYNFLAGS_FWD, TcpFlags::SYN)
        .with(tcp::CONNECTED, false)
        .outcome("spdr_phase", "connect")
        .outcome("spdr_error", "timeout")
        .outcome("spdr_carried", false)
}

const OWN: &str = "lab.example";

fn plain() -> TestFlow {
    shaken(false, OWN)
}

fn grease() -> TestFlow {
    shaken(true, OWN)
}

fn outer() -> TestFlow {
    shaken(true, OUTER_NAME)
}

fn conclude(flows: [TestFlow; 4]) -> String {
    let ech: Ech = testing::with_options(Record::new());
    let found = testing::conclude(&ech, &flows);
    let short: Vec<_> = found
        .iter()
        .map(|one| one.trim_start_matches("ech.").replace(".connectivity.", "."))
        .collect();
    short.join(" ")
}

#[test]
fn all_handshakes_come_about_on_a_good_path() {
    let words = conclude([plain(), grease(), outer(), plain()]);
    assert_eq!(words, "grease.works outername.works control.works");
}

#[test]
fn what_fails_between_two_that_came_about_is_broken_and_how_is_said() {
    for (flow, how) in [
        (failed(true, OWN, "timeout"), "silence"),
        (failed(true, OWN, "timeout").outcome("spdr_carried", true), "stalled"),
        (failed(true, OWN, "reset"), "reset"),
        (failed(true, OWN, "closed"), "closed"),
        (alerted(true, OWN, 47), "alert_47"),
    ] {
        let words = conclude([plain(), flow, outer(), plain()]);
        let expected = format!("grease.broken outername.works control.works grease.failure:{how}");
        assert_eq!(words, expected);
    }
    let words = conclude([plain(), grease(), failed(true, OUTER_NAME, "reset"), plain()]);
    let expected = "grease.works outername.broken control.works outername.failure:reset";
    assert_eq!(words, expected);
}

#[test]
fn a_target_without_the_other_name_is_no_fault_of_the_path() {
    let words = conclude([plain(), grease(), alerted(true, OUTER_NAME, 112), plain()]);
    let expected = "grease.works outername.absent control.works outername.failure:alert_112";
    assert_eq!(words, expected);
}

#[test]
fn where_the_control_fails_nothing_is_broken() {
    let reset = |name| failed(true, name, "reset");
    let words = conclude([plain(), reset(OWN), reset(OUTER_NAME), unconnected()]);
    assert_eq!(
        words,
        "control.broken grease.failure:reset outername.failure:reset \
         control.failure:connect_timeout"
    );
    // What came about did so all the same.
    let words = conclude([plain(), grease(), outer(), unconnected()]);
    assert_eq!(
        words,
        "grease.works outername.works control.broken control.failure:connect_timeout"
    );
    // Nor where it was not seen.
    let words = conclude([plain(), reset(OWN), outer(), testing::missed(State::Ok)]);
    assert_eq!(words, "outername.works grease.failure:reset");
}

#[test]
fn a_target_without_tls13_is_said_to_be_one() {
    let older = |offered, name| failed(offered, name, "tls_error").with(TLS13, false);
    let all = [older(false, OWN), older(true, OWN), older(true, OUTER_NAME), older(false, OWN)];
    assert_eq!(conclude(all), "tls13.absent");
    let refusing = |offered, name| alerted(offered, name, 70);
    let all = [
        refusing(false, OWN),
        refusing(true, OWN),
        refusing(true, OUTER_NAME),
        refusing(false, OWN),
    ];
    assert_eq!(conclude(all), "tls13.absent");
}

#[test]
fn dead_targets_are_offline_and_others_need_a_client_hello() {
    let dead = conclude([unconnected(), unconnected(), unconnected(), unconnected()]);
    assert!(dead.starts_with("grease.offline outername.offline control.offline"), "{dead}");
    let words = conclude([plain(), unconnected(), outer(), plain()]);
    assert_eq!(words, "outername.works control.works pathspider.not_observed");
}

#[test]
fn no_verdict_where_a_client_hello_was_not_as_meant() {
    let words = conclude([plain(), plain(), grease(), plain()]);
    assert_eq!(words, "control.works pathspider.not_applied:1 pathspider.not_applied:2");
    let unread = grease().with(OFFERED, None);
    let words = conclude([plain(), unread, outer(), plain()]);
    assert_eq!(words, "outername.works control.works pathspider.not_observed");
}

#[test]
fn each_configuration_says_what_it_is_to_say() {
    let ech: Ech = testing::with_options(Record::new().with("outer-name", "a.example"));
    let job = Job::new(0, std::net::Ipv4Addr::LOCALHOST.into(), 443, Record::new());
    let asked = |config| {
        let connect = testing::connect(&ech, &job, config).unwrap();
        let settings = connect.settings();
        let is = |name| settings.bool(name) == Some(true);
        (is("only_tls13"), is("ech_grease"), settings.str("server_name").map(str::to_owned))
    };
    assert_eq!(asked(PLAIN), (true, false, None));
    assert_eq!(asked(GREASE), (false, true, None));
    assert_eq!(asked(OUTER), (false, true, Some("a.example".to_owned())));
    assert_eq!(asked(CONTROL), asked(PLAIN));
}

#[test]
fn a_server_has_a_name_of_labels() {
    for name in ["a.example", "cloudflare-ech.com", "xn--bcher-kva.example", "a_b.example"] {
        assert!(is_name(name), "{name}");
    }
    for name in ["", "a..b", "a b.example", "192.0.2.1", "-a.example", "bücher.example", "a."] {
        assert!(!is_name(name), "{name}");
    }
}

/// A ClientHello, or a ServerHello, with these extensions.
fn message(kind: u8, extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let block = |size: usize, octets: Vec<u8>| {
        let length = (octets.len() as u32).to_be_bytes();
        [&length[4 - size..], &octets].concat()
    };
    let one = |(number, content): &(u16, Vec<u8>)| {
        [number.to_be_bytes().to_vec(), block(2, content.clone())].concat()
    };
    let extensions: Vec<u8> = extensions.iter().flat_map(one).collect();
    let chosen = match kind {
        1 => [block(2, vec![0x13, 1]), block(1, vec![0])].concat(),
        _ => vec![0x13, 1, 0],
    };
    let hello = [vec![7; 34], block(1, Vec::new()), chosen, block(2, extensions)].concat();
    [vec![22, 3, 1], block(2, [vec![kind], block(3, hello)].concat())].concat()
}

#[test]
fn offers_and_names_are_read_from_a_client_hello() {
    let named = (0, [&[0, 14, 0, 0, 11][..], OWN.as_bytes()].concat());
    let offer = (0xfe0d, vec![0; 400]);
    let read = |extensions: &[(u16, Vec<u8>)]| hello(&message(1, extensions)).break_value();
    let said = |offered, name: Option<&str>| {
        Some(Hello { offered: Some(offered), name: name.map(str::to_owned) })
    };
    assert_eq!(read(&[named.clone(), offer.clone()]), said(true, Some(OWN)));
    assert_eq!(read(std::slice::from_ref(&named)), said(false, Some(OWN)));
    assert_eq!(read(std::slice::from_ref(&offer)), said(true, None));
    // A capture that cuts the extension shows that it is there.
    let whole = message(1, &[named, offer]);
    assert_eq!(hello(&whole[..whole.len() - 400]).break_value(), said(true, Some(OWN)));
    assert_eq!(hello(&whole[..whole.len() - 404]).break_value(), None);
    assert_eq!(hello(b"GET / HTTP/1.1\r\n").break_value(), Some(Hello::default()));
}

#[test]
fn answers_are_told_apart() {
    let said = |tls13, alert| Some(Answer { tls13, alert });
    let read = |data: &[u8]| answer(data).break_value();
    assert_eq!(read(&message(2, &[(43, vec![3, 4])])), said(Some(true), None));
    assert_eq!(read(&message(2, &[(23, Vec::new())])), said(Some(false), None));
    assert_eq!(read(&message(2, &[])), said(Some(false), None));
    assert_eq!(read(&[21, 3, 3, 0, 2, 2, 112]), said(None, Some(112)));
    assert_eq!(read(b"HTTP/1.1 400 Bad Request\r\n"), said(None, None));
    assert_eq!(read(&[22, 3, 3]), None);
}
