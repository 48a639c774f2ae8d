//! What the measurement sends, and what it concludes from flows that are written out here.

use pathspider_plugin_api::testing::{self, TestFlow};

use super::*;

fn udpzero() -> Udpzero {
    testing::with_options(Record::new())
}

/// A query with checksum 0 or not, and whether a valid response came.
fn flow(zero: bool, valid: bool) -> TestFlow {
    testing::flow(if valid { State::Ok } else { State::Timeout })
        .with(udp::ZERO_CHECKSUM_FWD, zero)
        .with(dns::RESPONSE_VALID, valid)
}

fn conclude(a: TestFlow, b: TestFlow) -> Vec<String> {
    testing::conclude(&udpzero(), &[a, b])
}

#[test]
fn only_b_is_without_checksum() {
    let own = Record::new().with("domain", "www.example.org");
    for (target, at) in [("192.0.2.1", 26), ("2001:db8::1", 46)] {
        let job = Job::new(0, target.parse().unwrap(), 53, own.clone());
        let bytes = |config| {
            let connect = testing::connect(&udpzero(), &job, config).unwrap();
            connect.packet_bytes().next().unwrap().to_vec()
        };
        let (a, b) = (bytes(PLAIN), bytes(ZERO));
        assert!(a[at..at + 2] != [0, 0] && b[at..at + 2] == [0, 0], "{target}");
        let asked = b"\x03www\x07example\x03org\0\0\x01\0\x01";
        assert!(a.ends_with(asked) && b.ends_with(asked));
    }
}

#[test]
fn a_name_that_is_none_is_the_jobs_fault() {
    let own = Record::new().with("domain", "a..b");
    let job = Job::new(0, "192.0.2.1".parse().unwrap(), 53, own);
    assert!(testing::connect(&udpzero(), &job, ZERO).is_err());
}

#[test]
fn a_valid_response_is_what_connects() {
    for (a, b, word) in [
        (true, true, "works"),
        (true, false, "broken"),
        (false, true, "transient"),
        (false, false, "offline"),
    ] {
        let expected = [format!("udpzero.connectivity.{word}")];
        assert_eq!(conclude(flow(false, a), flow(true, b)), expected);
    }
    // Something came back, which is no response.
    let other = flow(true, false).state(State::Ok);
    assert_eq!(conclude(flow(false, true), other), ["udpzero.connectivity.broken"]);
}

/// RFC 8200, section 8.1.
#[test]
fn over_ipv6_silence_is_the_targets_and_a_routers_refusal_the_paths() {
    let target: std::net::IpAddr = "2001:db8::1".parse().unwrap();
    let job = Job::new(0, target, 53, Record::new());
    let conclude = |a, b| testing::conclude_of(&udpzero(), &job, &[a, b]);
    let (answered, silent) = (flow(false, true), flow(true, false));
    assert_eq!(conclude(answered.clone(), silent.clone()), ["udpzero.connectivity.discarded"]);
    assert_eq!(conclude(answered.clone(), flow(true, true)), ["udpzero.connectivity.works"]);
    assert_eq!(conclude(flow(false, false), flow(true, true)), ["udpzero.connectivity.transient"]);
    let refused = |from: &str| {
        let error = Record::new().with("type", 1).with("code", 1).with("from", from.to_owned());
        let errors: Vec<Value> = vec![error.with("ttl", 60).with("count", 1).into()];
        silent.clone().with(icmp::ERRORS, errors)
    };
    let by_router = conclude(answered.clone(), refused("2001:db8::9"));
    assert_eq!(by_router, ["udpzero.connectivity.broken"]);
    assert_eq!(conclude(answered, refused("2001:db8::1")), ["udpzero.connectivity.discarded"]);
}

#[test]
fn no_verdict_where_the_wire_says_otherwise() {
    let filled_in = flow(false, true);
    assert_eq!(conclude(flow(false, true), filled_in), ["pathspider.not_applied:1"]);
    let unseen = flow(true, true).with(udp::ZERO_CHECKSUM_FWD, None);
    assert_eq!(conclude(flow(false, true), unseen), ["pathspider.not_observed"]);
}
