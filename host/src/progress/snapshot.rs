//! What is known of a run at one moment, and the line that says it.

use std::collections::BTreeMap;
use std::time::Duration;

use humantime::format_duration;

use crate::output::Counted;
use pathspider_runtime::text::of;

/// Reasons of failures, and conditions, that stand in a line: those given most often.
const MOST: usize = 3;

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

    /// One line for people, no longer than a terminal is wide: how far the run is, how long it will
    /// last, what is wrong, what was found and why connections failed. What matters least is left out.
    pub(super) fn line(&self, rate: f64, elapsed: Duration, width: usize) -> String {
        let parts = self.parts(rate, elapsed);
        let mut room = width;
        let mut fits = vec![false; parts.len()];
        let mut order: Vec<usize> = (0..parts.len()).collect();
        order.sort_by_key(|&at| parts[at].rank);
        let mut full = None;
        for at in order {
            let Part { rank, text } = &parts[at];
            let length = text.chars().count();
            // The first says how far it is: it stands whatever the width.
            fits[at] = (length <= room && full != Some(rank)) || *rank == 0;
            if fits[at] {
                room = room.saturating_sub(length);
            } else {
                // What comes after it in a list matters less.
                full = Some(rank);
            }
        }
        parts.into_iter().zip(fits).filter(|(_, fits)| *fits).map(|(part, _)| part.text).collect()
    }

    /// The parts of the line, in their order.
    fn parts(&self, rate: f64, elapsed: Duration) -> Vec<Part> {
        let done = self.done();
        let percent = |total: u64| 100 * done / total.max(1);
        let how_far = match self.total() {
            Total::Unknown => format!("{done} {}", of(done, "target", "targets")),
            Total::About(total) => format!("{}% of about {total}", percent(total)),
            Total::Exactly(total) => format!("{}% ({done} of {total})", percent(total)),
        };
        let digits = if rate < 10.0 { 1 } else { 0 };
        let mut parts = vec![Part::new(0, how_far), Part::new(4, format!(", {rate:.digits$}/s"))];
        if let Some(rounds) = self.counted.input.of_rounds {
            let round = self.counted.input.rounds;
            parts.push(Part::new(1, format!(", round {round} of {rounds}")));
        }
        if let Some(left) = self.left(elapsed) {
            parts.push(Part::new(1, format!(", {} left", format_duration(left))));
        }
        parts.push(Part::new(7, format!(", {} in flight", self.in_flight)));
        let wrong = [
            (self.counted.summary.missed_flows, "flows missed"),
            (self.counted.capture.lost(), "packets dropped"),
            (self.counted.errors(), "errors"),
        ];
        for (count, what) in wrong.iter().filter(|(count, _)| *count > 0) {
            parts.push(Part::new(2, format!(", {count} {what}")));
        }
        let classes = &self.counted.summary.classes;
        let known = ["impaired", "absent", "good"].into_iter();
        let known = known.filter_map(|class| Some((class, *classes.get(class)?)));
        for (index, (class, count)) in known.enumerate() {
            let sign = if index == 0 { ';' } else { ',' };
            parts.push(Part::new(3, format!("{sign} {count} {class}")));
        }
        let most = |counts: &BTreeMap<String, u64>, rank| {
            let mut counts: Vec<_> = counts.iter().collect();
            counts.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
            let said = counts.into_iter().take(MOST).enumerate();
            let part = move |(index, (name, count)): (usize, (&String, &u64))| {
                let sign = if index == 0 { ';' } else { ',' };
                Part::new(rank, format!("{sign} {count} {name}"))
            };
            said.map(part).collect::<Vec<Part>>()
        };
        parts.extend(most(&self.counted.summary.failures, 5));
        parts.extend(most(&self.counted.summary.conditions, 6));
        parts
    }

    /// The time left in whole seconds, by the mean rate so far. Targets in flight count as half done:
    /// so there is an estimate before the first is, and dead targets at the begin do not mislead.
    fn left(&self, elapsed: Duration) -> Option<Duration> {
        let (Total::About(total) | Total::Exactly(total)) = self.total() else { return None };
        let done = self.done() as f64 + self.in_flight as f64 / 2.0;
        if done == 0.0 {
            return None;
        }
        let left = (total as f64 - done).max(0.0);
        Some(Duration::from_secs((elapsed.as_secs_f64() / done * left) as u64))
    }
}

