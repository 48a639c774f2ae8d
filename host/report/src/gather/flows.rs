//! Connections of one configuration: how many failed, of what, and how long their round trips took.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use pathspider_records::Flow;

/// How many different reasons are counted by name.
const MOST_REASONS: usize = 256;

/// Of a time in microseconds this many digits are kept.
const DIGITS: u8 = 3;

/// The connections of one configuration.
#[derive(Debug, Default)]
pub(crate) struct FlowTally {
    pub(crate) connections: u64,
    pub(crate) failed: u64,
    /// Connections that the capture does not have.
    pub(crate) unobserved: u64,
    /// How many failed, by the reason's first word.
    pub(crate) reasons: BTreeMap<String, u64>,
    /// Round trips of handshakes in microseconds; `None` where memory for it is refused.
    pub(crate) round_trips: Option<Histogram<u64>>,
}

impl FlowTally {
    pub(super) fn new() -> FlowTally {
        FlowTally { round_trips: Histogram::new(DIGITS).ok(), ..FlowTally::default() }
    }

    pub(super) fn count(&mut self, flow: &Flow<'_>) {
        self.connections += 1;
        self.unobserved += u64::from(flow.observed.as_bool() == Some(false));
        if flow.is_failed() {
            self.failed += 1;
            let reason = flow.spdr_error.as_str().unwrap_or("(no reason)");
            // A plugin's own reasons may hold anything; the first word tells the kind.
            self.fail(reason.split(':').next().unwrap_or(reason), 1);
        }
        if let (Some(rtt), Some(all)) = (flow.rtt.as_f64(), &mut self.round_trips) {
            // The histogram grows with the largest value, so hours are taken for one.
            all.saturating_record((rtt.max(0.0) as u64).min(3_600_000_000));
        }
    }

    fn fail(&mut self, reason: &str, count: u64) {
        let reason = if self.reasons.len() < MOST_REASONS || self.reasons.contains_key(reason) {
            reason
        } else {
            super::intern::OTHERS
        };
        *self.reasons.entry(reason.to_owned()).or_default() += count;
    }

    pub(super) fn merge(&mut self, other: FlowTally) {
        self.connections += other.connections;
        self.failed += other.failed;
        self.unobserved += other.unobserved;
        for (reason, count) in other.reasons {
            self.fail(&reason, count);
        }
        if let (Some(mine), Some(theirs)) = (&mut self.round_trips, other.round_trips) {
            // Both have the same digits and grow by themselves, so this cannot fail.
            let _ = mine.add(theirs);
        }
    }
}
