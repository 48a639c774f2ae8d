//! Calls of the plugin on worker threads: which are under way, and which take too long.
//!
//! A thread that does not come back is given up, and another one takes its place. What it answers
//! later is of no use to its job, but the thread is: it is a spare one then.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use pathspider_observer::ConnectionId;

use super::Visit;

/// Threads that may be stuck in the plugin before the run ends: each keeps its stack.
const MOST_STUCK: usize = 4096;

/// Tells one call from all others of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) struct Call(u64);

/// What a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Purpose {
    /// `pre_connect` of this job.
    Prepare(Visit),
    /// `connect` for this connection.
    Connect(ConnectionId),
}

/// All calls.
pub(super) struct Calls {
    /// How long one may take; `None` where the plugin does not block and is called at once.
    limit: Option<Duration>,
    next: u64,
    /// Calls by their deadline, which is the order of their beginning. Those that were answered are
    /// passed over.
    due: VecDeque<(Instant, Call, Purpose)>,
    /// Threads that were given up and have not come back.
    stuck: usize,
    /// Threads that came back after that.
    spare: usize,
}

impl Calls {
    pub(super) fn new(limit: Option<Duration>) -> Calls {
        Calls { limit, next: 0, due: VecDeque::new(), stuck: 0, spare: 0 }
    }

    /// A call begins.
    pub(super) fn begin(&mut self, purpose: Purpose, now: Instant) -> Call {
        let call = Call(self.next);
        self.next += 1;
        if let Some(deadline) = self.limit.and_then(|limit| now.checked_add(limit)) {
            self.due.push_back((deadline, call, purpose));
        }
        call
    }

    /// The next call whose time is over by now, unless it was answered: `stands` knows.
    pub(super) fn overdue(
        &mut self,
        now: Instant,
        mut stands: impl FnMut(Call, Purpose) -> bool,
    ) -> Option<Purpose> {
        while let Some(&(deadline, call, purpose)) = self.due.front() {
            let stands = stands(call, purpose);
            if stands && deadline > now {
                return None;
            }
            self.due.pop_front();
            if stands {
                return Some(purpose);
            }
        }
        None
    }

    /// When the next call may be overdue.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.due.front().map(|due| due.0)
    }

    /// A thread is given up; whether a new one is to take its place.
    ///
    /// # Errors
    ///
    /// Too many are stuck: this many.
    pub(super) fn give_up(&mut self) -> Result<bool, usize> {
        self.stuck += 1;
        if self.stuck > MOST_STUCK {
            return Err(self.stuck);
        }
        let has_spare = self.spare > 0;
        self.spare -= usize::from(has_spare);
        Ok(!has_spare)
    }

    /// A thread that was given up has come back.
    pub(super) fn came_back(&mut self) {
        self.stuck = self.stuck.saturating_sub(1);
        self.spare += 1;
    }
}

#[cfg(test)]
mod tests {
    use pathspider_observer::{JobNumber, Round};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn job(number: u64) -> Purpose {
        Purpose::Prepare(Visit::new(JobNumber::new(number), Round::FIRST))
    }

    #[test]
    fn a_call_is_overdue_after_its_time_and_once() {
        let (mut calls, start) = (Calls::new(Some(SECOND)), Instant::now());
        let first = calls.begin(job(1), start);
        calls.begin(job(2), start + SECOND / 2);
        let wakes = calls.next_deadline().unwrap();
        assert_eq!(calls.overdue(wakes - SECOND / 2, |_, _| true), None);
        assert_eq!(calls.overdue(wakes, |_, _| true), Some(job(1)));
        assert_eq!(calls.overdue(wakes, |_, _| true), None);
        assert_eq!(calls.overdue(start + 2 * SECOND, |call, _| call != first), Some(job(2)));
        assert_eq!(calls.next_deadline(), None);
    }

    #[test]
    fn what_was_answered_is_passed_over() {
        let (mut calls, start) = (Calls::new(Some(SECOND)), Instant::now());
        calls.begin(job(1), start);
        assert_eq!(calls.overdue(start + 2 * SECOND, |_, _| false), None);
        assert_eq!(calls.next_deadline(), None);
    }

    #[test]
    fn a_thread_that_comes_back_is_a_spare_one() {
        let mut calls = Calls::new(Some(SECOND));
        assert_eq!(calls.give_up(), Ok(true));
        calls.came_back();
        assert_eq!(calls.give_up(), Ok(false), "it takes the place");
        assert_eq!(calls.give_up(), Ok(true));
    }

    #[test]
    fn too_many_stuck_threads_end_the_run() {
        let mut calls = Calls::new(Some(SECOND));
        for _ in 0..MOST_STUCK {
            assert_eq!(calls.give_up(), Ok(true));
        }
        assert_eq!(calls.give_up(), Err(MOST_STUCK + 1));
    }

    #[test]
    fn calls_of_a_plugin_that_does_not_block_are_never_overdue() {
        let (mut calls, start) = (Calls::new(None), Instant::now());
        calls.begin(job(1), start);
        assert_eq!(calls.next_deadline(), None);
        assert_eq!(calls.overdue(start + 1000 * SECOND, |_, _| true), None);
    }
}
