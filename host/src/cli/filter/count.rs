//! How many records have each condition.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use serde::Serialize;
use serde::ser::SerializeMap;

use pathspider_runtime::text::visible;

/// The most characters of a condition that are shown.
const CONDITION_LIMIT: usize = 1000;

/// The count so far.
#[derive(Debug, Default)]
pub(super) struct Count {
    read: u64,
    picked: u64,
    conditions: HashMap<String, u64>,
}

/// The result: as JSON one object with these keys, as text a table.
#[derive(Debug, Serialize)]
pub(super) struct Listing {
    /// Records that were read.
    records: u64,
    /// Those that were picked, and whose conditions are counted.
    picked: u64,
    /// Lines that were no records.
    bad_lines: u64,
    /// The number of records that have each condition, the most frequent first.
    #[serde(serialize_with = "as_object")]
    conditions: Vec<(String, u64)>,
}

impl Count {
    /// Counts a record. One that has a condition twice has it once.
    pub(super) fn add<'a>(&mut self, picked: bool, conditions: impl Iterator<Item = &'a str>) {
        self.read += 1;
        if !picked {
            return;
        }
        self.picked += 1;
        for condition in conditions.collect::<BTreeSet<_>>() {
            match self.conditions.get_mut(condition) {
                Some(count) => *count += 1,
                None => {
                    self.conditions.insert(condition.to_owned(), 1);
                }
            }
        }
    }

    pub(super) fn listing(self, bad_lines: u64) -> Listing {
        let mut conditions: Vec<(String, u64)> = self.conditions.into_iter().collect();
        conditions.sort_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.cmp(b)));
        Listing { records: self.read, picked: self.picked, bad_lines, conditions }
    }
}

fn as_object<S: serde::Serializer>(
    conditions: &[(String, u64)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(conditions.len()))?;
    for (condition, count) in conditions {
        map.serialize_entry(condition, count)?;
    }
    map.end()
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Listing { records, picked, conditions, .. } = self;
        let width = picked.to_string().len().max("count".len());
        writeln!(f, "{:>width$}  {:>6}  condition", "count", "%")?;
        for (condition, count) in conditions {
            let share = 100.0 * *count as f64 / *picked as f64;
            let condition = visible(condition, CONDITION_LIMIT);
            writeln!(f, "{count:>width$}  {share:>6.2}  {condition}")?;
        }
        write!(f, "{picked:>width$}  {:>6}  records", "")?;
        if picked != records {
            write!(f, ", of {records}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_first() {
        let mut count = Count::default();
        count.add(true, ["x.works", "x.mark:0", "x.mark:0"].into_iter());
        count.add(true, ["x.works"].into_iter());
        count.add(true, ["a.works"].into_iter());
        count.add(false, ["x.works"].into_iter());
        let listing = count.listing(1);
        assert_eq!(
            listing.to_string(),
            "count       %  condition\n    2   66.67  x.works\n    1   33.33  a.works\n    1   \
             33.33  x.mark:0\n    3          records, of 4"
        );
        assert_eq!(
            serde_json::to_string(&listing).unwrap(),
            r#"{"records":4,"picked":3,"bad_lines":1,"conditions":{"x.works":2,"a.works":1,"x.mark:0":1}}"#
        );
    }
}
