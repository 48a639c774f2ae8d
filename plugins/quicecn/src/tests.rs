//! What leaves in each configuration, and what is concluded from flows that are written out here.

use pathspider_plugin_api::testing::{self, TestFlow};

use super::*;

const FIELDS: [Field<bool>; 3] = [ecn::ECT1_DATA_FWD, ecn::ECT0_DATA_FWD, ecn::CE_DATA_FWD];

/// A space with this many acknowledged packets, and counts of ECT(0), ECT(1) and CE.
fn space(acknowledged: u64, counts: Option<[u64; 3]>) -> Record {
    let space = Record::new().with("sent", acknowledged + 1).with("acknowledged", acknowledged);
    let Some([ect0, ect1, ce]) = counts else { return space };
    space.with("ect0", ect0).with("ect1", ect1).with("ce", ce)
}

/// A connection whose packets had the mark of this configuration, and what the target said of them.
fn flow(config: usize, counts: Option<[u64; 3]>) -> TestFlow {
    let spaces = Record::new()
        .with("initial", space(2, counts.map(|_| mirrored(config, 2))))
        .with("handshake", space(0, None))
        .with("application", space(5, counts));
    let meant = mark(ConfigId::new(config));
    let flow = testing::flow(State::Ok)
        .with(quic::VERSION_FWD, quic::version(1))
        .outcome("quic_info", Record::new().with("ecn", spaces));
    (1..).zip(FIELDS).fold(flow, |flow, (value, field)| flow.with(field, value == meant))
}

/// The counts of a target that mirrors.
fn mirrored(config: usize, count: u64) -> [u64; 3] {
    let mut counts = [0; 3];
    if config > 0 {
        counts[config - 1] = count;
    }
    counts
}

fn all() -> [TestFlow; 4] {
    std::array::from_fn(|config| flow(config, (config > 0).then(|| mirrored(config, 5))))
}

fn conclude(flows: &[TestFlow]) -> Vec<String> {
    let plugin: QuicEcn = testing::with_options(Record::new());
    let found = testing::conclude(&plugin, flows);
    let short = found.iter().map(|one| one.trim_start_matches("quicecn.").to_owned());
    short.filter(|one| !one.contains("connectivity.works")).collect()
}

#[test]
fn a_target_that_mirrors_says_what_arrived() {
    assert_eq!(conclude(&all()), ["ect0.passed", "ect1.passed", "ce.passed", "target.mirrors"]);
    // All of a connection's spaces count, so what is changed in one of two shows.
    for (counts, words) in [
        ([6, 0, 0], "ect0.passed"),
        ([4, 0, 1], "ect0.congested"),
        ([3, 2, 0], "ect0.remarked:ect1"),
        ([4, 0, 0], "ect0.undercount"),
        ([0, 5, 0], "ect0.remarked:ect1"),
    ] {
        let mut flows = all();
        flows[1] = flow(1, Some(counts));
        assert_eq!(conclude(&flows)[0], words, "{counts:?}");
    }
}

/// A connection with one space alone.
fn alone(config: usize, acknowledged: u64, counts: Option<[u64; 3]>) -> TestFlow {
    let spaces = Record::new().with("application", space(acknowledged, counts));
    flow(config, None).outcome("quic_info", Record::new().with("ecn", spaces))
}

#[test]
fn all_is_told_from_some_and_none() {
    let mut flows = all();
    flows[1] = alone(1, 5, Some([0, 0, 5]));
    flows[2] = alone(2, 5, None);
    flows[3] = alone(3, 5, Some([5, 0, 0]));
    assert_eq!(
        conclude(&flows),
        ["ect0.all_ce", "ect1.bleached", "ce.remarked:ect0", "target.mirrors"]
    );
    flows[1] = alone(1, 5, Some([0, 0, 0]));
    flows[3] = alone(3, 5, None);
    assert_eq!(conclude(&flows), ["ect0.no_counts", "ect1.no_counts", "ce.no_counts"]);
    // Nothing that was acknowledged, nothing that is known.
    flows[1] = alone(1, 0, None);
    assert_eq!(conclude(&flows)[0], "ect1.no_counts");
}

#[test]
fn counts_of_more_packets_than_were_sent_mean_nothing() {
    // A target that gives the same counts for all spaces, of their packets together.
    let mut flows = all();
    let counts = Some([0, 7, 0]);
    let spaces =
        Record::new().with("initial", space(2, counts)).with("application", space(5, counts));
    flows[2] = flow(2, None).outcome("quic_info", Record::new().with("ecn", spaces));
    flows[3] = alone(3, 5, Some([u64::MAX, 1, u64::MAX]));
    let words = ["ect0.passed", "ect1.overcount", "ce.overcount", "target.mirrors"];
    assert_eq!(conclude(&flows), words);
    // What is sent again may come twice, and is counted once.
    flows[2] = alone(2, 5, Some([0, 6, 0]));
    assert_eq!(conclude(&flows)[1], "ect1.passed");
}

#[test]
fn packets_without_the_mark_prove_nothing() {
    let mut flows = all();
    flows[2] = flow(2, Some([0, 5, 0])).with(ecn::ECT1_DATA_FWD, false);
    flows[3] = flow(3, Some([0, 0, 5])).with(ecn::ECT0_DATA_FWD, true);
    let said = conclude(&flows);
    let not = ["pathspider.not_applied:2", "pathspider.not_applied:3"];
    assert_eq!(said, ["ect0.passed", "target.mirrors", not[0], not[1]]);
}

#[test]
fn a_black_hole_for_one_mark_is_found() {
    let mut flows = all();
    flows[2] = flow(2, None).state(State::Timeout).outcome("quic_info", Record::new());
    let plugin: QuicEcn = testing::with_options(Record::new());
    let found = testing::conclude(&plugin, &flows);
    assert!(found.contains(&"quicecn.ect1.connectivity.broken".to_owned()), "{found:?}");
    let uses = flow(1, Some([5, 0, 0])).with(ecn::ECT0_DATA_REV, true);
    flows[1] = uses;
    assert!(conclude(&flows).contains(&"target.uses_ecn".to_owned()));
}
