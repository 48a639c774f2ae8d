//! What a job's connections come to, with measurements that are linked in.

use std::net::{IpAddr, Ipv4Addr};

use super::{Asked, Connection, Driver, Ended, Fault, Lacking, Sighting, restore};
use crate::abi::{MeasurementHandle, Slots};
use crate::chains::{basic, flow, syn, tcp};
use crate::{
    Attempt, ChainName, Class, Conclusion, Condition, ConfigId, Configuration, Connect,
    ConnectKind, Error, ErrorKind, Flow, FlowRecord, Flows, Host, Info, Job, Measurement,
    OptionValues, Options, Outcome, Record, State, Value, carriage, rules,
};

crate::conditions! {
    PAIR: connectivity("pair");
}

/// Says whether both worked. What it is asked for in `how`, it does wrong.
struct Pair {
    how: String,
}

impl Measurement for Pair {
    fn info() -> Info {
        Info::new("pair", "1", "two connections").conditions(CONDITIONS)
    }

    fn options() -> Options {
        Options::none().text("how", "", "What it does wrong")
    }

    fn new(options: &OptionValues, _: Host) -> crate::Result<Pair> {
        Ok(Pair { how: options.text("how")?.unwrap_or_default().to_owned() })
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![Configuration::new(0, "a"), Configuration::new(1, "b")]
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list([basic::CHAIN])
    }

    fn connect(&self, attempt: &Attempt<'_>) -> crate::Result<Connect> {
        Ok(match &*self.how {
            "marks" => Connect::tcp().dscp(106),
            "forges" => Connect::packets(vec![vec![0]], std::time::Duration::ZERO),
            "depends" => match attempt.earlier(ConfigId::BASELINE) {
                None => Connect::skip("nothing is known"),
                Some(a) if !a.seen() => Connect::skip("it was not seen"),
                Some(a) if !a.connected() => Connect::skip("it was not carried"),
                Some(a) => Connect::tcp().port(a.fields().u64("sp").unwrap_or(0) as u16),
            },
            _ => Connect::tcp(),
        })
    }

    fn post_connect(&self, attempt: &Attempt<'_>, outcome: Outcome) -> crate::Result<Record> {
        let config = attempt.config();
        if self.how == "presumes" {
            let _ = attempt.earlier(ConfigId::BASELINE);
        }
        let record = outcome.into_record();
        Ok(match (&*self.how, config) {
            ("discards", ConfigId::BASELINE) => record.with("spdr_state", State::Discard.number()),
            // Other values, other keys, and one of the host's that was not there.
            ("meddles", _) => {
                let mut record = record.with("spdr_state", 1u8).with("spdr_phase", "tls");
                record.remove("sp");
                record.remove("dns_addresses");
                record.with("sip", "mine").with("own", 1u8)
            }
            ("reserves", _) => record.with("spdr_claimed", true),
            _ => record,
        })
    }

    fn merge(
        &self,
        attempt: &Attempt<'_>,
        flow: Flow<'_>,
        result: Record,
    ) -> crate::Result<Record> {
        if self.how == "leaves" {
            attempt.leave_to_host();
            return Ok(result);
        }
        if self.how == "meddles" {
            return Ok(result);
        }
        let mut merged = result;
        merged.extend(flow.fields());
        Ok(merged)
    }

    fn combine(&self, flows: &Flows<'_>) -> crate::Result<Conclusion> {
        let is_hosts =
            |flow: Flow<'_>| rules::FLOW_KEYS.iter().all(|k| flow.outcome().get(k).is_none());
        assert!(flows.iter().all(is_hosts));
        Ok(match &*self.how {
            "undeclared" => vec![Condition::declare("pair.other", Class::Good, "")].into(),
            "blind" => vec![Condition::not_observed()].into(),
            "reads" => {
                let _ = flows.of(ConfigId::BASELINE).get(syn::COUNT_FWD);
                Conclusion::none()
            }
            "declines" => return Err(Error::new("not today")),
            _ => Vec::from_iter(flows.connectivity(PAIR, ConfigId::new(1))).into(),
        })
    }
}

const LOCAL: (IpAddr, u16) = (IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9)), 4000);
const TARGET: (IpAddr, u16) = (IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 80);

