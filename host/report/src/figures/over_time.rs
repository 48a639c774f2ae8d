//! Shares over time: in steps of an hour or more, as many as are read at a glance.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::ByMeasurement;
use super::aspects::{ConditionShare, Tally};
use super::groups::columns;
use super::view::View;
use crate::gather::STEP;
use crate::statistics::Share;

/// The most steps.
const MOST_STEPS: u64 = 60;

/// Hours of a step. The first one is taken that makes few enough.
const HOURS: [u64; 9] = [1, 3, 6, 12, 24, 7 * 24, 28 * 24, 91 * 24, 364 * 24];

/// An aspect over time.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct OverTime {
    pub(crate) aspect: String,
    /// Hours of a step.
    pub(crate) hours: u64,
    /// Those in which something was measured.
    pub(crate) steps: Vec<Step>,
}

/// A step of time.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Step {
    /// When it begins, RFC 3339.
    pub(crate) from: String,
    pub(crate) verdicts: u64,
    pub(crate) conditions: Vec<ConditionShare>,
    pub(crate) impaired: Share,
}

/// All aspects over time, of measurements that took more than one step.
pub(super) fn all(view: &View<'_>) -> ByMeasurement<OverTime> {
    let mut spans: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    for &(step, outcome) in view.gathered.steps.keys() {
        let Some(facts) = view.fact(outcome) else { continue };
        let span = spans.entry(facts.measurement).or_insert((step, step));
        *span = (span.0.min(step), span.1.max(step));
    }
    let hours = |measurement: u32| {
        let (first, last) = spans.get(&measurement).copied().unwrap_or_default();
        let fits = |&hours: &u64| last / hours - first / hours < MOST_STEPS;
        HOURS.into_iter().find(fits).unwrap_or(HOURS[HOURS.len() - 1])
    };
    let mut tallies: BTreeMap<(u32, u32), BTreeMap<u64, Tally>> = BTreeMap::new();
    for (&(step, outcome), &records) in &view.gathered.steps {
        let Some(facts) = view.fact(outcome) else { continue };
        let step = step / hours(facts.measurement);
        for (aspect, conditions) in &facts.aspects {
            let steps = tallies.entry((facts.measurement, *aspect)).or_default();
            steps.entry(step).or_default().add(view, conditions, records);
        }
    }
    let mut found = ByMeasurement::new();
    for ((measurement, aspect), tallies) in tallies {
        if tallies.len() < 2 {
            continue;
        }
        let columns = columns(view, tallies.values());
        let hours = hours(measurement);
        let step = |(step, tally): (&u64, &Tally)| Step {
            from: begin(step * hours),
            verdicts: tally.verdicts,
            conditions: tally.shares(view, &columns),
            impaired: tally.impaired(),
        };
        let aspect = view.aspect(aspect).to_owned();
        let steps = tallies.iter().map(step).collect();
        found.entry(measurement).or_insert_with(Vec::new).push(OverTime { aspect, hours, steps });
    }
    for over_time in found.values_mut() {
        over_time.sort_by(|a, b| a.aspect.cmp(&b.aspect));
    }
    found
}

fn begin(step: u64) -> String {
    let since = Duration::from_secs(step.saturating_mul(STEP));
    match SystemTime::UNIX_EPOCH.checked_add(since) {
        Some(at) => super::time(at),
        None => String::new(),
    }
}
