//! What Fast Open concludes from flows that are written out here.

use pathspider_plugin_api::packet::OptionKinds;
use pathspider_plugin_api::testing::{self, TestFlow};

use super::*;

const SEQUENCE: u32 = 1000;
/// The kinds of a SYN's options.
fn kinds(kinds: &[u8]) -> OptionKinds {
    kinds.iter().copied().collect()
}

const COOKIE_LENGTH: u8 = 8;

/// A connection without Fast Open.
fn plain(state: State) -> TestFlow {
    testing::flow(state)
        .with(syn::COUNT_FWD, 1)
        .with(syn::COUNT_REV, u32::from(state == State::Ok))
        .with(syn::OPTIONS_ALL_FWD, kinds(&[2]))
        .with(syn::OPTIONS_ANY_FWD, kinds(&[2]))
        .with(tfo::SYN_KIND, 0)
}

/// One whose SYN has the option with a cookie of `cookie` octets and data of `length`.
fn fast(state: State, cookie: u8, length: u32) -> TestFlow {
    plain(state)
        .with(syn::OPTIONS_ALL_FWD, kinds(&[2, 34]))
        .with(syn::OPTIONS_ANY_FWD, kinds(&[2, 34]))
        .with(tfo::SYN_KIND, 34)
        .with(tfo::SYN_COOKIE, cookie)
        .with(tfo::SEQUENCE, SEQUENCE)
        .with(tfo::DATA, length)
}

/// Its answer: what it acknowledges, and the length of a cookie.
fn answered(flow: TestFlow, acknowledgment: u32, cookie: u8) -> TestFlow {
    flow.with(syn::COUNT_REV, 1)
        .with(tfo::ACKNOWLEDGMENT, acknowledgment)
        .with(tfo::ACK_KIND, if cookie > 0 { 34 } else { 0 })
        .with(tfo::ACK_COOKIE, cookie)
}

/// The kinds of options that a SYN of our own has in C, after B came to this.
fn again(b: TestFlow) -> Option<Vec<u8>> {
    let tfo: Tfo = testing::with_options(Record::new().with("connect", "syn"));
    let job = Job::new(0, [192, 0, 2, 1].into(), 80, Record::new());
    let earlier = [plain(State::Ok), b];
    let connect = testing::connect_after(&tfo, &job, AGAIN, &earlier).unwrap();
    if connect.kind() == ConnectKind::Skip {
        return None;
    }
    let octets = testing::syn(&connect, &job).unwrap();
    let packet = testing::packet(&octets).unwrap();
    Some(packet.tcp().unwrap().options().map(|option| option.kind).collect())
}

#[test]
fn a_syn_of_our_own_asks_once_more_where_it_got_no_cookie() {
    assert_eq!(again(got_cookie()), None);
    assert_eq!(again(answered(fast(State::Ok, 0, 0), SEQUENCE + 1, 0)).unwrap().last(), Some(&254));
    assert_eq!(again(fast(State::Timeout, 0, 0)).unwrap().last(), Some(&34));
}

/// What the kernel does when a SYN is not answered: it repeats it plain, and that one is.
fn fell_back(flow: TestFlow) -> TestFlow {
    let flow = answered(flow, SEQUENCE + 1, 0);
    flow.with(syn::COUNT_FWD, 2).with(syn::OPTIONS_ALL_FWD, kinds(&[2]))
}

/// B, which got a cookie.
fn got_cookie() -> TestFlow {
    answered(fast(State::Ok, 0, 0), SEQUENCE + 1, COOKIE_LENGTH)
}

/// C, whose data were acknowledged up to here.
fn sent_data(acknowledged: u32) -> TestFlow {
    answered(fast(State::Ok, COOKIE_LENGTH, 40), SEQUENCE + 1 + acknowledged, 0)
}

fn conclude(b: TestFlow, c: TestFlow) -> Vec<String> {
    let tfo: Tfo = testing::with_options(Record::new());
    let conditions = testing::conclude(&tfo, &[plain(State::Ok), b, c]);
    conditions.iter().map(|condition| condition.replace("tfo.", "")).collect()
}

