//! Jobs that rest: their former connection has ended, and what the observer saw of it is not known.
//!
//! A job that rests has no connection under way, so it takes no room from other jobs. When its
//! connection is known it is ready, and goes on before a new job is read.

use std::collections::VecDeque;

use super::Visit;

/// All such jobs; none where connections do not depend on earlier ones.
pub(super) struct Resting {
    applies: bool,
    count: usize,
    /// Those that may go on, in the order in which they became ready.
    ready: VecDeque<Visit>,
}

impl Resting {
    pub(super) fn new(applies: bool) -> Resting {
        Resting { applies, count: 0, ready: VecDeque::new() }
    }

    /// Whether jobs rest after each connection but the last.
    pub(super) fn applies(&self) -> bool {
        self.applies
    }

    /// How many jobs rest, those that are ready included.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Whether a job is ready to go on.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// A job begins to rest.
    pub(super) fn begin(&mut self) {
        self.count += 1;
    }

    /// What a resting job waited for is known.
    pub(super) fn known(&mut self, visit: Visit) {
        self.ready.push_back(visit);
    }

    /// The next job that goes on, and rests no more.
    pub(super) fn next(&mut self) -> Option<Visit> {
        let visit = self.ready.pop_front()?;
        self.count -= 1;
        Some(visit)
    }
}

#[cfg(test)]
mod tests {
    use pathspider_observer::{JobNumber, Round};

    use super::*;

    fn visit(job: u64) -> Visit {
        Visit::new(JobNumber::new(job), Round::FIRST)
    }

    #[test]
    fn jobs_go_on_in_the_order_in_which_they_became_ready() {
        let mut resting = Resting::new(true);
        (0..3).for_each(|_| resting.begin());
        assert_eq!((resting.count(), resting.has_ready(), resting.next()), (3, false, None));
        for job in [7, 5] {
            resting.known(visit(job));
        }
        assert_eq!((resting.count(), resting.has_ready()), (3, true));
        assert_eq!(resting.next(), Some(visit(7)));
        assert_eq!(resting.next(), Some(visit(5)));
        assert_eq!((resting.next(), resting.count(), resting.has_ready()), (None, 1, false));
    }
}
