//! What MSS concludes from flows that are written out here.

use pathspider_plugin_api::packet::TcpFlags;
use pathspider_plugin_api::testing::{self, TestFlow};

use super::*;

/// A connection that was answered: the value of our SYN and that of the SYN/ACK.
fn flow(local: u64, remote: Option<u64>) -> TestFlow {
    testing::flow(State::Ok)
        .with(syn::COUNT_FWD, 1)
        .with(syn::COUNT_REV, 1)
        .with(mss::LENGTH_FWD, 4)
        .with(mss::VALUE_FWD, local)
        .with(mss::LENGTH_REV, remote.map(|_| 4))
        .with(mss::VALUE_REV, remote)
}

fn mss(announced: i64) -> Mss {
    testing::with_options(Record::new().with("mss", announced))
}

#[test]
fn the_targets_value_is_compared_with_ours() {
    for (remote, word) in [(1460, "unchanged"), (1461, "inflated"), (1459, "deflated")] {
        assert_eq!(
            testing::conclude(&mss(0), &[flow(1460, Some(remote))]),
            [
                "mss.connectivity.online".to_owned(),
                "mss.option.local.value:1460".to_owned(),
                format!("mss.option.remote.value:{remote}"),
                format!("mss.option.received.{word}"),
            ]
        );
    }
}

#[test]
fn a_syn_that_asks_for_ecn_is_no_ordinary_one() {
    let asking = TcpFlags::SYN.and(TcpFlags::ECE).and(TcpFlags::CWR);
    let flow = flow(1460, Some(1460)).with(tcp::SYNFLAGS_FWD, asking);
    assert_eq!(testing::conclude(&mss(0), &[flow]), ["pathspider.not_applied:0"]);
}

#[test]
fn an_answer_without_the_option_is_absent_and_no_answer_is_nothing() {
    let found = testing::conclude(&mss(0), &[flow(1460, None)]);
    assert_eq!(found[1..], ["mss.option.local.value:1460", "mss.option.received.absent"]);
    let dead = flow(1460, None).with(syn::COUNT_REV, 0).state(State::Timeout);
    let found = testing::conclude(&mss(0), &[dead]);
    assert_eq!(found, ["mss.connectivity.offline", "mss.option.local.value:1460"]);
}

#[test]
fn a_malformed_option_is_neither_a_value_nor_absent() {
    let found = testing::conclude(&mss(0), &[flow(1460, Some(5)).with(mss::LENGTH_REV, 3)]);
    assert_eq!(found, ["mss.connectivity.online", "mss.option.local.value:1460"]);
}

#[test]
fn no_verdict_where_another_size_was_announced_than_asked_for() {
    assert_eq!(mss(9000).connection.settings().u64("mss"), Some(9000));
    let found = testing::conclude(&mss(9000), &[flow(1460, Some(1460))]);
    assert_eq!(found, ["pathspider.not_applied:0"]);
    assert_eq!(testing::conclude(&mss(1000), &[flow(1000, Some(1000))]).len(), 4);
}

#[test]
fn no_verdict_where_the_syn_was_not_captured() {
    let blind = flow(1460, Some(1460)).with(syn::COUNT_FWD, 0);
    assert_eq!(testing::conclude(&mss(0), &[blind]), ["pathspider.not_observed"]);
}

#[test]
fn a_size_that_the_kernel_does_not_take_is_refused() {
    let values = Mss::options().defaults().into_record().with("mss", 87);
    assert!(Mss::new(&OptionValues::new(values), Host::standalone()).is_err());
}
