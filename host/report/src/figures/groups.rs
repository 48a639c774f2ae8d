//! Shares by the values of a key: autonomous system, port, vantage point, or any key of records.

use std::collections::{BTreeMap, BTreeSet};

use pathspider_records::Class;
use serde::Serialize;

use super::aspects::{ConditionShare, Tally};
use super::view::View;
use super::{ByMeasurement, Settings};
use crate::gather::{Context, Groups};
use crate::statistics::Share;

/// Of an aspect with more conditions (values, say), the most frequent ones have a column.
const MOST_COLUMNS: usize = 8;

/// An aspect by the values of a key.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Grouped {
    pub(crate) key: String,
    pub(crate) aspect: String,
    /// A value each: those with the largest share of impaired ones first, else the most frequent.
    pub(crate) rows: Vec<Row>,
    /// Values of fewer cases than the minimum, and their records with a verdict.
    pub(crate) small: Small,
    /// Records with a verdict and without this key.
    pub(crate) without_key: u64,
}

/// What is left out of a ranking.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Small {
    pub(crate) groups: u64,
    pub(crate) verdicts: u64,
}

/// A value of a key.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) value: String,
    pub(crate) verdicts: u64,
    pub(crate) conditions: Vec<ConditionShare>,
    /// How many are impaired of those whose verdict says something.
    pub(crate) impaired: Share,
}

/// All aspects by all keys that tell records apart, or that were asked for.
pub(super) fn all(
    view: &View<'_>,
    context: &Context,
    settings: &Settings,
) -> ByMeasurement<Grouped> {
    let mut found = ByMeasurement::new();
    for (key, groups) in context.keys.iter().zip(&view.gathered.groups) {
        let mut tallies: BTreeMap<(u32, u32), BTreeMap<u32, Tally>> = BTreeMap::new();
        let mut values: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        for (&(value, outcome), &records) in &groups.counts {
            let Some(facts) = view.fact(outcome) else { continue };
            values.entry(facts.measurement).or_default().insert(value);
            for (aspect, conditions) in &facts.aspects {
                let of = tallies.entry((facts.measurement, *aspect)).or_default();
                of.entry(value).or_default().add(view, conditions, records);
            }
        }
        for ((measurement, aspect), tallies) in tallies {
            let several = values.get(&measurement).is_some_and(|values| values.len() > 1);
            if several || settings.are_asked {
                let grouped =
                    grouped(view, key.name.clone(), aspect, groups, tallies, settings.min);
                found.entry(measurement).or_default().push(grouped);
            }
        }
    }
    for grouped in found.values_mut() {
        // Stable: the order of the keys remains.
        grouped.sort_by(|a, b| a.aspect.cmp(&b.aspect));
    }
    found
}

fn grouped(
    view: &View<'_>,
    key: String,
    aspect: u32,
    groups: &Groups,
    mut tallies: BTreeMap<u32, Tally>,
    min: u64,
) -> Grouped {
    let without_key = tallies.remove(&Groups::NONE).map_or(0, |tally| tally.verdicts);
    let columns = columns(view, tallies.values());
    let (tallies, small) = large_enough(tallies, min, |tally| tally.verdicts);
    let row = |(value, tally): (u32, Tally)| Row {
        value: groups.values.name(value).to_owned(),
        verdicts: tally.verdicts,
        conditions: tally.shares(view, &columns),
        impaired: tally.impaired(),
    };
    let mut rows: Vec<Row> = tallies.into_iter().map(row).collect();
    let small = Small { groups: small[0], verdicts: small[1] };
    rows.sort_by(|a, b| {
        let share = |row: &Row| row.impaired.share.unwrap_or(0.0);
        let by_share = share(b).total_cmp(&share(a));
        by_share.then(b.verdicts.cmp(&a.verdicts)).then_with(|| a.value.cmp(&b.value))
    });
    Grouped { key, aspect: view.aspect(aspect).to_owned(), rows, small, without_key }
}

/// Values of a key with at least `min` cases; of the others, how many they are and their cases.
pub(crate) fn large_enough<T>(
    tallies: BTreeMap<u32, T>,
    min: u64,
    cases: impl Fn(&T) -> u64,
) -> (Vec<(u32, T)>, [u64; 2]) {
    let (large, small): (Vec<_>, Vec<_>) =
        tallies.into_iter().partition(|(_, tally)| cases(tally) >= min);
    let of_them = small.iter().map(|(_, tally)| cases(tally)).sum();
    (large, [small.len() as u64, of_them])
}

/// The conditions that have a column: those that impair first, then by how frequent they are.
pub(super) fn columns<'t>(view: &View<'_>, tallies: impl Iterator<Item = &'t Tally>) -> Vec<u32> {
    let mut all = Tally::default();
    for tally in tallies {
        all.join(tally);
    }
    let mut columns = all.frequent(view);
    columns.sort_by_key(|&number| {
        view.condition(number).is_none_or(|condition| condition.class != Class::Impaired)
    });
    columns.truncate(MOST_COLUMNS);
    columns
}
