//! The share of each condition among the records that have a verdict on its aspect, and how many have
//! none and why.

use std::collections::BTreeMap;

use pathspider_records::Class;
use serde::Serialize;

use super::view::{View, Why};
use crate::statistics::Share;

/// An aspect, such as `ecn.connectivity`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Aspect {
    pub(crate) aspect: String,
    /// Records with a verdict on it: the denominator of its shares.
    pub(crate) verdicts: u64,
    /// Records without one, by reason.
    pub(crate) without: BTreeMap<Why, u64>,
    /// Its conditions, the most frequent first.
    pub(crate) conditions: Vec<ConditionShare>,
    /// How many are impaired of those whose verdict says something: the class `unknown` is left out.
    pub(crate) impaired: Share,
}

/// A condition's share.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ConditionShare {
    pub(crate) condition: String,
    /// What stands in a column's head: the word, or the value.
    pub(crate) word: String,
    pub(crate) class: Class,
    #[serde(flatten)]
    pub(crate) share: Share,
}

/// Counts of an aspect, of any set of records.
#[derive(Debug, Default, Clone)]
pub(super) struct Tally {
    pub(super) verdicts: u64,
    conditions: BTreeMap<u32, u64>,
    conclusive: u64,
    impaired: u64,
}

impl Tally {
    /// Counts this many records with these conditions.
    pub(super) fn add(&mut self, view: &View<'_>, conditions: &[u32], records: u64) {
        self.verdicts += records;
        for &condition in conditions {
            *self.conditions.entry(condition).or_default() += records;
        }
        match view.class(conditions) {
            Class::Unknown => {}
            Class::Impaired => {
                self.conclusive += records;
                self.impaired += records;
            }
            Class::Good | Class::Absent => self.conclusive += records,
        }
    }

    /// Adds the records of another.
    pub(super) fn join(&mut self, other: &Tally) {
        self.verdicts += other.verdicts;
        self.conclusive += other.conclusive;
        self.impaired += other.impaired;
        for (&condition, &records) in &other.conditions {
            *self.conditions.entry(condition).or_default() += records;
        }
    }

    pub(super) fn impaired(&self) -> Share {
        Share::of(self.impaired, self.conclusive)
    }

    /// The shares of these conditions.
    pub(super) fn shares(&self, view: &View<'_>, conditions: &[u32]) -> Vec<ConditionShare> {
        let share = |&number: &u32| {
            let condition = view.condition(number)?;
            let cases = self.conditions.get(&number).copied().unwrap_or(0);
            Some(ConditionShare {
                condition: condition.name.to_owned(),
                word: condition.word.to_owned(),
                class: condition.class,
                share: Share::of(cases, self.verdicts),
            })
        };
        conditions.iter().filter_map(share).collect()
    }

    /// Its conditions, the most frequent first.
    pub(super) fn frequent(&self, view: &View<'_>) -> Vec<u32> {
        let mut all: Vec<(u32, u64)> = self.conditions.iter().map(|(&a, &b)| (a, b)).collect();
        let name = |number| view.condition(number).map_or("", |condition| condition.name);
        all.sort_by(|(a, m), (b, n)| n.cmp(m).then_with(|| name(*a).cmp(name(*b))));
        all.into_iter().map(|(number, _)| number).collect()
    }
}

/// The aspects of a measurement, in the order of their names.
pub(super) fn of(view: &View<'_>, measurement: u32) -> Vec<Aspect> {
    let mut tallies: BTreeMap<u32, Tally> = BTreeMap::new();
    let mut reasons: BTreeMap<Why, u64> = BTreeMap::new();
    for facts in view.of(measurement) {
        *reasons.entry(facts.why).or_default() += facts.records;
        for (aspect, conditions) in &facts.aspects {
            tallies.entry(*aspect).or_default().add(view, conditions, facts.records);
        }
    }
    // Those without a verdict are all but those with one.
    let mut with: BTreeMap<(u32, Why), u64> = BTreeMap::new();
    for facts in view.of(measurement) {
        for (aspect, _) in &facts.aspects {
            *with.entry((*aspect, facts.why)).or_default() += facts.records;
        }
    }
    let mut aspects: Vec<Aspect> = tallies
        .into_iter()
        .map(|(aspect, tally)| {
            let without = reasons.iter().map(|(&why, &count)| {
                (why, count - with.get(&(aspect, why)).copied().unwrap_or(0))
            });
            Aspect {
                aspect: view.aspect(aspect).to_owned(),
                verdicts: tally.verdicts,
                without: without.filter(|(_, count)| *count > 0).collect(),
                conditions: tally.shares(view, &tally.frequent(view)),
                impaired: tally.impaired(),
            }
        })
        .collect();
    aspects.sort_by(|a, b| a.aspect.cmp(&b.aspect));
    aspects
}
