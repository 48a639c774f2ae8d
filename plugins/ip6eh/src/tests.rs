//! What the measurement sends, what its chain sees, and what it concludes from flows that are written
//! out here.

use pathspider_plugin_api::abi::ChainHandle;
use pathspider_plugin_api::packet::TcpFlags;
use pathspider_plugin_api::testing::{self, TestFlow};

use super::*;

const TARGET_ADDRESS: &str = "2001:db8::1";

fn ip6eh(given: Record) -> Ip6eh {
    testing::with_options(given)
}

fn job(target: &str) -> Job {
    Job::new(0, target.parse().unwrap(), 80, Record::new())
}

#[test]
fn what_is_sent_is_what_the_chain_sees_with_right_lengths() {
    for (mode, transport) in [("tcpsyn", protocol::TCP), ("dnsudp", protocol::UDP)] {
        let sizes: Value = [8i64, 16, 32, 64].into_iter().collect();
        let given = Record::new().with("connect", mode.to_owned()).with("size", sizes);
        let measurement = ip6eh(given);
        let control = usize::from(transport == protocol::TCP);
        assert_eq!(measurement.probes.len(), 1 + 3 * 4 + 2 + control);
        for (at, probe) in measurement.probes.iter().enumerate() {
            let connect =
                testing::connect(&measurement, &job(TARGET_ADDRESS), ConfigId::new(at)).unwrap();
            let parts = if *probe == Some(Probe::Fragments) { 2 } else { 1 };
            assert_eq!(connect.packet_bytes().count(), parts, "{probe:?}");
            let packets: Vec<Vec<u8>> = connect.packet_bytes().map(<[u8]>::to_vec).collect();
            for packet in &packets {
                let length = usize::from(u16::from_be_bytes([packet[4], packet[5]]));
                assert_eq!(length + 40, packet.len(), "{probe:?}");
                assert_ne!(packet[1..4], [0, 0, 0], "it has a flow label");
                assert_eq!(packet[1..4], packets[0][1..4], "the same");
            }
            let seen = testing::observe(ChainHandle::of::<Headers>(), &packets[..1]).unwrap();
            let meant = probe.map_or_else(String::new, |probe| probe.on_wire(transport));
            assert_eq!(seen.into_record().str("ip6eh_sent"), Some(&*meant), "{probe:?}");
        }
    }
}

#[test]
fn two_fragments_come_to_the_whole() {
    let packet = Packet::to(TARGET_ADDRESS.parse().unwrap()).udp(53, &[7; 100]).bytes().unwrap();
    let [first, second] = &headers::fragments(&packet, 64)[..] else { panic!("two") };
    assert_eq!((first.len(), first[6], first[40]), (40 + 8 + 64, 44, protocol::UDP));
    assert_eq!((first[43], second[42..44].to_vec()), (1, vec![0, 64]));
    assert_eq!(first[44..48], second[44..48], "one identification");
    assert_eq!([&first[48..], &second[48..]].concat(), packet[40..]);
}

#[test]
fn what_is_not_for_a_target_is_skipped_and_wrong_options_are_refused() {
    let measurement = ip6eh(Record::new());
    let connect = testing::connect(&measurement, &job("192.0.2.1"), ConfigId::new(0)).unwrap();
    assert_eq!(connect.kind(), ConnectKind::Skip);
    let sizes: Value = [12i64].into_iter().collect();
    for given in
        [Record::new().with("size", sizes), Record::new().with("headers", "hbh,esp".to_owned())]
    {
        let mut values = Ip6eh::options().defaults().into_record();
        given.iter().for_each(|(key, value)| values.set(key.to_owned(), value.clone()));
        assert!(Ip6eh::new(&OptionValues::new(values), Host::standalone()).is_err());
    }
}

/// A SYN that was sent as meant, and whether it was accepted.
fn flow(measurement: &Ip6eh, config: usize, accepted: bool) -> TestFlow {
    let probe = measurement.probe(ConfigId::new(config));
    testing::flow(if accepted { State::Ok } else { State::Timeout })
        .with(tcp::SYNFLAGS_REV, accepted.then_some(TcpFlags(0x12)))
        .with(ip6eh::SENT, probe.map_or_else(String::new, |probe| probe.on_wire(protocol::TCP)))
        .with(ip6eh::SENT_SAME, true)
        .with(ip6eh::LATER, 0)
}

/// What is concluded where A was accepted, and B, with an option for each hop, is another flow.
fn concluded(change: impl Fn(TestFlow) -> TestFlow, accepted: bool) -> Vec<String> {
    let one: Value = [8i64].into_iter().collect();
    let given = Record::new().with("headers", "hbh".to_owned()).with("size", one);
    let measurement = ip6eh(given);
    let flows = [flow(&measurement, 0, true), change(flow(&measurement, 1, accepted))];
    let job = job(TARGET_ADDRESS);
    testing::conclude_of(&measurement, &job, &flows)
}

fn refused(from: &str, code: u8) -> Vec<Value> {
    let error = Record::new().with("type", 4).with("code", code).with("from", from.to_owned());
    vec![error.with("ttl", 60).with("count", 1).into()]
}

#[test]
fn a_refusal_of_the_targets_is_no_fault_of_the_path() {
    let broken = "ip6eh.hbh.8.connectivity.broken";
    assert_eq!(concluded(|b| b, true), ["ip6eh.hbh.8.connectivity.works"]);
    assert_eq!(concluded(|b| b, false), [broken]);
    let target = concluded(|b| b.with(icmp::ERRORS, refused(TARGET_ADDRESS, 2)), false);
    assert_eq!(target, ["ip6eh.hbh.8.refused.target:4.2"]);
    let router = concluded(|b| b.with(icmp::ERRORS, refused("2001:db8:9::9", 6)), false);
    let by = "ip6eh.hbh.8.refused.by:2001:db8:9::9";
    assert_eq!(router, [broken, "ip6eh.hbh.8.refused.router:4.6", by]);
}

#[test]
fn no_verdict_where_it_left_otherwise() {
    let without = concluded(|b| b.with(ip6eh::SENT, String::new()), true);
    assert_eq!(without, ["pathspider.not_applied:1"]);
    assert_eq!(concluded(|b| b.with(ip6eh::SENT, None), true), ["pathspider.not_observed"]);
    let split = concluded(|b| b.with(ip6eh::LATER, 1), true);
    assert_eq!(split, ["pathspider.not_applied:1"]);
}
