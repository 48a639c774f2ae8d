//! Tests without root and without a network: each runs with the plugin linked in, and again with
//! the plugin loaded from its library, as the host loads it.

use std::net::TcpListener;

use pathspider_example::{hops, Example, Hops};
use pathspider_plugin_api::abi::{ChainHandle, MeasurementHandle};
use pathspider_plugin_api::testing::{self, hex, End, Form};
use pathspider_plugin_api::{ConfigId, FlowRecord, Job, Record, State};

/// A SYN from 192.0.2.1 to 198.51.100.7 with 32 hops to go, and the SYN/ACK with 57.
const SYN: &str = "45000028000140002006 0000 c0000201 c6336407
                   9c400050 00000001 00000000 5002ffff 0000 0000";
const SYN_ACK: &str = "45000028000140003906 0000 c6336407 c0000201
                       00509c40 00000001 00000002 5012ffff 0000 0000";

/// What a router at 203.0.113.1 says of that SYN: its time to live is over (RFC 792).
const EXCEEDED: &str = "45000038000100003f01 0000 cb007101 c0000201 0b00 0000 00000000
                        45000028000140000106 0000 c0000201 c6336407 9c400050 00000001";

/// The plugin linked in, and loaded from the library that cargo builds before these tests.
fn both() -> [Form; 2] {
    let measurements = [MeasurementHandle::of::<Example>()];
    let chains = [ChainHandle::of::<Hops>()];
    testing::forms(env!("CARGO_PKG_NAME"), &measurements, &chains).expect("the library loads")
}

fn job(port: u16) -> Job {
    Job::new(0, [127, 0, 0, 1].into(), port, Record::new())
}

#[test]
fn the_chain_reads_the_first_packets() {
    for form in both() {
        let chain = form.chains[0];
        let record = testing::observe(chain, &[hex(SYN), hex(SYN_ACK)]).expect("a flow");
        assert_eq!(record.get(hops::FORWARD), Some(32));
        assert_eq!(record.get(hops::REVERSE), Some(57));
        let alone = testing::observe(chain, &[hex(SYN)]).expect("a flow");
        assert_eq!(alone.get(hops::REVERSE), None);
        let lost = testing::observe(chain, &[hex(SYN), hex(EXCEEDED)]).expect("a flow");
        assert_eq!(lost.get(hops::REVERSE), None, "a router is not the target");
    }
}

#[test]
fn malformed_packets_are_no_flow() {
    for form in both() {
        let chain = form.chains[0];
        let (syn, answer) = (hex(SYN), hex(SYN_ACK));
        // Cut off in the TCP header, in the IP header, and with a length that is not its own.
        let cut = [syn[..30].to_vec(), syn[..10].to_vec(), Vec::new(), vec![0x45; 40]];
        assert!(testing::observe(chain, &cut).is_err());
        let mut packets = vec![syn];
        packets.extend(cut);
        packets.push(answer);
        let record = testing::observe(chain, &packets).expect("a flow");
        assert_eq!((record.get(hops::FORWARD), record.get(hops::REVERSE)), (Some(32), Some(57)));
    }
}

#[test]
fn a_server_that_answers_both_works() {
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = server.local_addr().expect("an address");
    for form in both() {
        let (measurement, chain) = (form.measurements[0], form.chains[0]);
        let object = testing::instantiate(measurement, Record::new()).expect("defaults");
        let flow = testing::observe(chain, &[hex(SYN), hex(SYN_ACK)]).expect("a flow");
        let end = testing::measure(measurement, &object, &job(address.port()), |_, connect| {
            End { outcome: testing::dial(connect, address), flow: Some(flow.clone()) }
        });
        let end = end.expect("a conclusion");
        let name = measurement.describe().expect("a description").0.name;
        assert_eq!(end.texts(), [format!("{name}.connectivity.works"), format!("{name}.hops:57")]);
        assert_eq!(end.connects[0].settings().u64("ttl"), None);
        assert_eq!(end.connects[1].settings().u64("ttl"), Some(32));
    }
}

#[test]
fn what_the_wire_does_not_show_is_no_verdict() {
    for form in both() {
        let (measurement, chain) = (form.measurements[0], form.chains[0]);
        let options = Record::new().with("ttl", 12u8);
        let object = testing::instantiate(measurement, options).expect("the option");
        let flow = testing::observe(chain, &[hex(SYN), hex(SYN_ACK)]).expect("a flow");
        let conclude = |b: fn(FlowRecord) -> End| {
            let end = testing::measure(measurement, &object, &job(80), |config, _| match config {
                ConfigId::BASELINE => End::seen(State::Ok, flow.clone()),
                _ => b(flow.clone()),
            });
            end.expect("a conclusion").texts().join(" ")
        };
        assert_eq!(conclude(|flow| End::seen(State::Ok, flow)), "pathspider.not_applied:1");
        assert_eq!(conclude(|_| End::unseen(State::Timeout)), "");
    }
}
