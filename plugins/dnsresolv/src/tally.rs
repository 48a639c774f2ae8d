//! Counts the names without an address, and those that may have more, by the reason.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use pathspider_plugin_api::Record;

/// Counts by the reason, in fixed words.
#[derive(Default)]
pub(crate) struct Tally {
    counts: Mutex<BTreeMap<String, u64>>,
}

impl Tally {
    /// Counts a name.
    pub(crate) fn count(&self, reason: &str) {
        // Numbers only: no panic can leave them half-written.
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(reason.to_owned()).or_default() += 1;
    }

    /// For the metadata: the reasons and their counts.
    pub(crate) fn record(&self) -> Record {
        self.sorted().into_iter().collect()
    }

    /// For people, the greatest first: `3 names without an address: 2 time-out, 1 no such name`.
    pub(crate) fn line(&self, what: &str) -> Option<String> {
        let counts = self.sorted();
        let all: u64 = counts.iter().map(|(_, count)| count).sum();
        let noun = if all == 1 { "name" } else { "names" };
        let reasons: Vec<String> =
            counts.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        (all > 0).then(|| format!("{all} {noun} {what}: {}", reasons.join(", ")))
    }

    fn sorted(&self) -> Vec<(String, u64)> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut counts: Vec<(String, u64)> = counts.clone().into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_is_first() {
        let tally = Tally::default();
        assert_eq!(tally.line("lost"), None);
        for reason in ["no such name", "time-out", "time-out"] {
            tally.count(reason);
        }
        assert_eq!(tally.line("lost").unwrap(), "3 names lost: 2 time-out, 1 no such name");
        assert_eq!(tally.record().u64("time-out"), Some(2));
    }
}
