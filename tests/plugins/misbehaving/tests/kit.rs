//! The testing kit holds a measurement to the host's rules, linked in and loaded alike.

// Helpers of tests are tests too: a failure is a panic.
#![allow(clippy::unwrap_used)]

use std::net::TcpListener;

use misbehaving::{Misbehaving, NamedLikeOthers};
use pathspider_plugin_api::abi::MeasurementHandle;
use pathspider_plugin_api::chains::basic;
use pathspider_plugin_api::testing::{self, Concluded, End, Form};
use pathspider_plugin_api::{FlowRecord, Job, Record, Result, State};

fn forms() -> [Form; 2] {
    let linked =
        [MeasurementHandle::of::<Misbehaving>(), MeasurementHandle::of::<NamedLikeOthers>()];
    testing::forms("misbehaving", &linked, &[]).unwrap()
}

/// A job through the measurement that misbehaves so; what the closure says counts for nothing, for
/// it connects by itself.
fn measure(form: &Form, how: &str, job: &Job) -> Result<Concluded> {
    let measurement = form.measurements[0];
    let object = testing::instantiate(measurement, Record::new().with("how", how.to_owned()))?;
    let flow = FlowRecord::of_chains(&[basic::CHAIN.into()]).with(basic::SOURCE_PORT, 40000);
    testing::measure(measurement, &object, job, |_, _| End::seen(State::Timeout, flow.clone()))
}

#[test]
fn what_the_host_refuses_fails_here_by_the_same_rule() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let job = |port| Job::new(0, [127, 0, 0, 1].into(), port, Record::new());
    for form in forms() {
        for (how, expected) in [
            (
                "undeclared-condition",
                "which it does not declare (conditions!, Info::conditions) (rule declared-conditions)",
            ),
            ("wrong-index", "and there are 2 configurations (rule configuration-index)"),
            ("not-a-number", "ratio: NaN is no number in JSON (rule valid-records)"),
            ("key-twice", "the key \"key\" stands in it twice (rule valid-records)"),
            ("reserved-key", "it changed \"observed\", which the host sets (rule reserved-keys)"),
            ("reserved-row", "it set \"jobId\", which the host sets (rule reserved-keys)"),
            ("forge", "it gives packets, and does not declare Info::forges (rule run)"),
            ("panic-in-merge", "asked to panic in merge"),
        ] {
            let error = measure(&form, how, &job(port)).err().map(|error| error.to_string());
            assert!(error.as_ref().is_some_and(|e| e.contains(expected)), "{how}: {error:?}");
        }
        // How its own connections ended is its own word.
        let works = measure(&form, "not", &job(port)).unwrap();
        assert_eq!(works.texts(), ["misbehaving.connectivity.works"]);
        assert_eq!(works.flows[0].u64("sp"), Some(40000), "{:?}", works.flows);
    }
    drop(server);
    let [linked, _] = forms();
    let offline = measure(&linked, "not", &job(port)).unwrap();
    assert_eq!(offline.texts(), ["misbehaving.connectivity.offline"]);
}

#[test]
fn a_library_that_is_another_is_told() {
    let only = [MeasurementHandle::of::<NamedLikeOthers>()];
    let error = testing::forms("misbehaving", &only, &[]).err().unwrap();
    assert!(error.to_string().contains("another plugin"), "{error}");
    assert!(testing::forms("pathspider-nothing", &only, &[]).is_err());
}
