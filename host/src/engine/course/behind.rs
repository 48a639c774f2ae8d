//! Jobs that have ended, until their records are written: how many they are, and the octets that the
//! later stages hold of them. Both are bounded, so that a reader that pauses costs no more memory.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use pathspider_observer::Visit;

/// Jobs that may wait for the observer and the merger before no more connections are begun. At full
/// speed a job waits for late packets for a tenth of a second, and over UDP, which has no end, for
/// half a second.
pub(crate) const JOBS_BEHIND: usize = 6144;

/// Octets of responses and other results that may wait likewise: of 6,144 jobs with two responses of
/// 20 KiB each.
pub(crate) const OCTETS_BEHIND: usize = 256 << 20;

/// The jobs.
#[derive(Default)]
pub(super) struct Behind {
    jobs: HashMap<Visit, usize, RandomState>,
    octets: usize,
}

impl Behind {
    /// A job of this many octets has ended.
    pub(super) fn insert(&mut self, visit: Visit, octets: usize) {
        self.jobs.insert(visit, octets);
        self.octets += octets;
    }

    /// Its record is written.
    pub(super) fn remove(&mut self, visit: Visit) {
        self.octets -= self.jobs.remove(&visit).unwrap_or_default();
    }

    /// Whether so much waits that memory would grow with the jobs in flight.
    pub(super) fn is_full(&self) -> bool {
        self.jobs.len() >= JOBS_BEHIND || self.octets >= OCTETS_BEHIND
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }
}
