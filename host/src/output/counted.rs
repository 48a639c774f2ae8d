//! All that a run counts, in one value: the metadata, the progress and the summary have it from here.

use serde::Serialize;

use super::summary::Summary;
use crate::job;
use pathspider_observer::Counters;

/// All that a run counts, by its keys in the metadata (`counts`; `docs/output.md`).
#[derive(Debug, Clone, Default, Serialize)]
pub struct Counted {
    /// What came of the targets.
    #[serde(flatten)]
    pub summary: Summary,
    /// What came of the input's lines.
    pub input: job::Counts,
    /// What the observer saw.
    pub capture: Counters,
}

impl Counted {
    /// Whether targets that were to be measured were not: the input was not read to its end, or
    /// some that were read were left, or rounds of them. More than `--max-targets` are none of them.
    pub(crate) fn is_left(&self) -> bool {
        let Summary { unfinished, unstarted, .. } = self.summary;
        let is_read = self.input.whole || self.input.limited;
        unfinished + unstarted > 0 || !is_read || self.input.rounds_left
    }

    /// Errors of the plugin, and lines that were no jobs.
    pub fn errors(&self) -> u64 {
        self.summary.plugin_errors() + self.input.bad_lines
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    /// The keys of objects, with the keys before them: `capture.packets`.
    fn keys(value: &Value, before: &str, found: &mut BTreeSet<String>) {
        for (key, value) in value.as_object().unwrap() {
            match value.as_object().filter(|inner| !inner.is_empty()) {
                Some(_) => keys(value, &format!("{before}{key}."), found),
                None => {
                    found.insert(format!("{before}{key}"));
                }
            }
        }
    }

    /// The keys in the first column of the table under `### Counts`.
    fn documented() -> BTreeSet<String> {
        let page = include_str!("../../../docs/output.md");
        let (_, table) = page.split_once("### Counts").unwrap();
        let rows = table.lines().skip_while(|line| !line.starts_with("|--"));
        let rows = rows.skip(1).take_while(|line| line.starts_with("| `"));
        let first = rows.map(|row| row.split('|').nth(1).unwrap());
        let keys = first.flat_map(|cell| cell.split(", "));
        keys.map(|key| key.trim().trim_matches('`').to_owned()).collect()
    }

    #[test]
    fn each_count_is_documented_and_nothing_else() {
        let mut found = BTreeSet::new();
        keys(&serde_json::to_value(Counted::default()).unwrap(), "", &mut found);
        assert_eq!(found, documented(), "left: in the metadata, right: in docs/output.md");
    }
}
