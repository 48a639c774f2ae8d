//! What an agent does next of a campaign. It is a value: what is wanted, which results are there, and the
//! time go in; the next piece of work comes out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use crate::campaign::Schedule;
use crate::course::Step;
use crate::wire::{Trouble, Wanted, Work};

/// How long work waits after it failed: twice as long after each time, up to the last.
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(300);

/// Troubles that are reported.
const MOST_TROUBLES: usize = 20;

/// What an agent has to do of one campaign.
#[derive(Debug)]
pub(crate) struct Duty {
    schedule: Schedule,
    submitted: SystemTime,
    measures: usize,
    shards: u32,
    /// This place's shard that comes first: each place has another one, so that not all measure the same
    /// targets at a time.
    first: u32,
    done: BTreeSet<Work>,
    steps_done: BTreeSet<Step>,
    failed: BTreeMap<Part, Failed>,
}

/// What failed, of a step: a shard, or all of its measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Measure(usize),
    Shard(Work),
}

/// A part that failed.
#[derive(Debug)]
struct Failed {
    reason: String,
    tries: u32,
    /// Nothing before.
    until: SystemTime,
}

/// What an agent does next.
#[derive(Debug, PartialEq)]
pub(crate) enum Turn {
    Measure(Work),
    /// Nothing for now.
    Rest,
    /// All results of this place are there.
    Over,
}

impl Duty {
    /// The duty of a place that begins with the `first` shard.
    pub(crate) fn new(
        schedule: Schedule,
        submitted: SystemTime,
        (measures, shards): (usize, u32),
        first: u32,
    ) -> Duty {
        Duty {
            schedule,
            submitted,
            measures,
            shards,
            first,
            done: BTreeSet::new(),
            steps_done: BTreeSet::new(),
            failed: BTreeMap::new(),
        }
    }

    /// These results are on the server, and no others.
    pub(crate) fn found(&mut self, there: impl IntoIterator<Item = Work>) {
        self.done.clear();
        self.steps_done.clear();
        there.into_iter().for_each(|work| self.finish(work));
    }

    /// The result of a piece of work is on the server.
    pub(crate) fn finish(&mut self, work: Work) {
        self.failed.remove(&Part::Shard(work));
        self.failed.remove(&Part::Measure(work.step.measure));
        if work.shard >= self.shards || !self.done.insert(work) {
            return;
        }
        let of_step = Work { shard: 0, ..work }..=Work { shard: self.shards - 1, ..work };
        if self.done.range(of_step).count() == self.shards as usize {
            self.steps_done.insert(work.step);
        }
    }

    /// A piece of work failed.
    pub(crate) fn fail(&mut self, work: Work, reason: String, now: SystemTime) {
        self.failed_part(Part::Shard(work), reason, now);
    }

    /// No shard of a measurement can be measured here, for now.
    pub(crate) fn fail_all(&mut self, measure: usize, reason: String, now: SystemTime) {
        self.failed_part(Part::Measure(measure), reason, now);
    }

    fn failed_part(&mut self, part: Part, reason: String, now: SystemTime) {
        let tries = self.failed.get(&part).map_or(0, |failed| failed.tries).saturating_add(1);
        let rest = FIRST_REST.saturating_mul(1 << (tries - 1).min(10)).min(LONGEST_REST);
        self.failed.insert(part, Failed { reason, tries, until: now + rest });
    }

    fn may(&self, part: Part, now: SystemTime) -> bool {
        // A clock that is set back makes nobody wait longer.
        let rests = |failed: &Failed| failed.until > now && failed.until <= now + LONGEST_REST;
        !self.failed.get(&part).is_some_and(rests)
    }

    /// What comes next. What failed rests, and the rest goes on meanwhile.
    pub(crate) fn next(&self, wanted: Wanted, now: SystemTime) -> Turn {
        let mut is_open = wanted != Wanted::Running;
        for time in 0.. {
            if wanted != Wanted::Running {
                break;
            }
            let Some(begin) = self.schedule.begin(time, self.submitted) else { break };
            if begin > now {
                is_open = true;
                break;
            }
            for measure in 0..self.measures {
                let step = Step { time, measure };
                if self.steps_done.contains(&step) {
                    continue;
                }
                is_open = true;
                if !self.may(Part::Measure(measure), now) {
                    continue;
                }
                let tries = |work: &Work| {
                    self.failed.get(&Part::Shard(*work)).map_or(0, |failed| failed.tries)
                };
                let next = (0..self.shards)
                    .map(|offset| Work { step, shard: (self.first + offset) % self.shards })
                    .filter(|work| !self.done.contains(work))
                    .filter(|work| self.may(Part::Shard(*work), now))
                    .min_by_key(tries);
                if let Some(work) = next {
                    return Turn::Measure(work);
                }
            }
        }
        if is_open { Turn::Rest } else { Turn::Over }
    }

