//! What is known of a run at one moment, and the line that says it.

use std::fmt::Write;
use std::time::Duration;

use humantime::format_duration;

use crate::output::Counted;

/// Conditions that stand in a line: those given most often.
const CONDITIONS: usize = 3;

/// How many targets there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Total {
    /// Nobody can say before the input ends.
    Unknown,
    /// From the part of the input that was read.
    About(u64),
    /// The input has ended.
    Exactly(u64),
}

/// A run at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// What was counted until then.
    pub counted: Counted,
    /// Targets that were begun and have no record yet.
    pub in_flight: u64,
}

impl Snapshot {
    /// Targets that were dealt with.
    pub(super) fn done(&self) -> u64 {
        self.counted.summary.targets + self.counted.summary.discarded
    }

    /// Targets in all.
    pub(super) fn total(&self) -> Total {
        match (self.counted.input.total, self.counted.input.estimate) {
            (Some(total), _) => Total::Exactly(total),
            (None, Some(total)) => Total::About(total),
            (None, None) => Total::Unknown,
        }
    }

    /// One line for people: done of total, targets a second, in flight, time left, what is wrong,
    /// and the most frequent conditions.
    pub(super) fn line(&self, rate: f64, elapsed: Duration) -> String {
        let done = self.done();
        let mut line = match self.total() {
            Total::Unknown => format!("{done} targets"),
            Total::About(total) => format!("{done} of about {total} targets"),
            Total::Exactly(total) => format!("{done} of {total} targets"),
        };
        let digits = if rate < 10.0 { 1 } else { 0 };
        let _ = write!(line, ", {rate:.digits$}/s, {} in flight", self.in_flight);
        if let Some(left) = self.left(elapsed) {
            let _ = write!(line, ", {} left", format_duration(left));
        }
        let wrong = [
            (self.counted.summary.missed_flows, "flows missed"),
            (self.counted.capture.lost(), "packets dropped"),
            (self.counted.errors(), "errors"),
        ];
        for (count, what) in wrong.iter().filter(|(count, _)| *count > 0) {
            let _ = write!(line, ", {count} {what}");
        }
        let mut conditions: Vec<_> = self.counted.summary.conditions.iter().collect();
        conditions.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
        for (index, (name, count)) in conditions.into_iter().take(CONDITIONS).enumerate() {
            let _ = write!(line, "{} {count} {name}", if index == 0 { ";" } else { "," });
        }
        line
    }

    /// The time left in whole seconds, by the mean rate so far.
    fn left(&self, elapsed: Duration) -> Option<Duration> {
        let (Total::About(total) | Total::Exactly(total)) = self.total() else { return None };
        let done = self.done();
        if done == 0 {
            return None;
        }
        let each = elapsed.as_secs_f64() / done as f64;
        Some(Duration::from_secs((each * total.saturating_sub(done) as f64) as u64))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::output::Summary;

    fn counted(targets: u64) -> Counted {
        Counted { summary: Summary { targets, ..Summary::default() }, ..Counted::default() }
    }

    #[test]
    fn a_line_says_what_matters() {
        let conditions = [("b", 7), ("a", 7), ("c", 9), ("d", 1)];
        let conditions = conditions.map(|(name, count)| (name.to_owned(), count));
        let mut counted = self::counted(300);
        counted.summary.missed_flows = 2;
        counted.summary.conditions = BTreeMap::from(conditions);
        counted.input.estimate = Some(1200);
        let snapshot = Snapshot { counted, in_flight: 100 };
        assert_eq!(
            snapshot.line(99.6, Duration::from_secs(30)),
            "300 of about 1200 targets, 100/s, 100 in flight, 1m 30s left, 2 flows missed; \
             9 c, 7 a, 7 b"
        );
        let mut begun = Snapshot::default();
        begun.counted.input.total = Some(5);
        assert_eq!(begun.line(0.0, Duration::ZERO), "0 of 5 targets, 0.0/s, 0 in flight");
        let stream = Snapshot { counted: self::counted(1), in_flight: 0 };
        assert_eq!(stream.line(0.5, Duration::from_secs(2)), "1 targets, 0.5/s, 0 in flight");
    }
}
