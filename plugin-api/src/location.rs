//! Where on the path a configuration's packets were harmed.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use crate::configuration::ConfigId;
use crate::{Record, Value};

/// What a host that locates found on the path, for [`located`](crate::Measurement::located).
// Crosses by reference: fields may be appended, never moved or removed (see `abi`).
#[repr(C)]
#[derive(Debug, Clone)]
pub struct Location {
    config: u32,
    /// Grows by keys: `findings` and `hops`, lists of records.
    found: Record,
}

/// For the test that pins it.
#[cfg(test)]
pub(crate) fn pinned() -> crate::abi::Fields {
    crate::abi::pinned_fields!(Location { config, found })
}

/// Who spoke at a hop.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hop {
    /// Which, counted from 1.
    pub number: u8,
    /// The router that packets of the baseline came to; `None` where none answered.
    pub baseline: Option<IpAddr>,
    /// The one that those of the experiment came to. Both kinds have the same ends and ports.
    pub experiment: Option<IpAddr>,
}

impl Hop {
    /// A hop, for hosts and for tests of plugins.
    pub fn new(number: u8, baseline: Option<IpAddr>, experiment: Option<IpAddr>) -> Hop {
        Hop { number, baseline, experiment }
    }
}

/// One finding about a configuration's packets on their way to the target. Hops are counted from 1. A
/// range of hops means one hop in that range; it is not known which.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Finding {
    /// A field came to these hops with another value, and not to those before.
    Changed(Change),
    /// Packets of the baseline came to these hops, and those of the experiment did not.
    Dropped(RangeInclusive<u8>),
    /// Packets with this many hops to live were refused, and those of the baseline were not.
    Rejected(RangeInclusive<u8>),
    /// Up to this hop nothing is wrong, and nobody beyond it quotes.
    Beyond(u8),
    /// Flows to the target, or packets of one flow, fare differently.
    SomePaths,
    /// What was found before did not come again.
    NotReproduced,
    /// Routers quote too little to show the difference.
    Unquoted,
}

/// A field that routers saw with another value than the one that was sent.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Change {
    /// Which one, as conditions name it: `ecn`, `dscp`, `tcpopt-8`.
    pub field: String,
    /// What it was before these hops: a number, or the octets of an option; null where it was not there.
    pub was: Value,
    /// What it was at the last of them.
    pub is: Value,
    /// Where.
    pub hops: RangeInclusive<u8>,
}

impl Change {
    /// A change, for hosts and for tests of plugins.
    pub fn new(
        field: impl Into<String>,
        (was, is): (impl Into<Value>, impl Into<Value>),
        hops: RangeInclusive<u8>,
    ) -> Change {
        Change { field: field.into(), was: was.into(), is: is.into(), hops }
    }
}

impl Location {
    /// The location of a configuration that has no findings; for hosts, and for tests of plugins.
    pub fn new(config: impl Into<ConfigId>) -> Location {
        Location { config: config.into().number(), found: Record::new() }
    }

    /// The same with these findings; for hosts, and for tests of plugins.
    pub fn found(mut self, findings: impl IntoIterator<Item = Finding>) -> Location {
        let findings = findings.into_iter().map(Finding::into_record);
        self.found.set("findings", findings.collect::<Value>());
        self
    }

    /// The same with these hops, in their order; for hosts, and for tests of plugins.
    pub fn through(mut self, hops: impl IntoIterator<Item = Hop>) -> Location {
        let hops = hops.into_iter().map(|hop| {
            let record = Record::with_capacity(3).with("hop", hop.number);
            record.with("baseline", hop.baseline).with("experiment", hop.experiment)
        });
        self.found.set("hops", hops.collect::<Value>());
        self
    }

    /// The hops that were asked, in their order: those that decide, or all up to the target.
    pub fn hops(&self) -> impl Iterator<Item = Hop> {
        let list = self.found.get("hops").and_then(Value::as_list).unwrap_or_default();
        list.iter().filter_map(Value::as_record).filter_map(|record| {
            let address = |key| record.str(key).and_then(|text| text.parse().ok());
            let number = record.u64("hop").and_then(|hop| u8::try_from(hop).ok())?;
            Some(Hop::new(number, address("baseline"), address("experiment")))
        })
    }

