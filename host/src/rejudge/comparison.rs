//! How records that were judged again compare with what they were.

use std::collections::BTreeMap;

use pathspider_runtime::text::of;

/// Numbers of records, and of conditions that came or went.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Comparison {
    same: u64,
    differ: u64,
    /// Records of jobs for which the plugin had failed in the run.
    left: u64,
    /// Of those that differ: the plugin discards the job now.
    discarded: u64,
    /// Of all: the plugin fails now.
    failed: u64,
    /// How many records more have a condition now.
    changes: BTreeMap<String, i64>,
    /// Connections that the run had seen: those that the capture has, and those that it lacks.
    found: u64,
    lacking: u64,
}

impl Comparison {
    pub(super) fn leave(&mut self) {
        self.left += 1;
    }

    pub(super) fn fail(&mut self) {
        self.failed += 1;
    }

    pub(super) fn discard(&mut self, before: &[String]) {
        self.discarded += 1;
        self.compare(before, &[]);
    }

    /// Counts a job; `true` where it has other conditions now. Their order does not matter.
    pub(super) fn compare(&mut self, before: &[String], now: &[String]) -> bool {
        let mut changes: BTreeMap<&String, i64> = BTreeMap::new();
        before.iter().for_each(|condition| *changes.entry(condition).or_default() -= 1);
        now.iter().for_each(|condition| *changes.entry(condition).or_default() += 1);
        changes.retain(|_, change| *change != 0);
        let is_changed = !changes.is_empty();
        *(if is_changed { &mut self.differ } else { &mut self.same }) += 1;
        for (condition, change) in changes {
            *self.changes.entry(condition.clone()).or_default() += change;
        }
        is_changed
    }

    /// Counts a connection that the run had seen.
    pub(super) fn seen_before(&mut self, is_seen: bool) {
        *(if is_seen { &mut self.found } else { &mut self.lacking }) += 1;
    }

    /// Connections that the run had seen, without a packet in the capture.
    pub(crate) fn lacking(&self) -> u64 {
        self.lacking
    }

    /// Whether the capture has no packet of any connection that the run had seen.
    pub(crate) fn is_other(&self) -> bool {
        self.found == 0 && self.lacking > 0
    }

    /// Whether the plugin failed for a job.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed > 0
    }

    /// The summary: a line of numbers, and a line for each condition that came or went.
    pub(crate) fn summary(&self) -> String {
        let Comparison { same, differ, left, discarded, failed, .. } = *self;
        let all = same + differ + left;
        let mut text = format!(
            "{all} {}: {same} the same, {differ} {}",
            of(all, "record", "records"),
            of(differ, "differs", "differ")
        );
        for (count, what) in [
            (left, "without connections, left as they are"),
            (discarded, "discarded now"),
            (failed, "for which the plugin fails now"),
        ] {
            if count > 0 {
                text += &format!(", {count} {what}");
            }
        }
        for (condition, change) in self.changes.iter().filter(|(_, change)| **change != 0) {
            text += &format!("\n{change:>+11}  {condition}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_and_went_is_counted() {
        let list = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let mut comparison = Comparison::default();
        assert!(!comparison.compare(&list("a b"), &list("b a")));
        assert!(comparison.compare(&list("a b"), &list("a c")));
        assert!(comparison.compare(&list("a"), &list("a a")), "one more of the same");
        assert_eq!(
            comparison.summary(),
            "3 records: 1 the same, 2 differ\n         +1  a\n         -1  b\n         +1  c"
        );
        comparison.discard(&list("c"));
        comparison.leave();
        let summary = comparison.summary();
        assert!(summary.starts_with("5 records: 1 the same, 3 differ, 1 without"), "{summary}");
        assert!(!summary.contains("  c"), "as many came as went: {summary}");
    }

    #[test]
    fn a_capture_of_another_run_has_none_of_the_connections() {
        let mut comparison = Comparison::default();
        assert!(!comparison.is_other(), "nothing was seen in the run either");
        comparison.seen_before(false);
        assert!(comparison.is_other());
        comparison.seen_before(true);
        assert_eq!((comparison.is_other(), comparison.lacking()), (false, 1));
    }
}
