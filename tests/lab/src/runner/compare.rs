//! Owns the comparison itself: for every path, the conditions found, counted, beside those expected.

use std::collections::{BTreeMap, BTreeSet};

use super::{Record, Target};
use crate::truth::Truth;

/// Conditions that are compared only where the truth states one of their family, because every
/// measurement says something of them and few scenarios are about them.
const OPTIONAL: &[&str] = &["ecn.ipmark."];

/// All paths of one measurement.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The plugin that measured.
    pub plugin: String,
    /// One for each path, in the order of the targets.
    pub rows: Vec<Row>,
    /// Records of targets that were never asked for.
    pub strangers: usize,
    /// Where each path's row is, by its name.
    index: BTreeMap<String, usize>,
}

/// One path.
#[derive(Clone, Debug)]
pub struct Row {
    /// What is known of it.
    pub truth: Truth,
    /// What was expected, sorted.
    pub expected: BTreeSet<String>,
    /// How many targets were asked for.
    pub targets: usize,
    /// How many targets gave each set of conditions.
    pub found: BTreeMap<BTreeSet<String>, usize>,
}

impl Row {
    /// How many targets gave exactly what was expected.
    pub fn right(&self) -> usize {
        self.found.get(&self.expected).copied().unwrap_or(0)
    }

    /// How many targets gave no record.
    pub fn missing(&self) -> usize {
        self.targets.saturating_sub(self.found.values().sum())
    }

    /// Whether every target gave exactly what was expected, once.
    pub fn is_right(&self) -> bool {
        self.right() == self.targets && self.found.len() == 1
    }
}

impl Comparison {
    /// What `plugin` is to find at `targets`, with nothing found yet.
    pub fn new<'a>(plugin: &str, targets: impl IntoIterator<Item = Target<'a>>) -> Self {
        let (mut rows, mut index): (Vec<Row>, BTreeMap<String, usize>) = Default::default();
        for target in targets {
            let truth = target.truth;
            let position = index.get(&truth.name).copied().unwrap_or_else(|| {
                rows.push(Row {
                    truth: truth.clone(),
                    expected: truth.expected(plugin).unwrap_or(&[]).iter().cloned().collect(),
                    targets: 0,
                    found: BTreeMap::new(),
                });
                index.insert(truth.name.clone(), rows.len() - 1);
                rows.len() - 1
            });
            rows[position].targets += 1;
        }
        Self { plugin: plugin.into(), rows, strangers: 0, index }
    }

    /// Counts one record, and keeps nothing of it.
    pub fn add(&mut self, record: &Record) {
        let Some(&position) = self.index.get(&record.lab_path) else {
            self.strangers += 1;
            return;
        };
        let row = &mut self.rows[position];
        let conditions = comparable(&record.conditions, &row.expected);
        *row.found.entry(conditions).or_default() += 1;
    }

    /// What `plugin` found on all these paths, in the order of what `key` gives for their names.
    pub fn joined<K: Ord>(
        plugin: &str,
        parts: impl IntoIterator<Item = Self>,
        key: impl Fn(&str) -> K,
    ) -> Self {
        let mut joined = Self::new(plugin, []);
        for part in parts {
            joined.rows.extend(part.rows);
            joined.strangers += part.strangers;
        }
        joined.rows.sort_by_key(|row| key(&row.truth.name));
        let names = joined.rows.iter().map(|row| row.truth.name.clone());
        joined.index = names.enumerate().map(|(position, name)| (name, position)).collect();
        joined
    }

    /// Whether there is no difference at all.
    pub fn is_right(&self) -> bool {
        self.strangers == 0 && self.rows.iter().all(Row::is_right)
    }

    /// How many targets were asked for.
    pub fn targets(&self) -> usize {
        self.rows.iter().map(|row| row.targets).sum()
    }

    /// How many targets gave exactly what was expected.
    pub fn right(&self) -> usize {
        self.rows.iter().map(Row::right).sum()
    }

    /// How many records were counted.
    pub fn records(&self) -> usize {
        self.rows.iter().flat_map(|row| row.found.values()).sum::<usize>() + self.strangers
    }

    /// How many targets gave no record.
    pub fn missing(&self) -> usize {
        self.rows.iter().map(Row::missing).sum()
    }

    /// How many records hold a condition that begins with one of `prefixes`.
    pub fn count(&self, prefixes: &[&str]) -> usize {
        let found = self.rows.iter().flat_map(|row| &row.found);
        let counts = |c: &String| prefixes.iter().any(|prefix| c.starts_with(prefix));
        found.filter(|(conditions, _)| conditions.iter().any(counts)).map(|(_, count)| count).sum()
    }
}