fn concluded(how: &str, connections: [Connection; 2]) -> Result<super::Conclusion, Fault> {
    let handle = MeasurementHandle::of::<Pair>();
    let options = OptionValues::new(Record::new().with("how", how.to_owned()));
    let object = handle.instantiate(options).unwrap();
    let (info, _) = handle.describe().unwrap();
    let slots = Slots::new(&[basic::CHAIN.into(), tcp::CHAIN.into()]);
    let driver = Driver::new(&object, &info, 2, &slots).keeping(true);
    let job = Job::new(0, TARGET.0, TARGET.1, Record::new());
    let prepared = driver.prepare(&job)?;
    for config in [0, 1].map(ConfigId::new) {
        driver.connect(Asked { job: &job, prepared: &prepared, config, earlier: &[] })?;
    }
    driver.conclude(&job, &prepared, connections.into())
}

/// What B is asked for after this A: why it is skipped, or its port.
fn after(a: Option<Connection>) -> String {
    let options = OptionValues::new(Record::new().with("how", "depends"));
    let object = MeasurementHandle::of::<Pair>().instantiate(options).unwrap();
    let info = Pair::info().depends();
    let slots = Slots::new(&[basic::CHAIN.into(), tcp::CHAIN.into()]);
    let driver = Driver::new(&object, &info, 2, &slots);
    let job = Job::new(0, TARGET.0, TARGET.1, Record::new());
    let prepared = driver.prepare(&job).unwrap();
    let a = a.map(|a| Ended::answered(ConfigId::BASELINE, a).unwrap());
    let earlier: &Vec<&Ended> = &a.iter().collect();
    let config = ConfigId::new(1);
    let connect = driver.connect(Asked { job: &job, prepared: &prepared, config, earlier });
    let connect = connect.unwrap();
    match connect.kind() {
        ConnectKind::Skip => connect.into_outcome().unwrap().failure().unwrap().to_owned(),
        _ => connect.settings().u64("port").unwrap().to_string(),
    }
}

fn outcome(state: State) -> Outcome {
    Outcome::new(state)
        .from_local(LOCAL.into())
        .with("dip", TARGET.0)
        .with("dp", TARGET.1)
        .with("proto", 6u8)
        .with("spdr_start", "2026-01-01T00:00:00.000000Z")
}

fn seen_flow() -> FlowRecord {
    let record = FlowRecord::of_chains(&[basic::CHAIN.into(), tcp::CHAIN.into()]);
    record
        .with(flow::FIRST, 1.5)
        .with(flow::LAST, 2.5)
        .with(basic::SOURCE, LOCAL.0)
        .with(basic::SOURCE_PORT, LOCAL.1)
        .with(basic::DESTINATION, TARGET.0)
        .with(basic::DESTINATION_PORT, TARGET.1)
        .with(basic::PROTOCOL, 6)
}

fn seen(state: State) -> Connection {
    Connection { outcome: outcome(state), seen: Sighting::Flow(seen_flow()) }
}

fn ended(state: State, seen: Sighting) -> Connection {
    Connection { outcome: outcome(state), seen }
}

#[test]
fn a_connection_goes_by_what_was_answered_of_an_earlier_one() {
    assert_eq!(after(None), "nothing is known");
    assert_eq!(after(Some(ended(State::Ok, Sighting::Nothing))), "it was not seen");
    assert_eq!(after(Some(seen(State::Failed))), "it was not carried");
    assert_eq!(after(Some(seen(State::Ok))), "4000");
    // The capture decides over a handshake, before anybody asks.
    let reset = outcome(State::Failed)
        .with(carriage::KIND, "tcp")
        .with(carriage::CARRIED, false)
        .with("spdr_error", "reset");
    let flow = seen_flow().with(tcp::CONNECTED, true).with(basic::SOURCE_PORT, 4001);
    let settled = Connection { outcome: reset, seen: Sighting::Flow(flow) };
    assert_eq!(after(Some(settled)), "4001");
    let failed = ended(State::Ok, Sighting::Failed(Error::new("a chain")));
    assert!(Ended::answered(ConfigId::BASELINE, failed).is_err());
}

#[test]
#[cfg(feature = "testing")]
fn a_test_of_a_plugin_hears_what_no_connection_can_have() {
    use crate::testing::{self, End};
    let words = "broke the contract: connect: dscp is 106, and may be 0 to 63";
    let job = Job::new(0, TARGET.0, TARGET.1, Record::new());
    let given = Record::new().with("how", "marks");
    let asked =
        testing::connect(&testing::with_options::<Pair>(given.clone()), &job, ConfigId::new(1));
    assert_eq!(asked.unwrap_err().to_string(), words);
    let handle = MeasurementHandle::of::<Pair>();
    let object = testing::instantiate(handle, given).unwrap();
    let measured = testing::measure(handle, &object, &job, |_, _| End::unseen(State::Ok));
    assert_eq!(measured.err().map(|error| error.to_string()).as_deref(), Some(words));
}

