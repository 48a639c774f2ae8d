//! What a campaign does next. It is a value: what was done and the time go in, the next step comes out.

use std::collections::BTreeSet;
use std::fmt;
use std::time::SystemTime;

use crate::campaign::Schedule;

/// One run of a campaign: a measurement, at one of the campaign's times. Ordered as they are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Step {
    /// Which of the campaign's times, from 0.
    pub(crate) time: u32,
    /// Which of its measurements, from 0.
    pub(crate) measure: usize,
}

/// People count from 1.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "time {}, measurement {}", self.time + 1, self.measure + 1)
    }
}

/// What comes next.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    Measure(Step),
    /// Nothing before this moment.
    Wait(SystemTime),
    /// All is done.
    End,
}

/// The course of a campaign.
#[derive(Debug)]
pub(crate) struct Course {
    schedule: Schedule,
    /// How many measurements there are.
    measures: usize,
    /// When the campaign began.
    first: SystemTime,
    done: BTreeSet<Step>,
}

impl Course {
    /// The course of a campaign that began at `first`, and has `done` these.
    pub(crate) fn new(
        schedule: Schedule,
        measures: usize,
        first: SystemTime,
        done: impl IntoIterator<Item = Step>,
    ) -> Course {
        Course { schedule, measures, first, done: done.into_iter().collect() }
    }

    /// What comes next at this moment. A time that was missed is measured late, and the next one when it
    /// is over: none is left out.
    pub(crate) fn next(&self, now: SystemTime) -> Next {
        for time in 0.. {
            let Some(begin) = self.schedule.begin(time, self.first) else { break };
            let of_time = (0..self.measures).map(|measure| Step { time, measure });
            let Some(step) = of_time.into_iter().find(|step| !self.done.contains(step)) else {
                continue;
            };
            return if begin > now { Next::Wait(begin) } else { Next::Measure(step) };
        }
        Next::End
    }

    /// A run is over.
    pub(crate) fn finish(&mut self, step: Step) {
        self.done.insert(step);
    }

    /// How many runs there are in all; `None` where the campaign has no end.
    pub(crate) fn total(&self) -> Option<u64> {
        self.schedule.count(self.first).map(|times| times * self.measures as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::campaign::Time;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn step(time: u32, measure: usize) -> Step {
        Step { time, measure }
    }

    #[test]
    fn measurements_follow_each_other_and_times_wait() {
        let every = Some(Time(Duration::from_secs(100)));
        let schedule = Schedule { every, times: Some(2), until: None };
        let mut course = Course::new(schedule, 2, at(0), []);
        assert_eq!(course.total(), Some(4));
        for (now, expected) in [(0, step(0, 0)), (5, step(0, 1))] {
            assert_eq!(course.next(at(now)), Next::Measure(expected));
            course.finish(expected);
        }
        assert_eq!(course.next(at(9)), Next::Wait(at(100)));
        assert_eq!(course.next(at(100)), Next::Measure(step(1, 0)));
        course.finish(step(1, 0));
        // A clock that is set back does not begin anything early, nor anything twice.
        assert_eq!(course.next(at(50)), Next::Wait(at(100)));
        course.finish(step(1, 1));
        assert_eq!(course.next(at(500)), Next::End);
    }

    #[test]
    fn it_goes_on_where_it_was() {
        let schedule =
            Schedule { every: Some(Time(Duration::from_secs(10))), ..Schedule::default() };
        let course = Course::new(schedule, 2, at(0), [step(0, 0), step(0, 1), step(1, 0)]);
        assert_eq!(course.next(at(1000)), Next::Measure(step(1, 1)), "late, and not left out");
        assert_eq!(course.total(), None, "it has no end");
        let once = Course::new(Schedule::default(), 1, at(0), [step(0, 0)]);
        assert_eq!((once.next(at(0)), once.total()), (Next::End, Some(1)));
    }
}