/// Sets `records` beside what `plugin` was to find at `targets`.
pub fn compare<'a>(
    plugin: &str,
    targets: impl IntoIterator<Item = Target<'a>>,
    records: &[Record],
) -> Comparison {
    let mut comparison = Comparison::new(plugin, targets);
    records.iter().for_each(|record| comparison.add(record));
    comparison
}

/// The conditions that count: all but the optional ones that the truth does not mention. None that
/// begins with `pathspider.`, about the measurement itself, is ever expected.
fn comparable(conditions: &[String], expected: &BTreeSet<String>) -> BTreeSet<String> {
    let stated = |condition: &str| {
        !OPTIONAL.iter().any(|family| condition.starts_with(family))
            || expected.iter().any(|other| subject(other) == subject(condition))
    };
    conditions.iter().filter(|condition| stated(condition)).cloned().collect()
}

/// A condition without its last word: what it is about.
fn subject(condition: &str) -> &str {
    condition.rsplit_once('.').map_or(condition, |(subject, _)| subject)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(conditions: &[&str]) -> Record {
        Record {
            dip: [10, 1, 0, 1].into(),
            lab_path: "p".into(),
            conditions: conditions.iter().map(ToString::to_string).collect(),
        }
    }

    fn row(expected: &[&str], records: &[Record]) -> Row {
        let truth = Truth::new("p", "is a test").expecting("ecn", expected);
        let target = Target { truth: &truth, address: [10, 1, 0, 1].into(), port: Some(80) };
        let targets = vec![target; records.len().max(1)];
        compare("ecn", targets, records).rows.remove(0)
    }

    #[test]
    fn order_and_unstated_marks_do_not_matter() {
        let found = record(&["ecn.b.x", "ecn.ipmark.ce.seen", "ecn.a.x"]);
        assert!(row(&["ecn.a.x", "ecn.b.x"], &[found]).is_right());
    }

    #[test]
    fn a_stated_mark_is_compared_with_its_contrary() {
        let found = record(&["ecn.ipmark.ce.not_seen", "ecn.ipmark.ect0.seen"]);
        let row = row(&["ecn.ipmark.ce.seen"], &[found]);
        assert!(!row.is_right());
        let only_ce = BTreeSet::from(["ecn.ipmark.ce.not_seen".to_string()]);
        assert_eq!(row.found.keys().collect::<Vec<_>>(), [&only_ce]);
    }

    #[test]
    fn an_internal_condition_is_a_difference() {
        assert!(!row(&["ecn.a.x"], &[record(&["ecn.a.x", "pathspider.not_observed"])]).is_right());
    }

    #[test]
    fn a_missing_record_is_a_difference() {
        let row = row(&["ecn.a.x"], &[]);
        assert_eq!(row.missing(), 1);
        assert!(!row.is_right());
    }

    #[test]
    fn one_wrong_target_among_right_ones_is_a_difference() {
        let records = [record(&["ecn.a.x"]), record(&["ecn.b.x"])];
        let row = row(&["ecn.a.x"], &records);
        assert_eq!((row.right(), row.is_right()), (1, false));
    }
}