/// A part of the line.
struct Part {
    /// How soon it is left out where there is no room: the lowest stays longest.
    rank: u8,
    text: String,
}

impl Part {
    fn new(rank: u8, text: String) -> Part {
        Part { rank, text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Summary;

    fn counted(targets: u64) -> Counted {
        Counted { summary: Summary { targets, ..Summary::default() }, ..Counted::default() }
    }

    fn counts(counts: &[(&str, u64)]) -> BTreeMap<String, u64> {
        counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    /// A run that is a quarter through, and everything happened.
    fn busy() -> Snapshot {
        let mut counted = self::counted(300);
        counted.summary.missed_flows = 2;
        counted.summary.conditions = counts(&[
            ("ecn.connectivity.broken", 9),
            ("ecn.connectivity.works", 291),
            ("ecn.negotiation.succeeded", 200),
            ("rare", 1),
        ]);
        counted.summary.failures = counts(&[("timeout", 40), ("refused", 3)]);
        counted.summary.classes = [("good", 285), ("impaired", 9), ("unknown", 6)].into();
        counted.input.estimate = Some(1200);
        Snapshot { counted, in_flight: 100 }
    }

    #[test]
    fn a_line_says_what_matters() {
        let line = |width| busy().line(99.6, Duration::from_secs(35), width);
        assert_eq!(
            line(usize::MAX),
            "25% of about 1200, 100/s, 1m 25s left, 100 in flight, 2 flows missed; \
             9 impaired, 285 good; 40 timeout, 3 refused; 291 ecn.connectivity.works, 200 ecn.negotiation.succeeded, \
             9 ecn.connectivity.broken"
        );
        let mut begun = Snapshot::default();
        begun.counted.input.total = Some(5);
        assert_eq!(begun.line(0.0, Duration::ZERO, 80), "0% (0 of 5), 0.0/s, 0 in flight");
        let stream = Snapshot { counted: self::counted(1), in_flight: 0 };
        assert_eq!(stream.line(0.5, Duration::from_secs(2), 80), "1 target, 0.5/s, 0 in flight");
    }

    #[test]
    fn a_terminal_shows_what_matters_most() {
        let line = |width| busy().line(99.6, Duration::from_secs(35), width);
        for width in 30..200 {
            assert!(line(width).len() <= width, "{width}: {}", line(width));
        }
        assert_eq!(line(10), "25% of about 1200", "how far it is stands whatever the width");
        assert_eq!(
            line(80),
            "25% of about 1200, 100/s, 1m 25s left, 2 flows missed; 9 impaired, 285 good"
        );
        assert_eq!(
            line(100),
            "25% of about 1200, 100/s, 1m 25s left, 2 flows missed; 9 impaired, 285 good; 40 timeout, \
             3 refused"
        );
    }

    #[test]
    fn the_time_left_counts_what_is_in_flight() {
        let mut snapshot = Snapshot { counted: counted(0), in_flight: 100 };
        snapshot.counted.input.total = Some(100);
        let left = |snapshot: &Snapshot| snapshot.left(Duration::from_secs(10)).unwrap().as_secs();
        assert_eq!(left(&snapshot), 10, "before the first is done");
        snapshot.counted.input.total = Some(1000);
        assert_eq!(left(&snapshot), 190);
        let done = Snapshot { counted: counted(1000), in_flight: 0 };
        let done =
            Snapshot { counted: Counted { input: snapshot.counted.input, ..done.counted }, ..done };
        assert_eq!(left(&done), 0);
    }
}
