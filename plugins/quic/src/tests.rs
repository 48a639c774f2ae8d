//! What is asked for in each configuration, and what is concluded from flows that are written out here.

use pathspider_plugin_api::testing::{self, TestFlow};

use super::*;

/// A connection with this first datagram, and what the host says of it.
fn flow(state: State, version: u32, length: u16, info: Record) -> TestFlow {
    testing::flow(state)
        .with(quic::VERSION_FWD, quic::version(version))
        .with(quic::FIRST_LENGTH_FWD, length)
        .with(quic::UNFIXED_FWD, 0)
        .outcome("quic_info", info)
}

fn shaken() -> Record {
    let parameters = Record::new().with("grease_quic_bit", true);
    Record::new().with("handshake_us", 900).with("parameters", parameters)
}

fn named() -> Record {
    let versions: Value = ["0x00000001"].into_iter().collect();
    Record::new().with("versions", versions)
}

/// All five as a server of versions 1 and 2 answers them.
fn all() -> [TestFlow; 5] {
    let list: Vec<Value> = ["0x1a2a3a4a", "0x00000001"].map(Value::from).into();
    let asked = flow(State::Ok, RESERVED_VERSION, 1200, named()).with(quic::NEGOTIATION, list);
    [
        flow(State::Ok, VERSION_1, 1200, shaken()),
        flow(State::Ok, VERSION_2, 1200, shaken()),
        asked,
        flow(State::Ok, VERSION_1, 1200, shaken()).with(quic::UNFIXED_FWD, 3),
        flow(State::Timeout, RESERVED_VERSION, 300, Record::new()),
    ]
}

fn conclude(flows: &[TestFlow]) -> String {
    let quic: Quic = testing::with_options(Record::new());
    let found = testing::conclude(&quic, flows);
    let short: Vec<&str> = found.iter().map(|one| one.trim_start_matches("quic.")).collect();
    short.join(" ")
}

#[test]
fn a_server_that_speaks_all_is_known() {
    assert_eq!(
        conclude(&all()),
        "v1.connectivity.online v1.spoken v2.spoken v2.connectivity.works reserved.connectivity.works \
         greased.connectivity.works unpadded.unanswered version.offered:0x00000001"
    );
}

#[test]
fn what_a_target_lacks_is_no_fault_of_the_path() {
    let mut flows = all();
    flows[1] = flow(State::Failed, VERSION_2, 1200, named()).outcome("spdr_carried", true);
    let untaken = Record::new().with("handshake_us", 9).with("parameters", Record::new());
    flows[3] = flow(State::Ok, VERSION_1, 1200, untaken);
    let said = conclude(&flows);
    assert!(said.contains("v2.unspoken v2.connectivity.works"), "{said}");
    assert!(said.contains("greased.untaken") && !said.contains("greased.connectivity"), "{said}");
    let none = all().map(|flow| flow.state(State::Timeout).outcome("quic_info", Record::new()));
    assert_eq!(
        conclude(&none),
        "v1.connectivity.offline v2.connectivity.offline reserved.connectivity.offline \
         version.offered:0x00000001"
    );
}

#[test]
fn a_path_that_drops_is_found() {
    let silent = Record::new;
    let mut flows = all();
    flows[1] = flow(State::Timeout, VERSION_2, 1200, silent());
    flows[2] = flow(State::Timeout, RESERVED_VERSION, 1200, silent());
    flows[3] = flow(State::Timeout, VERSION_1, 1200, shaken()).with(quic::UNFIXED_FWD, 2);
    flows[4] = flow(State::Ok, RESERVED_VERSION, 300, named());
    assert_eq!(
        conclude(&flows),
        "v1.connectivity.online v1.spoken v2.connectivity.broken reserved.connectivity.broken \
         greased.connectivity.broken unpadded.answered"
    );
    // A handshake that failed says nothing of the bit that was to be cleared after it.
    flows[3] = flow(State::Timeout, VERSION_1, 1200, silent());
    assert!(!conclude(&flows).contains("greased"));
}

#[test]
fn packets_that_left_otherwise_prove_nothing() {
    let mut flows = all();
    flows[1] = flow(State::Ok, VERSION_1, 1200, shaken());
    flows[4] = flow(State::Ok, RESERVED_VERSION, 1200, named());
    let said = conclude(&flows);
    assert!(said.contains("pathspider.not_applied:1 pathspider.not_applied:4"), "{said}");
    assert!(!said.contains("v2") && !said.contains("unpadded"), "{said}");
    flows[0] = testing::flow(State::Ok);
    assert!(conclude(&flows).contains("pathspider.not_observed"));
}

#[test]
fn the_configurations_differ_by_what_they_ask_for() {
    let quic: Quic = testing::with_options(Record::new());
    let job = Job::new(0, [192, 0, 2, 1].into(), 443, Record::new());
    let set = |config, key| {
        let connect = testing::connect(&quic, &job, config).unwrap();
        connect.settings().u64(key)
    };
    let configurations = quic.configurations();
    let versions: Vec<_> = configurations.iter().map(|c| set(c, "version")).collect();
    let (v2, reserved) = (Some(VERSION_2.into()), Some(RESERVED_VERSION.into()));
    assert_eq!(versions, [None, v2, reserved, None, reserved]);
    assert_eq!(set(&SHORT, "padding"), Some(300));
}
