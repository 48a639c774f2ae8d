//! What DSCP concludes from flows that are written out here.

use pathspider_plugin_api::packet::TcpFlags;
use pathspider_plugin_api::testing::{self, TestFlow};

use super::*;

/// A connection: how it ended, the mark of all that was sent, and those of the
/// answer's SYN/ACK and data.
fn flow(state: State, sent: u8, answer: [Option<u8>; 2]) -> TestFlow {
    testing::flow(state)
        .with(dscp::SYN_FWD, sent)
        .with(dscp::DATA_FWD, answer[0].map(|_| sent))
        .with(dscp::SYN_REV, answer[0])
        .with(dscp::DATA_REV, answer[1])
}

fn dscp(code_points: &[i64]) -> Dscp {
    let given: Value = code_points.iter().copied().collect();
    testing::with_options(Record::new().with("codepoint", given))
}

fn conclude(flows: &[TestFlow]) -> Vec<String> {
    testing::conclude(&dscp(&[48]), flows)
}

#[test]
fn each_code_point_is_a_configuration_and_a_setting_of_its_socket() {
    let dscp = dscp(&[46, 8, 46, 0]);
    let job = Job::new(0, std::net::Ipv4Addr::LOCALHOST.into(), 80, Record::new());
    let sent: Vec<_> = (0..dscp.configurations().len())
        .map(|k| testing::connect(&dscp, &job, ConfigId::new(k)).unwrap())
        .map(|connect| connect.settings().u64("dscp").unwrap())
        .collect();
    assert_eq!(sent, [0, 46, 8, 0]);
    assert!(testing::changes(&dscp, ConfigId::new(1)).is_empty());
}

#[test]
fn a_located_change_is_named_by_what_rfc_9435_calls_it() {
    let flows = [0, 46, 46].map(|mark| flow(State::Ok, mark, [Some(0), Some(0)]));
    let named = |changes: &[(u8, u8)]| {
        let changes = changes.iter().map(|&change| Change::new("dscp", change, 3..=3));
        let others =
            [Finding::Dropped(4..=4), Finding::Changed(Change::new("ecn", (2_u8, 0_u8), 2..=2))];
        let location =
            Location::new(ConfigId::new(1)).found(changes.map(Finding::Changed).chain(others));
        testing::located(&dscp(&[46]), &flows, &location)
    };
    for (was, is, behaviours) in [
        (46, 0, &["bleach_dscp"][..]),
        // NQB.
        (45, 5, &["bleach_tos_precedence"]),
        (48, 0, &["bleach_dscp", "bleach_tos_precedence"]),
        (46, 14, &["remark_tos"]),
        (48, 8, &["remark_tos"]),
        (46, 40, &["bleach_low"]),
        // LE.
        (1, 0, &["bleach_dscp", "bleach_low"]),
        (46, 10, &["remark_dscp"]),
        (0, 10, &["remark_dscp"]),
    ] {
        let expected: Vec<String> =
            behaviours.iter().map(|one| format!("dscp.46.location.remarked:{one}")).collect();
        assert_eq!(named(&[(was, is)]), expected, "{was} to {is}");
    }
    assert_eq!(named(&[(46, 10), (10, 12)]), ["dscp.46.location.remarked:remark_dscp"]);
    assert!(named(&[]).is_empty());
}

#[test]
fn code_points_have_their_names() {
    let options = Dscp::options();
    let spec = options.iter().find(|spec| spec.name == "codepoint").unwrap();
    for (name, code_point) in [
        ("EF", 46),
        ("cs0", 0),
        ("CS6", 48),
        ("AF11", 10),
        ("AF41", 34),
        ("AF43", 38),
        ("NQB", 45),
        ("LE", 1),
        ("voice-admit", 44),
    ] {
        assert_eq!(spec.whole_number(name), Some(code_point), "{name}");
    }
    assert_eq!(spec.words.len(), 4 + 8 + 12);
}

/// PATHspider loses a reply mark of 0.
#[test]
fn a_bleached_answer_has_the_mark_0() {
    let a = flow(State::Ok, 0, [Some(0), Some(0)]);
    let b = flow(State::Ok, 48, [Some(0), Some(0)]);
    assert_eq!(
        conclude(&[a, b]),
        ["dscp.0.replymark:0", "dscp.48.connectivity.works", "dscp.48.replymark:0"]
    );
}

#[test]
fn syns_that_ask_for_ecn_are_no_ordinary_ones() {
    let asking = TcpFlags::SYN.and(TcpFlags::ASK_FOR_ECN);
    let flows = [0, 48].map(|mark| flow(State::Ok, mark, [Some(0), Some(0)]));
    assert_eq!(
        conclude(&flows.map(|flow| flow.with(tcp::SYNFLAGS_FWD, asking))),
        ["pathspider.not_applied:0", "pathspider.not_applied:1"]
    );
}

#[test]
fn marks_of_the_syn_ack_and_of_data_may_differ() {
    let a = flow(State::Ok, 0, [Some(0), Some(0)]);
    let b = flow(State::Ok, 48, [Some(48), Some(10)]);
    let found = conclude(&[a, b]);
    assert_eq!(found[2..], ["dscp.48.replymark:48", "dscp.48.replymark:10"]);
}

#[test]
fn a_path_that_drops_the_mark_is_broken() {
    let a = flow(State::Ok, 0, [Some(0), None]);
    let b = flow(State::Timeout, 48, [None, None]);
    assert_eq!(conclude(&[a, b]), ["dscp.0.replymark:0", "dscp.48.connectivity.broken"]);
}

#[test]
fn each_code_point_is_compared_with_the_baseline() {
    let a = flow(State::Ok, 0, [None, None]);
    let (b, c) = (flow(State::Failed, 8, [None, None]), flow(State::Ok, 46, [None, None]));
    let found = testing::conclude(&dscp(&[8, 46]), &[a, b, c]);
    assert_eq!(found, ["dscp.8.connectivity.broken", "dscp.46.connectivity.works"]);
}

#[test]
fn no_verdict_where_a_packet_left_with_another_mark() {
    let a = flow(State::Ok, 0, [Some(0), Some(0)]);
    for part in [dscp::SYN_FWD, dscp::DATA_FWD] {
        let b = flow(State::Ok, 48, [Some(48), Some(48)]).with(part, 0);
        let found = conclude(&[a.clone(), b]);
        assert_eq!(found, ["dscp.0.replymark:0", "pathspider.not_applied:1"], "{part:?}");
    }
}

#[test]
fn no_verdict_where_nothing_sent_was_captured() {
    let a = flow(State::Ok, 0, [Some(0), Some(0)]);
    let b = testing::flow(State::Ok).with(dscp::DATA_REV, 0);
    assert_eq!(conclude(&[a, b]), ["dscp.0.replymark:0", "pathspider.not_observed"]);
}

/// What the target sent before a connection failed is its own, with its mark.
#[test]
fn the_marks_of_a_connection_that_failed_count() {
    let a = flow(State::Ok, 0, [Some(0), Some(0)]);
    let reset = flow(State::Failed, 48, [Some(0), Some(10)]);
    assert_eq!(
        conclude(&[a, reset]),
        [
            "dscp.0.replymark:0",
            "dscp.48.connectivity.broken",
            "dscp.48.replymark:0",
            "dscp.48.replymark:10"
        ]
    );
}
