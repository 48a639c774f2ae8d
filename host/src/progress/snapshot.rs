//! What is known of a run at one moment, and the line that says it.

use std::fmt::Write;
use std::time::Duration;

use humantime::format_duration;

/// Conditions that stand in a line: those given most often.
const CONDITIONS: usize = 3;

/// How many targets there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Total {
    /// Nobody can say before the input ends.
    #[default]
    Unknown,
    /// From the part of the input that was read.
    About(u64),
    /// The input has ended.
    Exactly(u64),
}

/// A run at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Targets whose record was made.
    pub done: u64,
    /// Targets in all.
    pub total: Total,
    /// Targets that were begun and have no record yet.
    pub in_flight: u64,
    /// Connections whose packets were not seen.
    pub missed: u64,
    /// Packets that the capture lost.
    pub dropped: u64,
    /// Errors of the plugin, and lines that were not jobs.
    pub errors: u64,
    /// How often each condition was given.
    pub conditions: Vec<(String, u64)>,
}

impl Snapshot {
    /// One line for people: done of total, targets a second, in flight, time left, what is wrong,
    /// and the most frequent conditions.
    pub(super) fn line(&self, rate: f64, elapsed: Duration) -> String {
        let mut line = match self.total {
            Total::Unknown => format!("{} targets", self.done),
            Total::About(total) => format!("{} of about {total} targets", self.done),
            Total::Exactly(total) => format!("{} of {total} targets", self.done),
        };
        let digits = if rate < 10.0 { 1 } else { 0 };
        let _ = write!(line, ", {rate:.digits$}/s, {} in flight", self.in_flight);
        if let Some(left) = self.left(elapsed) {
            let _ = write!(line, ", {} left", format_duration(left));
        }
        let wrong = [
            (self.missed, "flows missed"),
            (self.dropped, "packets dropped"),
            (self.errors, "errors"),
        ];
        for (count, what) in wrong.iter().filter(|(count, _)| *count > 0) {
            let _ = write!(line, ", {count} {what}");
        }
        let mut conditions: Vec<_> = self.conditions.iter().collect();
        conditions.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        for (index, (name, count)) in conditions.into_iter().take(CONDITIONS).enumerate() {
            let _ = write!(line, "{} {count} {name}", if index == 0 { ";" } else { "," });
        }
        line
    }

    /// The time left in whole seconds, by the mean rate so far.
    fn left(&self, elapsed: Duration) -> Option<Duration> {
        let (Total::About(total) | Total::Exactly(total)) = self.total else { return None };
        if self.done == 0 {
            return None;
        }
        let each = elapsed.as_secs_f64() / self.done as f64;
        Some(Duration::from_secs((each * total.saturating_sub(self.done) as f64) as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_matters() {
        let snapshot = Snapshot {
            done: 300,
            total: Total::About(1200),
            in_flight: 100,
            missed: 2,
            conditions: vec![("b".into(), 7), ("a".into(), 7), ("c".into(), 9), ("d".into(), 1)],
            ..Snapshot::default()
        };
        assert_eq!(
            snapshot.line(99.6, Duration::from_secs(30)),
            "300 of about 1200 targets, 100/s, 100 in flight, 1m 30s left, 2 flows missed; \
             9 c, 7 a, 7 b"
        );
        let begun = Snapshot { total: Total::Exactly(5), ..Snapshot::default() };
        assert_eq!(begun.line(0.0, Duration::ZERO), "0 of 5 targets, 0.0/s, 0 in flight");
        let stream = Snapshot { done: 1, ..Snapshot::default() };
        assert_eq!(stream.line(0.5, Duration::from_secs(2)), "1 targets, 0.5/s, 0 in flight");
    }
}
