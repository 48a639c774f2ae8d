//! What the measurement sends, what its chain sees, and what it concludes from flows that are written
//! out here.

use pathspider_plugin_api::abi::ChainHandle;
use pathspider_plugin_api::testing::{self, TestFlow};

use super::*;

fn conclude(flows: &[TestFlow]) -> Vec<String> {
    testing::conclude::<Udpopt>(&testing::with_options(Record::new()), flows)
}

/// A query that was sent as meant for the root, whose length is odd, and whether it was answered.
fn flow(config: usize, answered: bool) -> TestFlow {
    let length = dns_query(".", 0).unwrap().len();
    testing::flow(if answered { State::Ok } else { State::Timeout })
        .with(udpopt::SENT, hexadecimal(&surplus(ConfigId::new(config), length)))
        .with(udpopt::SENT_SAME, true)
        .with(dns::RESPONSE_VALID, answered)
}

fn flows(answered: [bool; 4]) -> Vec<TestFlow> {
    answered.into_iter().enumerate().map(|(config, answered)| flow(config, answered)).collect()
}

#[test]
fn what_is_sent_is_what_the_chain_sees() {
    for (target, domain) in [("192.0.2.1", "a.example"), ("2001:db8::1", "bb.example")] {
        let own = Record::new().with("domain", domain);
        let job = Job::new(0, target.parse().unwrap(), 53, own);
        let udpopt: Udpopt = testing::with_options(Record::new());
        let length = query(&job).unwrap().len();
        for config in 0..4 {
            let connect = testing::connect(&udpopt, &job, ConfigId::new(config)).unwrap();
            let packets: Vec<Vec<u8>> = connect.packet_bytes().map(<[u8]>::to_vec).collect();
            let seen = testing::observe(ChainHandle::of::<Surplus>(), &packets).unwrap();
            let record = seen.into_record();
            let meant = hexadecimal(&surplus(ConfigId::new(config), length));
            assert_eq!(record.str("udpopt_sent"), Some(&*meant), "{target} {config}");
            assert_eq!(record.bool("udpopt_sent_same"), Some(true));
            assert_eq!(record.get("udpopt_came"), Some(&Value::NULL));
        }
    }
}

#[test]
fn only_one_of_three_has_a_right_checksum() {
    use pathspider_plugin_api::forge::is_udp_options;
    for data in [17, 18] {
        let of = |one: Configuration| surplus(one.id(), data);
        assert!(surplus(PLAIN.id(), data).is_empty());
        assert!(is_udp_options(data, &of(OPTIONS)));
        assert!(!is_udp_options(data, &of(WRONG)) && !is_udp_options(data, &of(BARE)));
        assert!(of(OPTIONS).len() == of(WRONG).len() && of(WRONG).len() == of(BARE).len());
    }
}

#[test]
fn each_is_compared_with_the_plain_query() {
    let words = |answered| {
        let found = conclude(&flows(answered)).join(" ");
        found.replace("udpopt.", "").replace("connectivity.", "")
    };
    assert_eq!(words([true; 4]), "options.works wrong.works bare.works");
    assert_eq!(words([false; 4]), "options.offline wrong.offline bare.offline");
    assert_eq!(words([true, false, false, false]), "options.broken wrong.broken bare.broken");
    let whole = "options.works wrong.broken bare.broken checksum.of_packet";
    assert_eq!(words([true, true, false, false]), whole);
    assert_eq!(words([true, true, true, false]), "options.works wrong.works bare.broken");
}

#[test]
fn answers_with_something_behind_them_are_told_apart() {
    for (valid, word) in [(true, "udpopt.answer.options"), (false, "udpopt.answer.octets")] {
        let mut flows = flows([true; 4]);
        flows[1] = flow(1, true).with(udpopt::CAME_VALID, valid);
        assert_eq!(conclude(&flows).last().map(String::as_str), Some(word));
    }
}

#[test]
fn no_verdict_where_it_left_otherwise() {
    let mut flows = flows([true; 4]);
    flows[3] = flow(3, true).with(udpopt::SENT, String::new());
    assert_eq!(conclude(&flows).last().unwrap(), "pathspider.not_applied:3");
    flows[3] = flow(3, true).with(udpopt::SENT, None);
    assert_eq!(conclude(&flows).last().unwrap(), "pathspider.not_observed");
}
