//! What was gathered, with each condition taken apart: which aspects an outcome has, and why it may
//! have no verdict.

use std::collections::BTreeMap;

use indexmap::IndexSet;
use pathspider_records::{Class, Parts, Remark};
use serde::Serialize;

use crate::gather::{Context, Entry, Gathered, Outcome, State};

/// Why a record has nothing of an aspect. The later in this order says more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Why {
    /// Nothing that is remarked: the measurement concluded nothing of it.
    NotConcluded,
    NotObserved,
    NotApplied,
    NotSent,
    NotSupported,
    Refused,
    /// The plugin failed.
    Failed,
}

impl Why {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Why::NotConcluded => "nothing concluded",
            Why::NotObserved => Remark::NotObserved.words(),
            Why::NotApplied => Remark::NotApplied.words(),
            Why::NotSent => Remark::NotSent.words(),
            Why::NotSupported => Remark::NotSupported.words(),
            Why::Refused => Remark::Refused.words(),
            Why::Failed => "plugin failed",
        }
    }

    fn of(remark: Remark) -> Why {
        match remark {
            Remark::NotObserved => Why::NotObserved,
            Remark::NotApplied => Why::NotApplied,
            Remark::NotSent => Why::NotSent,
            Remark::NotSupported => Why::NotSupported,
            Remark::Refused => Why::Refused,
            Remark::MissedFlows | Remark::Other => Why::NotConcluded,
        }
    }
}

/// A condition taken apart.
#[derive(Debug)]
pub(crate) struct Condition<'g> {
    pub(crate) name: &'g str,
    pub(crate) word: &'g str,
    pub(crate) class: Class,
    /// The number of its aspect; none of the host's own.
    aspect: Option<u32>,
    remark: Option<Remark>,
}

/// An outcome taken apart.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) measurement: u32,
    pub(crate) records: u64,
    pub(crate) has_address: bool,
    /// Whether the baseline was carried, by its result or by what was concluded.
    pub(crate) is_answered: Option<bool>,
    /// Why the measurement has no verdict on a connection; `NotConcluded` where nothing is remarked.
    pub(crate) why: Why,
    /// Whether something was concluded that says something.
    pub(crate) is_conclusive: bool,
    /// Its aspects, each with the numbers of its conditions, in order.
    pub(crate) aspects: Vec<(u32, Vec<u32>)>,
}

/// What was gathered, taken apart.
pub(crate) struct View<'g> {
    pub(crate) gathered: &'g Gathered,
    conditions: Vec<Condition<'g>>,
    aspects: IndexSet<&'g str, State>,
    facts: Vec<Facts>,
}

impl<'g> View<'g> {
    pub(crate) fn new(gathered: &'g Gathered, context: &Context) -> View<'g> {
        let mut aspects = IndexSet::with_hasher(context.state.clone());
        let names = gathered.conditions.names();
        let conditions: Vec<Condition<'_>> = names
            .map(|name| {
                let parts = Parts::of(name);
                let remark = Remark::of(name);
                let aspect = match remark {
                    Some(_) => None,
                    None => Some(aspects.insert_full(parts.aspect).0 as u32),
                };
                let declared = context.abouts().find_map(|about| about.class(name));
                let class = declared.unwrap_or_else(|| parts.class());
                Condition { name, word: parts.word, class, aspect, remark }
            })
            .collect();
        let facts = gathered.outcomes.iter();
        let facts = facts.map(|(outcome, count)| facts_of(outcome, count, &conditions, &aspects));
        let facts = facts.collect();
        View { gathered, conditions, aspects, facts }
    }

    /// All measurements, by number.
    pub(crate) fn measurements(&self) -> impl Iterator<Item = (u32, &'g str)> + use<'g> {
        (0..).zip(self.gathered.measurements.names())
    }

    /// The outcomes of a measurement.
    pub(crate) fn of(&self, measurement: u32) -> impl Iterator<Item = &Facts> {
        self.facts.iter().filter(move |facts| facts.measurement == measurement)
    }

    pub(crate) fn fact(&self, outcome: u32) -> Option<&Facts> {
        self.facts.get(outcome as usize)
    }

    pub(crate) fn condition(&self, number: u32) -> Option<&Condition<'g>> {
        self.conditions.get(number as usize)
    }

    pub(crate) fn aspect(&self, number: u32) -> &'g str {
        self.aspects.get_index(number as usize).copied().unwrap_or_default()
    }