fn records(how: &str, connections: [Connection; 2]) -> Vec<Record> {
    let concluded = concluded(how, connections).unwrap();
    concluded.flows.into_iter().map(Ended::into_record).collect()
}

fn texts(connections: [Connection; 2]) -> String {
    let concluded = concluded("", connections).unwrap();
    let all = concluded.conditions.iter().chain(&concluded.added);
    all.map(Condition::as_str).collect::<Vec<_>>().join(" ")
}

/// Writes none of the optional functions.
struct Plain;

impl Measurement for Plain {
    fn info() -> Info {
        Info::new("plain", "1", "two connections").conditions(CONDITIONS)
    }

    fn new(_: &OptionValues, _: Host) -> crate::Result<Plain> {
        Ok(Plain)
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![Configuration::new(0, "a"), Configuration::new(1, "b")]
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list([basic::CHAIN])
    }

    fn connect(&self, _: &Attempt<'_>) -> crate::Result<Connect> {
        Ok(Connect::tcp())
    }

    fn combine(&self, flows: &Flows<'_>) -> crate::Result<Conclusion> {
        Ok(flows.connectivity(PAIR, ConfigId::new(1)).into_iter().collect())
    }
}

#[test]
fn what_a_measurement_does_not_write_costs_calls_for_one_job_of_a_run() {
    let object = MeasurementHandle::of::<Plain>().instantiate(OptionValues::default()).unwrap();
    let (info, slots) = (Plain::info(), Slots::new(&[basic::CHAIN.into(), tcp::CHAIN.into()]));
    let driver = Driver::new(&object, &info, 2, &slots);
    let shown = crate::abi::show();
    let mut calls = [1, 2, 3].map(|_| {
        let before = shown.calls();
        let job = Job::new(0, TARGET.0, TARGET.1, Record::new());
        let prepared = driver.prepare(&job).unwrap();
        for config in [0, 1].map(ConfigId::new) {
            let asked = Asked { job: &job, prepared: &prepared, config, earlier: &[] };
            driver.connect(asked).unwrap();
        }
        let connections = vec![seen(State::Ok), seen(State::Timeout)];
        let concluded = driver.conclude(&job, &prepared, connections).unwrap();
        assert_eq!(concluded.conditions[0].as_str(), "pair.connectivity.broken");
        assert_eq!(concluded.conditions[0].class(), Class::Impaired);
        shown.calls() - before
    });
    calls[1..].sort_unstable();
    assert_eq!(calls[1..], [3, 3], "connect twice, and combine: {calls:?}");
    assert!(calls[0] <= 8, "{calls:?}");
}

#[test]
fn what_was_not_seen_is_told_apart_from_what_was_not_sent() {
    use State::{Failed, Ok, Skipped, Timeout};
    assert_eq!(texts([seen(Ok), seen(Timeout)]), "pair.connectivity.broken");
    assert_eq!(
        texts([seen(Ok), ended(Failed, Sighting::NotAsked)]),
        "pathspider.not_sent:1",
        "there is no route, say"
    );
    assert_eq!(
        texts([ended(Ok, Sighting::Nothing), ended(Ok, Sighting::Nothing)]),
        "pathspider.not_observed pathspider.missed_flows:2"
    );
    assert_eq!(texts([seen(Ok), ended(Skipped, Sighting::NotAsked)]), "");
    for outcome in [
        Outcome::not_supported("there is no IPv6"),
        Outcome::new(Failed).with("spdr_error", "not_supported"),
    ] {
        let unable = Connection { outcome, seen: Sighting::NotAsked };
        let said = concluded("", [seen(Ok), unable]).unwrap();
        let added: Vec<&str> = said.added.iter().map(Condition::as_str).collect();
        assert_eq!(added, ["pathspider.not_supported:1"]);
        assert_eq!(said.not_supported, [ConfigId::new(1)]);
    }
    let blind = concluded("blind", [seen(Ok), ended(Ok, Sighting::Nothing)]).unwrap();
    let added: Vec<&str> = blind.added.iter().map(Condition::as_str).collect();
    assert_eq!(added, ["pathspider.missed_flows:1"], "the plugin has said the rest");
}

