//! What is sent, and what the chain and the measurement say of answers that are written out here.

use pathspider_plugin_api::FlowRecord;
use pathspider_plugin_api::abi::ChainHandle;
use pathspider_plugin_api::forge::Packet;
use pathspider_plugin_api::packet::{OptionKinds, TcpFlags};
use pathspider_plugin_api::testing::{self, TestFlow};

use super::*;

const TARGETS: [&str; 2] = ["192.0.2.1", "2001:db8::1"];
/// `MP_CAPABLE` of version 1 with a key of eight octets.
const WITH_KEY: [u8; 10] = [1, 1, 8, 7, 6, 5, 4, 3, 2, 1];

/// The SYN of a configuration.
fn syn(target: &str, config: &Configuration) -> Vec<u8> {
    let mptcp: Mptcp = testing::with_options(Record::new());
    let job = Job::new(0, target.parse().unwrap(), 80, Record::new());
    testing::syn(&testing::connect(&mptcp, &job, config).unwrap(), &job).unwrap()
}

/// What the chain says of a SYN, and of a SYN/ACK with this option.
fn observed(config: &Configuration, answer: Option<(u8, &[u8])>) -> FlowRecord {
    let syn = syn(TARGETS[0], config);
    let asked = testing::packet(&syn).unwrap();
    let to = Packet::to(asked.ip().source()).source(asked.ip().destination());
    let number = asked.tcp().unwrap().sequence().wrapping_add(1);
    let (source, destination) = asked.ports().unwrap();
    let syn_ack = to.tcp(source).source_port(destination).acknowledgment(number);
    let syn_ack = syn_ack.flags(TcpFlags::SYN.and(TcpFlags::ACK));
    let syn_ack = match answer {
        Some((kind, value)) => syn_ack.option(kind, value),
        None => syn_ack,
    };
    let packets = [syn.clone(), syn_ack.bytes().unwrap()];
    testing::observe(ChainHandle::of::<chain::MptcpChain>(), &packets).unwrap()
}

/// The chain's fields: whether the option is mirrored, its version, and whether it has a key.
fn fields(
    config: &Configuration,
    answer: Option<(u8, &[u8])>,
) -> (Option<bool>, Option<u8>, Option<bool>) {
    let record = observed(config, answer);
    (record.get(mptcp::MIRRORED), record.get(mptcp::VERSION), record.get(mptcp::KEY))
}

/// A connection: which of the options its SYNs had, and whether it was answered.
fn flow(kinds: &[u8], answered: bool) -> TestFlow {
    let kinds: OptionKinds = [2, 4].iter().chain(kinds).copied().collect();
    let syn_ack = TcpFlags::SYN.and(TcpFlags::ACK);
    testing::flow(if answered { State::Ok } else { State::Timeout })
        .with(syn::COUNT_FWD, 1)
        .with(syn::OPTIONS_ALL_FWD, kinds)
        .with(syn::OPTIONS_ANY_FWD, kinds)
        .with(tcp::SYNFLAGS_REV, answered.then_some(syn_ack))
        .with(mptcp::MIRRORED, answered.then_some(false))
}

fn conclude(a: TestFlow, b: TestFlow, c: TestFlow) -> Vec<String> {
    let mptcp: Mptcp = testing::with_options(Record::new());
    testing::conclude(&mptcp, &[a, b, c])
}

/// What is concluded of B beside connectivity.
fn negotiated(b: TestFlow) -> String {
    let found = conclude(flow(&[], true), b, flow(&[253], true));
    let beside: Vec<&str> =
        found.iter().map(String::as_str).filter(|one| !one.contains("connectivity")).collect();
    beside.join(" ")
}

#[test]
fn configurations_differ_by_one_option_and_are_as_long() {
    for target in TARGETS {
        let [plain, mptcp, control] = [PLAIN, MPTCP, CONTROL].map(|config| syn(target, &config));
        let options = |octets: &[u8]| {
            let packet = testing::packet(octets).unwrap();
            let tcp = packet.tcp().unwrap();
            tcp.options().map(|option| (option.kind, option.data.to_vec())).collect::<Vec<_>>()
        };
        assert_eq!(options(&mptcp)[2..], [(30, vec![1, 1])]);
        assert_eq!(options(&control)[2..], [(253, vec![0x70, 0x73])]);
        assert_eq!(options(&plain), options(&mptcp)[..2]);
        assert_eq!((mptcp.len(), control.len()), (plain.len() + 4, plain.len() + 4));
    }
}

