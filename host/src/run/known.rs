//! What is known of a run while its stages go on: for the progress display, and for the end of the
//! metadata.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::keeping::LastWord;
use crate::job::Feed;
use crate::output::{Counted, Summary};
use crate::progress::Snapshot;
use pathspider_observer::Counters;
use pathspider_runtime::say;

/// What the stages count, as it stands.
pub(super) struct Known<C> {
    pub(super) fed: Feed,
    pub(super) summary: Arc<Mutex<Summary>>,
    pub(super) counters: C,
    /// Jobs in flight.
    pub(super) in_flight: Arc<AtomicUsize>,
    /// Jobs whose connections have ended, all of them since the beginning.
    pub(super) ended: Arc<AtomicUsize>,
    /// Jobs that are concluded, and whose records are not written.
    pub(super) waiting: Arc<AtomicU64>,
    /// One that is taken by every job that was read and is not concluded.
    pub(super) places: crossbeam::channel::Sender<()>,
}

impl<C: Fn() -> Counters> Known<C> {
    /// What was counted until now.
    fn counted(&self) -> Counted {
        let summary = self.summary.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Counted { summary, input: self.fed.counts(), capture: (self.counters)() }
    }

    /// The run as it is shown.
    pub(super) fn snapshot(&self) -> Snapshot {
        let in_flight = self.in_flight.load(Ordering::Relaxed) as u64;
        Snapshot { counted: self.counted(), in_flight }
    }

    /// Writes why the run is given up, if there is something to write it to, and says where that
    /// fails.
    pub(super) fn write(&self, last: Option<LastWord>, why: String) {
        let Some(last) = last else { return };
        if let Err(error) = last.write(why, &self.given_up()) {
            say!("{error}");
        }
    }

    /// What a run has come to that ends here.
    fn given_up(&self) -> Counted {
        let mut counted = self.counted();
        let summary = &mut counted.summary;
        let concluded = summary.targets + summary.discarded;
        // What waits to be written is not.
        let waiting = self.waiting.load(Ordering::Relaxed).min(summary.targets);
        summary.targets -= waiting;
        summary.lost += waiting;
        // A job may be counted as both on its way from one to the other.
        let ended = self.ended.load(Ordering::Relaxed).saturating_sub(concluded as usize);
        let begun = self.in_flight.load(Ordering::Relaxed) + ended;
        let taken = self.places.len();
        summary.unfinished = begun.min(taken) as u64;
        summary.unstarted = taken.saturating_sub(begun) as u64 + counted.input.kept_back;
        counted
    }
}