#[test]
fn what_goes_wrong_is_a_failure_or_a_rule() {
    let both = || [seen(State::Ok), seen(State::Ok)];
    for (how, rule) in [
        ("forges", rules::RunRule::Run),
        ("reserves", rules::RunRule::ReservedKeys),
        ("undeclared", rules::RunRule::DeclaredConditions),
    ] {
        let fault = concluded(how, both()).unwrap_err();
        assert!(matches!(fault, Fault::Broken(ref broken) if broken.rule == rule), "{how}");
    }
    for connections in [both(), [0; 2].map(|_| ended(State::Timeout, Sighting::Nothing))] {
        let read = Error::from(concluded("reads", connections).unwrap_err());
        assert_eq!(read.kind(), ErrorKind::Contract);
        assert!(read.message().starts_with("combine: it reads syn_count_fwd of the chain syn"));
    }
    // Whatever it gives for want of an answer: it has not declared that it depends on one.
    for (how, function) in [("depends", "connect: "), ("presumes", "post_connect: ")] {
        let presumed = Error::from(concluded(how, both()).unwrap_err());
        assert_eq!(presumed.kind(), ErrorKind::Contract);
        assert!(presumed.message().starts_with(function), "{presumed}");
        assert!(presumed.message().contains("Info::depends"), "{presumed}");
    }
    let declined = concluded("declines", both()).unwrap_err();
    assert!(matches!(declined, Fault::Failed(ref error) if error.kind() == ErrorKind::Declined));
    let chain = Error::of(ErrorKind::Panicked, "a chain");
    let failed = concluded("", [seen(State::Ok), ended(State::Ok, Sighting::Failed(chain))]);
    assert_eq!(Error::from(failed.unwrap_err()).kind(), ErrorKind::Panicked);
    assert!(concluded("discards", both()).unwrap().is_discarded);
    assert!(!concluded("", both()).unwrap().is_discarded);
}

#[test]
fn every_connection_can_be_restored_whatever_the_plugin_made_of_it() {
    let own = Outcome::new(State::Timeout)
        .with("dns_addresses", ["a", "b"].into_iter().collect::<Value>())
        .with("http_info", Record::new().with("version", "HTTP/1.1"));
    for how in ["", "leaves", "meddles"] {
        for connections in [
            [seen(State::Ok), seen(State::Failed)],
            [
                ended(State::Skipped, Sighting::NotAsked),
                Connection { outcome: own.clone(), seen: Sighting::Nothing },
            ],
        ] {
            let flows = records(how, connections.clone());
            for (flow, connection) in flows.iter().zip(connections) {
                let restored = restore(flow).unwrap();
                let sorted = |outcome: &Outcome| {
                    let mut keys: Vec<_> =
                        outcome.record().iter().map(|(k, v)| (k.to_owned(), v.clone())).collect();
                    keys.sort_by(|a, b| a.0.cmp(&b.0));
                    (outcome.state(), keys)
                };
                assert_eq!(
                    sorted(&restored.outcome),
                    sorted(&connection.outcome),
                    "{how} {flow:?}"
                );
                assert_eq!(restored.is_claimed, connection.seen.is_asked());
                let was_seen = matches!(connection.seen, Sighting::Flow(_));
                assert_eq!(restored.last, was_seen.then_some(2.5));
            }
        }
    }
    let plain = records("", [seen(State::Ok), seen(State::Ok)]);
    assert!(plain[0].get("spdr_outcome").is_none(), "most have nothing to keep: {plain:?}");
    let older = Record::new().with("observed", true).with("spdr_state", 0u8);
    assert_eq!(restore(&older).unwrap_err(), Lacking("spdr_claimed"));
}

#[test]
fn whether_the_path_carried_it_is_settled_before_the_plugin_sees_it() {
    // The socket has met a reset, which the handshake must have come before.
    let reset = |connected: bool| {
        let outcome = outcome(State::Failed)
            .with(carriage::KIND, "tcp")
            .with(carriage::CARRIED, Value::NULL)
            .with("spdr_error", "reset");
        let flow = seen_flow().with(tcp::CONNECTED, connected);
        Connection { outcome, seen: Sighting::Flow(flow) }
    };
    let connections = [reset(true), reset(false)];
    assert_eq!(texts(connections.clone()), "pair.connectivity.broken");
    let flows = records("", connections.clone());
    let says = |flow: &Record| (flow.u64("spdr_state"), flow.bool(carriage::CARRIED));
    assert_eq!(says(&flows[0]), (Some(0), Some(true)));
    assert_eq!(says(&flows[1]), (Some(1), Some(false)));
    assert_eq!(flows[0].get("spdr_error"), None);
    for (flow, connection) in flows.iter().zip(connections) {
        assert_eq!(restore(flow).unwrap().outcome, connection.outcome, "the socket's word");
    }
}