    /// Why shards wait.
    pub(crate) fn troubles(&self) -> Vec<Trouble> {
        let of = |(part, failed): (&Part, &Failed)| {
            let (measure, shard) = match part {
                Part::Measure(measure) => (*measure, None),
                Part::Shard(work) => (work.step.measure, Some(u64::from(work.shard) + 1)),
            };
            let (reason, tries) = (failed.reason.clone(), failed.tries);
            Trouble { measure: measure as u64 + 1, shard, reason, tries }
        };
        self.failed.iter().take(MOST_TROUBLES).map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::Time;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn work(measure: usize, shard: u32) -> Work {
        Work { step: Step { time: 0, measure }, shard }
    }

    fn duty(first: u32) -> Duty {
        Duty::new(Schedule::default(), at(0), (2, 3), first)
    }

    #[test]
    fn each_place_has_its_own_order_and_does_all() {
        let mut orders = Vec::new();
        for first in 0..3 {
            let mut duty = duty(first);
            let mut order = Vec::new();
            while let Turn::Measure(work) = duty.next(Wanted::Running, at(0)) {
                order.push((work.step.measure, work.shard));
                duty.finish(work);
                // A result that is reported twice changes nothing.
                duty.finish(work);
            }
            assert_eq!(duty.next(Wanted::Running, at(0)), Turn::Over);
            orders.push(order);
        }
        assert_eq!(orders[0], [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]);
        assert_eq!(orders[1][..3], [(0, 1), (0, 2), (0, 0)]);
        assert_eq!(orders[2][..3], [(0, 2), (0, 0), (0, 1)]);
    }

    #[test]
    fn what_fails_rests_and_is_named_and_stops_nothing_else() {
        let mut duty = duty(0);
        let next = |duty: &Duty, seconds| duty.next(Wanted::Running, at(seconds));
        duty.fail(work(0, 0), "disk full".to_owned(), at(0));
        assert_eq!(next(&duty, 0), Turn::Measure(work(0, 1)), "others go first");
        duty.finish(work(0, 1));
        duty.finish(work(0, 2));
        assert_eq!(next(&duty, 0), Turn::Measure(work(1, 0)), "the next measurement goes on");
        duty.fail_all(1, "no plugin".to_owned(), at(0));
        assert_eq!(next(&duty, 0), Turn::Rest);
        assert_eq!(next(&duty, 1), Turn::Measure(work(0, 0)));
        duty.fail(work(0, 0), "disk full".to_owned(), at(1));
        let troubles = duty.troubles();
        assert_eq!((troubles[0].shard, &*troubles[0].reason), (None, "no plugin"));
        assert_eq!((troubles[1].shard, troubles[1].tries), (Some(1), 2));
        duty.fail_all(1, "no plugin".to_owned(), at(1));
        assert_eq!(next(&duty, 2), Turn::Rest, "longer each time");
        assert_eq!(duty.next(Wanted::Running, at(0)), Turn::Rest);
        assert_eq!(next(&duty, 3), Turn::Measure(work(0, 0)));
        duty.finish(work(0, 0));
        assert_eq!(next(&duty, 3), Turn::Measure(work(1, 0)));
        duty.finish(work(1, 0));
        assert!(duty.troubles().is_empty(), "it works again");
    }

    #[test]
    fn a_clock_that_is_set_back_makes_nothing_wait_for_long() {
        let mut duty = duty(0);
        for shard in 0..3 {
            duty.fail(work(0, shard), "x".to_owned(), at(3600));
            duty.fail(work(1, shard), "x".to_owned(), at(3600));
        }
        assert_eq!(duty.next(Wanted::Running, at(5)), Turn::Measure(work(0, 0)));
    }

    #[test]
    fn what_the_server_has_lost_is_done_again() {
        let mut duty = duty(0);
        duty.found([work(0, 0), work(0, 1), work(0, 2), work(0, 7)]);
        assert_eq!(duty.next(Wanted::Running, at(0)), Turn::Measure(work(1, 0)));
        duty.found([work(0, 0), work(0, 2)]);
        assert_eq!(duty.next(Wanted::Running, at(0)), Turn::Measure(work(0, 1)));
    }

    #[test]
    fn times_wait_and_what_is_wanted_decides() {
        let every = Some(Time(Duration::from_secs(100)));
        let schedule = Schedule { every, times: Some(2), until: None };
        let mut duty = Duty::new(schedule, at(0), (1, 1), 0);
        for wanted in [Wanted::Paused, Wanted::Cancelled, Wanted::Collected] {
            assert_eq!(duty.next(wanted, at(0)), Turn::Rest);
        }
        duty.finish(work(0, 0));
        assert_eq!(duty.next(Wanted::Running, at(99)), Turn::Rest);
        let second = Work { step: Step { time: 1, measure: 0 }, shard: 0 };
        assert_eq!(duty.next(Wanted::Running, at(100)), Turn::Measure(second));
        duty.finish(second);
        assert_eq!(duty.next(Wanted::Running, at(1000)), Turn::Over);
    }
}