    /// The configuration whose carrier was sent along the path.
    pub fn config(&self) -> ConfigId {
        ConfigId::new(self.config as usize)
    }

    /// What was found. Kinds that this version of the contract does not know are left out.
    pub fn findings(&self) -> impl Iterator<Item = Finding> {
        let list = self.found.get("findings").and_then(Value::as_list).unwrap_or_default();
        list.iter().filter_map(Value::as_record).filter_map(Finding::from_record)
    }

    /// The fields that came changed, in the order of hops.
    pub fn changes(&self) -> impl Iterator<Item = Change> {
        self.findings().filter_map(|finding| match finding {
            Finding::Changed(change) => Some(change),
            _ => None,
        })
    }

    /// As it crosses the boundary.
    #[cfg(test)]
    pub(crate) fn record(&self) -> &Record {
        &self.found
    }
}

impl Finding {
    fn into_record(self) -> Record {
        let kind = |word: &'static str| Record::with_capacity(6).with("kind", Value::text(word));
        let at = |record: Record, hops: RangeInclusive<u8>| {
            record.with("first", *hops.start()).with("last", *hops.end())
        };
        match self {
            Finding::Changed(Change { field, was, is, hops }) => {
                at(kind("changed"), hops).with("field", field).with("was", was).with("is", is)
            }
            Finding::Dropped(hops) => at(kind("dropped"), hops),
            Finding::Rejected(hops) => at(kind("rejected"), hops),
            Finding::Beyond(hop) => at(kind("beyond"), hop..=hop),
            Finding::SomePaths => kind("some_paths"),
            Finding::NotReproduced => kind("not_reproduced"),
            Finding::Unquoted => kind("unquoted"),
        }
    }

    fn from_record(record: &Record) -> Option<Finding> {
        let hop = |key| record.u64(key).and_then(|hop| u8::try_from(hop).ok());
        let hops = || Some(hop("first")?..=hop("last")?);
        let value = |key| record.get(key).cloned();
        Some(match record.str("kind")? {
            "changed" => {
                let field = record.str("field")?;
                Finding::Changed(Change::new(field, (value("was")?, value("is")?), hops()?))
            }
            "dropped" => Finding::Dropped(hops()?),
            "rejected" => Finding::Rejected(hops()?),
            "beyond" => Finding::Beyond(hop("last")?),
            "some_paths" => Finding::SomePaths,
            "not_reproduced" => Finding::NotReproduced,
            "unquoted" => Finding::Unquoted,
            _ => return None,
        })
    }
}

/// One finding of each kind, for the test that pins their words.
#[cfg(test)]
pub(crate) fn one_of_each() -> Location {
    let change = Change::new("dscp", (46_u8, 0_u8), 3..=4);
    let router = Some(IpAddr::from([192, 0, 2, 1]));
    let hops = [Hop::new(1, router, router), Hop::new(2, router, None)];
    Location::new(ConfigId::BASELINE).through(hops).found([
        Finding::Changed(change),
        Finding::Dropped(2..=2),
        Finding::Rejected(2..=3),
        Finding::Beyond(7),
        Finding::SomePaths,
        Finding::NotReproduced,
        Finding::Unquoted,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_finding_crosses_and_unknown_ones_are_left_out() {
        let mut location = one_of_each();
        let findings: Vec<Finding> = location.findings().collect();
        assert_eq!(findings.len(), 7);
        let again = Location::new(ConfigId::BASELINE).found(findings.clone());
        assert_eq!(again.findings().collect::<Vec<_>>(), findings);
        assert_eq!(
            location.hops().map(|hop| hop.experiment.is_some()).collect::<Vec<_>>(),
            [true, false]
        );
        let change = location.changes().next().unwrap();
        assert_eq!(
            (change.was.as_u64(), change.is.as_u64(), change.hops),
            (Some(46), Some(0), 3..=4)
        );
        let odd = [Record::new().with("kind", "moved"), Record::new().with("kind", "dropped")];
        location.found.set("findings", odd.into_iter().collect::<Value>());
        assert_eq!(location.findings().count(), 0);
    }
}
