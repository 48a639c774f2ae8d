//! What a record says of its connections without their results: why some failed, and how long the
//! first answers took.

use pathspider_plugin_api::chains::rtt;
use pathspider_plugin_api::driver::Ended;
use pathspider_plugin_api::{Record, Value};
use pathspider_records::names;

/// The reasons of the connections that failed, in the order of the configurations.
pub(crate) fn failures(flows: &[Ended]) -> Vec<Record> {
    let failed = flows.iter().enumerate().filter_map(|(config, flow)| {
        let error = flow.get(names::ERROR).filter(|error| !error.is_null())?;
        let mut failure = Record::with_capacity(4);
        failure.push("config", config);
        failure.push(names::ERROR, error.clone());
        for key in [names::PHASE, names::ICMP] {
            if let Some(value) = flow.get(key) {
                failure.push(key, value.clone());
            }
        }
        Some(failure)
    });
    failed.collect()
}

/// What the chain `rtt` has of the connections that were answered.
pub(super) fn round_trips(flows: &[Ended]) -> Vec<Record> {
    let fields = [rtt::ROUND_TRIP.name(), rtt::TTL.name(), rtt::HOPS.name()];
    let answered = flows.iter().enumerate().filter_map(|(config, flow)| {
        flow.get(rtt::TTL.name()).filter(|ttl| !ttl.is_null())?;
        let mut record = Record::with_capacity(4);
        record.push("config", config);
        for name in fields {
            record.push(name, flow.get(name).cloned().unwrap_or(Value::NULL));
        }
        Some(record)
    });
    answered.collect()
}
