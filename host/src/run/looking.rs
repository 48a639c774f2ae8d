//! What the stages of a run have come to, for whoever shows it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::job::Feed;
use crate::output::Summary;
use crate::progress::{Snapshot, Total};
use pathspider_observer::Counters;

/// What the stages count of the run, read while it goes.
pub(super) fn looking(
    fed: &Feed,
    summary: &Arc<Mutex<Summary>>,
    counters: impl Fn() -> Counters + Send + 'static,
    in_flight: Arc<AtomicUsize>,
) -> impl Fn() -> Snapshot + Send + 'static {
    let (fed, summary) = (fed.clone(), Arc::clone(summary));
    move || {
        let summary = summary.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (counters, fed) = (counters(), fed.counts());
        Snapshot {
            done: summary.targets + summary.discarded,
            total: match (fed.total, fed.estimate) {
                (Some(total), _) => Total::Exactly(total),
                (None, Some(total)) => Total::About(total),
                (None, None) => Total::Unknown,
            },
            in_flight: in_flight.load(Ordering::Relaxed) as u64,
            missed: summary.missed_flows,
            dropped: counters.lost(),
            errors: summary.plugin_errors() + fed.bad_lines,
            conditions: summary.conditions.into_iter().collect(),
        }
    }
}