#[test]
fn what_a_syn_ack_says_is_read() {
    assert_eq!(fields(&MPTCP, Some((30, &WITH_KEY))), (Some(false), Some(1), Some(true)));
    assert_eq!(fields(&MPTCP, Some((30, &[1, 1]))), (Some(true), Some(1), Some(false)));
    assert_eq!(fields(&MPTCP, Some((30, &[0, 1]))), (Some(false), Some(0), Some(false)));
    assert_eq!(fields(&MPTCP, None), (Some(false), None, None));
    assert_eq!(fields(&CONTROL, Some((253, &[0x70, 0x73]))), (Some(true), None, None));
    // Of another subtype, or cut off.
    assert_eq!(fields(&MPTCP, Some((30, &[0x11, 1]))), (Some(false), None, None));
    assert_eq!(fields(&MPTCP, Some((30, &[]))), (Some(false), None, None));
}

#[test]
fn a_target_agrees_refuses_or_is_a_mirror() {
    let b = || flow(&[30], true);
    assert_eq!(negotiated(b()), "mptcp.negotiation.none");
    let capable = |version: u8, key| b().with(mptcp::VERSION, version).with(mptcp::KEY, key);
    assert_eq!(negotiated(capable(1, true)), "mptcp.negotiation.succeeded");
    assert_eq!(negotiated(capable(1, false)), "mptcp.negotiation.keyless");
    assert_eq!(negotiated(capable(0, true)), "mptcp.negotiation.version:0");
    let mirrored = capable(1, false).with(mptcp::MIRRORED, true);
    assert_eq!(negotiated(mirrored.clone()), "mptcp.negotiation.mirrored");
    let control = flow(&[253], true).with(mptcp::MIRRORED, true);
    let found = conclude(flow(&[], true), mirrored, control);
    assert!(found.contains(&"mptcp.control.mirrored".to_owned()), "{found:?}");
}

#[test]
fn what_drops_unknown_options_is_told_from_what_drops_this_one() {
    let [works, broken] = ["works", "broken"].map(|word| format!("mptcp.connectivity.{word}"));
    let control = |word| format!("mptcp.control.connectivity.{word}");
    let found = |b, c| {
        let mut found = conclude(flow(&[], true), flow(&[30], b), flow(&[253], c));
        found.retain(|condition| condition.contains("connectivity"));
        found
    };
    assert_eq!(found(true, true), [works.clone(), control("works")]);
    assert_eq!(found(false, true), [broken.clone(), control("works")]);
    assert_eq!(found(false, false), [broken, control("broken")]);
    assert_eq!(found(true, false), [works, control("broken")]);
}

#[test]
fn no_verdict_where_the_option_was_not_sent() {
    let b = flow(&[], true).with(mptcp::VERSION, 1).with(mptcp::KEY, true);
    let found = conclude(flow(&[], true), b, flow(&[253], true));
    assert_eq!(found, ["mptcp.control.connectivity.works", "pathspider.not_applied:1"]);
    // A box of this machine that takes the option off repeats alone.
    let b = flow(&[30], true).with(syn::OPTIONS_ALL_FWD, OptionKinds::default());
    let found = conclude(flow(&[], true), b, flow(&[253], true));
    assert_eq!(found, ["mptcp.control.connectivity.works", "pathspider.not_applied:1"]);
    let found = conclude(flow(&[30], true), flow(&[30], true), flow(&[253], true));
    assert_eq!(found, ["pathspider.not_applied:0"]);
    let unseen = flow(&[30], true).with(syn::COUNT_FWD, 0);
    let found = conclude(flow(&[], true), unseen, flow(&[253], true));
    assert_eq!(found, ["mptcp.control.connectivity.works", "pathspider.not_observed"]);
}

#[test]
fn a_quote_without_the_option_tells_stripped_from_refused() {
    let flows = [PLAIN, MPTCP, CONTROL].map(|_| testing::flow(State::Ok));
    let located = |config: Configuration, field: &str, is: Value| {
        let change = Change::new(field, (vec![1_u8, 1], is), 3..=3);
        let location = Location::new(&config).found([Finding::Changed(change)]);
        testing::located(&testing::with_options::<Mptcp>(Record::new()), &flows, &location)
    };
    let absent = || Value::from(None::<u64>);
    assert_eq!(located(MPTCP, "tcpopt-30", absent()), ["mptcp.location.stripped"]);
    assert!(located(MPTCP, "tcpopt-30", vec![0_u8, 0].into()).is_empty(), "changed");
    assert!(located(MPTCP, "tcpopt-4", absent()).is_empty(), "another one");
    assert!(located(CONTROL, "tcpopt-30", absent()).is_empty());
}
