//! A location as records have it (`docs/records.md`).

use std::net::IpAddr;

use pathspider_asn::Databases;
use pathspider_locate::location::{Fate, HopSeen};
use pathspider_locate::{Finding, Location, Shape};
use pathspider_plugin_api::{Carrier, Record, Value};

use super::Wanted;

/// What was found of one configuration with one of its packets.
pub(crate) fn record(wanted: &Wanted, location: &Location, networks: &Databases) -> Record {
    let carrier = match wanted.carrier {
        Carrier::Data => "data",
        _ => "opening",
    };
    let shape = match location.shape {
        Shape::Halves => "halves",
        Shape::Every => "every",
    };
    let mut record = Record::with_capacity(16)
        .with("config", wanted.config.index())
        .with("aspect", wanted.aspect.as_str())
        .with("carrier", carrier)
        .with("shape", shape);
    let found = location.findings.iter().map(|finding| finding.words());
    record.push("found", found.collect::<Value>());
    let changes: Vec<Record> = location.findings.iter().filter_map(change).collect();
    if !changes.is_empty() {
        record.push("changed", changes.into_iter().collect::<Value>());
    }
    if !location.alike.is_empty() {
        let alike = location.alike.iter();
        let alike = alike.map(|(field, hop)| format!("{field}:{hop}"));
        record.push("alike", alike.collect::<Value>());
    }
    let numbers = [
        ("last_well", location.last_well),
        ("quoted_to", location.quoted_to),
        ("target_at", location.target_at),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            record.push(name, number);
        }
    }
    let hops = location.hops.iter().map(|seen| hop(seen, networks));
    record.push("hops", hops.collect::<Value>());
    record.push("unknown", location.unknown.iter().map(String::as_str).collect::<Value>());
    record.push("flows", location.flows);
    record.push("packets", location.sent);
    record.push("at_target", location.at_target);
    record.push("ms", u64::try_from(location.took.as_millis()).unwrap_or(u64::MAX));
    record
}

fn change(finding: &Finding) -> Option<Record> {
    let Finding::Changed { field, hop, from, to } = finding else { return None };
    let record = Record::with_capacity(4).with("field", field.to_string());
    let record = record.with("hop", hop.to_string());
    Some(record.with("from", from.to_string()).with("to", to.to_string()))
}

fn hop(seen: &HopSeen, networks: &Databases) -> Record {
    let mut record = Record::with_capacity(8).with("hop", seen.hop);
    let router = seen.router().map(|(from, _)| from);
    if let Some(from) = router {
        record.push("from", from);
        if let Some(asn) = networks.find(from).asn {
            record.push("asn", asn);
        }
    }
    if let Some(after) = seen.after() {
        record.push("rtt_us", u64::try_from(after.as_micros()).unwrap_or(u64::MAX));
    }
    for (name, fate) in [("plain", &seen.plain), ("marked", &seen.marked)] {
        if let Some(fate) = fate_of(fate, router) {
            record.push(name, fate);
        }
    }
    record
}

/// What became of a packet; `None` where none was sent. Where another router than that of the hop spoke, it
/// stands beside.
fn fate_of(fate: &Fate, router: Option<IpAddr>) -> Option<Record> {
    let word = |word: &'static str| Record::with_capacity(6).with("fate", Value::text(word));
    Some(match fate {
        Fate::Unasked => return None,
        Fate::Silent => word("silent"),
        Fate::Answered { .. } => word("answered"),
        Fate::Refused { from, icmp, .. } => {
            let record = word("refused").with("from", *from);
            match icmp {
                Some((kind, code)) => record.with("type", *kind).with("code", *code),
                None => record,
            }
        }
        Fate::Seen { from, shown, .. } => {
            let mut record = word("seen");
            if router != Some(*from) {
                record.push("from", *from);
            }
            let record = record.with("quoted", shown.octets).with("ttl", shown.ttl);
            let differs = shown.changes.iter();
            let differs = differs.map(|one| format!("{}:{}>{}", one.field, one.sent, one.seen));
            record.with("differs", differs.collect::<Value>())
        }
    })
}

/// The routers of a path that were seen, with a gap (`None`) for those between that were not.
pub(crate) fn hops(located: &[(Wanted, Location)]) -> Vec<Option<IpAddr>> {
    let most = located.iter().map(|(_, location)| location.hops.as_slice());
    let most = most.max_by_key(|hops| hops.iter().filter_map(HopSeen::router).count());
    let mut path: Vec<Option<IpAddr>> = Vec::new();
    let mut last = 0;
    for seen in most.unwrap_or_default() {
        let router = seen.router().map(|(from, _)| from);
        let is_gap = router.is_none() || seen.hop > last + 1;
        if is_gap && path.last() != Some(&None) {
            path.push(None);
        }
        path.extend(router.map(Some));
        last = seen.hop;
    }
    let is_near = located.iter().any(|(_, location)| location.target_at == Some(last + 1));
    if !is_near && path.last() != Some(&None) {
        path.push(None);
    }
    path
}