    /// How many records a measurement has.
    pub(crate) fn records(&self, measurement: u32) -> u64 {
        self.of(measurement).map(|facts| facts.records).sum()
    }

    /// The entries of each target, and the measurement that they are of.
    pub(crate) fn targets(&self) -> impl Iterator<Item = (u32, &'g [Entry])> {
        let of_targets = self.gathered.entries.chunk_by(|a, b| self.is_same_target(a, b));
        of_targets
            .filter_map(|entries| Some((self.fact(entries.first()?.outcome)?.measurement, entries)))
    }

    /// The words of conditions, joined where there are several.
    pub(crate) fn words(&self, conditions: &[u32]) -> String {
        let words = conditions.iter().filter_map(|&number| self.condition(number));
        let mut words: Vec<&str> = words.map(|condition| condition.word).collect();
        // Numbers are as threads gave them, and each run of the program is to say the same.
        words.sort_unstable();
        words.join("+")
    }

    /// Whether two entries are of one target and measurement.
    fn is_same_target(&self, a: &Entry, b: &Entry) -> bool {
        let measurement = |entry: &Entry| self.fact(entry.outcome).map(|facts| facts.measurement);
        a.target == b.target && measurement(a) == measurement(b)
    }

    /// The class of the conditions that an outcome has of one aspect; the worst, where they differ.
    pub(crate) fn class(&self, conditions: &[u32]) -> Class {
        let classes = conditions.iter().filter_map(|&number| self.condition(number));
        let worst = |class: &Class| match class {
            Class::Unknown => 0,
            Class::Good => 1,
            Class::Absent => 2,
            Class::Impaired => 3,
        };
        classes.map(|condition| condition.class).max_by_key(worst).unwrap_or(Class::Unknown)
    }
}

fn facts_of(
    outcome: Outcome<'_>,
    records: u64,
    conditions: &[Condition<'_>],
    names: &IndexSet<&str, State>,
) -> Facts {
    let mut aspects: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let mut why = if outcome.is_error { Why::Failed } else { Why::NotConcluded };
    let (mut answered, mut is_conclusive) = (outcome.is_answered, false);
    for &number in outcome.conditions {
        let Some(condition) = conditions.get(number as usize) else { continue };
        if let Some(remark) = condition.remark {
            why = why.max(Why::of(remark));
        }
        let Some(aspect) = condition.aspect else { continue };
        aspects.entry(aspect).or_default().push(number);
        is_conclusive |= condition.class != Class::Unknown;
        let name = names.get_index(aspect as usize).copied().unwrap_or_default();
        if outcome.is_answered.is_none() && name.ends_with(".connectivity") {
            // What is said of B rests on an A that was answered.
            answered = Some(answered == Some(true) || condition.class != Class::Unknown);
        }
    }
    Facts {
        measurement: outcome.measurement,
        records,
        has_address: outcome.has_address,
        is_answered: answered,
        why,
        is_conclusive,
        aspects: aspects.into_iter().collect(),
    }
}

/// A condition's name with a word after the measurement: `ecn.connectivity` with `stable` is
/// `ecn.stable.connectivity`.
pub(crate) fn join(aspect: &str, with: &str, word: Option<&str>) -> String {
    let (measurement, rest) = aspect.split_once('.').unwrap_or((aspect, ""));
    let parts = [measurement, with, rest, word.unwrap_or_default()];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_observatory() {
        assert_eq!(
            join("ecn.connectivity", "stable", Some("works")),
            "ecn.stable.connectivity.works"
        );
        assert_eq!(join("ecn.connectivity", "unstable", None), "ecn.unstable.connectivity");
        assert_eq!(join("ecn", "multipoint", Some("x")), "ecn.multipoint.x");
    }
}