#[test]
fn the_clients_half_is_on_and_never_switches_itself_off() {
    let tfo: Tfo = testing::with_options(Record::new());
    for (before, after) in [("0", 1), ("1", 1), ("6", 3), ("1031", 1027)] {
        let changes = testing::changes_from(&tfo, COOKIE, &[(SWITCH, before)]);
        assert_eq!(
            changes,
            [
                "net.ipv4.tcp_fastopen_blackhole_timeout_sec=0".to_owned(),
                format!("net.ipv4.tcp_fastopen={after}")
            ]
        );
    }
}

#[test]
fn where_nobody_is_there_two_connections_are_enough() {
    let tfo: Tfo = testing::with_options(Record::new());
    let dead =
        || [plain(State::Timeout), fast(State::Timeout, 0, 0), testing::missed(State::Skipped)];
    assert_eq!(testing::conclude(&tfo, &dead()), ["tfo.connectivity.offline"]);
    // Without B's flow, nothing is known of Fast Open.
    let [a, _, c] = dead();
    assert!(testing::conclude(&tfo, &[a, testing::missed(State::Timeout), c]).is_empty());
}

#[test]
fn data_on_the_syn_are_acked_or_not() {
    for (acknowledged, word) in [(40, "acked"), (0, "not_acked"), (39, "not_acked")] {
        assert_eq!(
            conclude(got_cookie(), sent_data(acknowledged)),
            ["connectivity.works", "cookie.received", &format!("syndata.{word}")]
        );
    }
}

/// PATHspider compares them without wrap-around.
#[test]
fn sequence_numbers_wrap_around() {
    for sequence in [u32::MAX, u32::MAX - 1, u32::MAX - 20, u32::MAX - 40] {
        let all = sequence.wrapping_add(41);
        let sent = |ack| sent_data(0).with(tfo::SEQUENCE, sequence).with(tfo::ACKNOWLEDGMENT, ack);
        assert_eq!(conclude(got_cookie(), sent(all))[2], "syndata.acked", "{sequence}");
        let syn_only = sequence.wrapping_add(1);
        assert_eq!(conclude(got_cookie(), sent(syn_only))[2], "syndata.not_acked", "{sequence}");
        let silent = sent(0).with(syn::COUNT_REV, 0);
        assert_eq!(conclude(got_cookie(), silent)[2], "syndata.failed", "{sequence}");
    }
}

#[test]
fn a_syn_with_data_that_is_dropped_has_failed_though_the_plain_one_worked() {
    let dropped = fell_back(fast(State::Ok, COOKIE_LENGTH, 40));
    assert_eq!(
        conclude(got_cookie(), dropped),
        ["connectivity.works", "cookie.received", "syndata.failed"]
    );
    let late =
        fell_back(fast(State::Ok, COOKIE_LENGTH, 40)).with(tfo::ACKNOWLEDGMENT, SEQUENCE + 41);
    assert_eq!(conclude(got_cookie(), late)[2], "syndata.acked");
}

#[test]
fn a_target_without_cookies() {
    let without = || answered(fast(State::Ok, 0, 0), SEQUENCE + 1, 0);
    assert_eq!(conclude(without(), without()), ["connectivity.works", "cookie.not_received"]);
}

#[test]
fn a_path_that_drops_the_option_is_broken_though_plain_syns_worked() {
    let dropped = || fell_back(fast(State::Ok, 0, 0));
    assert_eq!(conclude(dropped(), dropped()), ["connectivity.broken"]);
    let silent = || fast(State::Timeout, 0, 0).with(syn::COUNT_REV, 0);
    assert_eq!(conclude(silent(), silent()), ["connectivity.broken"]);
    assert_eq!(conclude(dropped(), got_cookie()), ["connectivity.works", "cookie.received"]);
}

#[test]
fn a_cookie_of_an_earlier_run() {
    let cached = || sent_data(40);
    assert_eq!(conclude(cached(), cached()), ["connectivity.works", "syndata.acked"]);
    let refused = answered(fast(State::Ok, COOKIE_LENGTH, 40), SEQUENCE + 1, COOKIE_LENGTH);
    assert_eq!(
        conclude(refused, sent_data(40)),
        ["connectivity.works", "cookie.received", "syndata.acked"]
    );
}

#[test]
fn no_verdict_where_fast_open_was_not_sent() {
    let found = conclude(plain(State::Ok), plain(State::Ok));
    assert_eq!(found, ["pathspider.not_applied:1", "pathspider.not_applied:2"]);
    let missed = testing::missed(State::Ok);
    assert!(conclude(fell_back(fast(State::Ok, 0, 0)), missed).is_empty());
}
