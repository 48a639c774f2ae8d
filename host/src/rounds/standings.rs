//! Where each target of a run stands: how often it was measured, and what that came to.
//!
//! The feeder asks who is to be measured in a round, and the merger says what came of it. Eight octets
//! a target, whatever the number of rounds.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pathspider_observer::Round;
use pathspider_plugin_api::{Class, Condition};

use super::fold::{Folds, Sum};
use super::{Place, Schedule, Turn};

/// How often whoever waits looks whether it still has to.
const LOOK: Duration = Duration::from_millis(20);

/// Where a target stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// In how many rounds it was measured: always the first ones.
    rounds: u16,
    /// Whether its verdict was impaired in the last of them.
    is_impaired: bool,
    /// What they had.
    sum: Sum,
}

impl Standing {
    /// Adds what the next round came to.
    pub(crate) fn add<'c>(
        &mut self,
        folds: &mut Folds,
        conditions: impl Iterator<Item = (&'c str, Class)> + Clone,
    ) {
        self.rounds = self.rounds.saturating_add(1);
        self.is_impaired = conditions.clone().any(|(_, class)| class == Class::Impaired);
        self.sum = folds.add(self.sum, conditions);
    }

    /// What all its rounds come to: no more follow.
    pub(crate) fn close(&mut self, folds: &mut Folds) -> Vec<Condition> {
        folds.close(std::mem::take(&mut self.sum))
    }

    /// Whether it was measured in this round.
    pub(crate) fn has(&self, round: Round) -> bool {
        u32::from(self.rounds) > round.number()
    }

    /// Whether it is to be measured in this round, if it was not.
    fn wants(&self, round: Round, schedule: &Schedule) -> bool {
        let number = round.number();
        let is_confirmed = self.is_impaired && u32::from(self.rounds) == number;
        number < schedule.repeat.into() || (number < schedule.most().into() && is_confirmed)
    }
}

/// Who is to be measured in a round.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// These, in the order of their places.
    pub(crate) places: Vec<Place>,
    /// How many were measured in it by a run before.
    pub(crate) done: u64,
}

/// All targets of a run; shared by the feeder and the merger.
#[derive(Debug)]
pub struct Standings {
    schedule: Schedule,
    inner: Mutex<Inner>,
    /// Told when nothing is under way.
    idle: Condvar,
}

#[derive(Debug)]
struct Inner {
    targets: Vec<Standing>,
    folds: Folds,
    /// Turns that were given and have not come to their end.
    under_way: u64,
}

impl Standings {
    /// No targets yet. `folds` has what the rounds of a run before came to.
    pub(crate) fn new(schedule: Schedule, folds: Folds) -> Standings {
        let inner = Inner { targets: Vec::new(), folds, under_way: 0 };
        Standings { schedule, inner: Mutex::new(inner), idle: Condvar::new() }
    }

    /// How often targets are measured.
    pub(crate) fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Adds a target, which stands so; its place. `None` where there can be no more of them.
    pub(crate) fn enter(&self, standing: Standing) -> Option<Place> {
        let targets = &mut self.inner().targets;
        let place = Place(u32::try_from(targets.len()).ok()?);
        targets.push(standing);
        Some(place)
    }

    /// A turn is given.
    pub(crate) fn begin(&self) {
        self.inner().under_way += 1;
    }

    /// What a turn came to; what all rounds of the target come to, where it was the last one.
    pub(crate) fn end<'c>(
        &self,
        turn: Turn,
        conditions: impl Iterator<Item = (&'c str, Class)> + Clone,
    ) -> Vec<Condition> {
        let mut inner = self.inner();
        let Inner { targets, folds, under_way } = &mut *inner;
        *under_way -= 1;
        let is_idle = *under_way == 0;
        let mut told = Vec::new();
        if let Some(standing) = targets.get_mut(turn.place.index()) {
            standing.add(folds, conditions);
            let next = u16::try_from(turn.round.number() + 1).map(Round::new);
            if !next.is_ok_and(|next| standing.wants(next, &self.schedule)) {
                told = standing.close(folds);
            }
        }
        drop(inner);
        if is_idle {
            self.idle.notify_all();
        }
        told
    }

    /// Waits until no turn is under way; `false` where it `is_over` before.
    pub(crate) fn wait(&self, is_over: impl Fn() -> bool) -> bool {
        while !is_over() {
            let inner = self.inner();
            if inner.under_way == 0 {
                return true;
            }
            drop(self.idle.wait_timeout(inner, LOOK));
        }
        false
    }

    /// Who is to be measured in this round, when the rounds before it are over.
    pub(crate) fn wanted(&self, round: Round) -> Wanted {
        let mut wanted = Wanted::default();
        for (at, standing) in (0..).zip(&self.inner().targets) {
            if standing.has(round) {
                wanted.done += 1;
            } else if standing.wants(round, &self.schedule) {
                wanted.places.push(Place(at));
            }
        }
        wanted
    }

    /// How many turns are to come after the first round, as far as that is known when it begins.
    pub(crate) fn to_come(&self) -> u64 {
        let repeat = self.schedule.repeat;
        let left = |standing: &Standing| u64::from(repeat.saturating_sub(standing.rounds.max(1)));
        self.inner().targets.iter().map(left).sum()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Each change is made as a whole, or the thread that makes it ends the run.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WORKS: (&str, Class) = ("x.connectivity.works", Class::Good);
    const BROKEN: (&str, Class) = ("x.connectivity.broken", Class::Impaired);

    fn schedule(repeat: u16, confirm: u16) -> Schedule {
        Schedule { repeat, confirm, interval: Duration::ZERO, seed: 0 }
    }

    /// Takes targets through their rounds. Each target has these verdicts, the last one for ever;
    /// what each round had, and what each target came to.
    fn run(
        schedule: Schedule,
        targets: &[&[(&'static str, Class)]],
    ) -> (Vec<Vec<usize>>, Vec<Vec<String>>) {
        let standings = Standings::new(schedule, Folds::default());
        targets.iter().for_each(|_| assert!(standings.enter(Standing::default()).is_some()));
        let (mut rounds, mut told) = (Vec::new(), vec![Vec::new(); targets.len()]);
        for number in 0..=schedule.most() {
            let round = Round::new(number);
            let Wanted { places, done } = standings.wanted(round);
            assert_eq!(done, 0);
            if places.is_empty() {
                break;
            }
            for &place in &places {
                standings.begin();
                let verdicts = targets[place.index()];
                let verdict = verdicts[usize::from(number).min(verdicts.len() - 1)];
                let end =
                    standings.end(Turn { round, place, forgets: false }, std::iter::once(verdict));
                told[place.index()].extend(end.iter().map(|end| end.as_str().to_owned()));
            }
            assert!(standings.wait(|| false));
            rounds.push(places.into_iter().map(Place::index).collect());
        }
        (rounds, told)
    }

    #[test]
    fn each_target_is_measured_in_each_round() {
        let (rounds, told) = run(schedule(3, 0), &[&[WORKS], &[BROKEN], &[BROKEN, WORKS]]);
        assert_eq!(rounds, vec![vec![0, 1, 2]; 3]);
        assert_eq!(
            told,
            [
                vec!["x.stable.connectivity.works"],
                vec!["x.stable.connectivity.broken"],
                vec!["x.unstable.connectivity"]
            ]
        );
    }

    #[test]
    fn only_what_is_impaired_is_confirmed_and_only_while_it_is() {
        let targets: [&[_]; 4] = [&[WORKS], &[BROKEN], &[BROKEN, WORKS], &[BROKEN, BROKEN, WORKS]];
        let (rounds, told) = run(schedule(1, 3), &targets);
        assert_eq!(rounds, [vec![0, 1, 2, 3], vec![1, 2, 3], vec![1, 3], vec![1]]);
        assert_eq!(told[0], Vec::<String>::new(), "one round is not stable");
        assert_eq!(told[1], ["x.stable.connectivity.broken"]);
        assert_eq!(told[2], ["x.unstable.connectivity"]);
        assert_eq!(told[3], ["x.unstable.connectivity"]);
    }

    #[test]
    fn what_was_measured_before_is_not_measured_again() {
        let mut folds = Folds::default();
        let (mut one, mut two) = (Standing::default(), Standing::default());
        one.add(&mut folds, std::iter::once(BROKEN));
        (0..2).for_each(|_| two.add(&mut folds, std::iter::once(WORKS)));
        let standings = Standings::new(schedule(2, 1), folds);
        let places = [one, two, Standing::default()].map(|it| standings.enter(it).unwrap());
        assert_eq!(standings.to_come(), 2);
        let wanted = |number| standings.wanted(Round::new(number));
        assert_eq!(wanted(0), Wanted { places: vec![places[2]], done: 2 });
        assert_eq!(wanted(1), Wanted { places: vec![places[0], places[2]], done: 1 });
        standings.begin();
        let turn = Turn { round: Round::new(1), place: places[0], forgets: false };
        assert!(standings.end(turn, std::iter::once(BROKEN)).is_empty(), "it is confirmed first");
        assert_eq!(wanted(2).places, [places[0]]);
        standings.begin();
        let turn = Turn { round: Round::new(2), ..turn };
        let told = standings.end(turn, std::iter::once(BROKEN));
        assert_eq!(told[0].as_str(), "x.stable.connectivity.broken");
    }

    #[test]
    fn whoever_waits_for_a_round_waits_no_longer_than_the_run() {
        let standings = Standings::new(schedule(2, 0), Folds::default());
        assert!(standings.wait(|| false));
        standings.begin();
        assert!(!standings.wait(|| true));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| standings.wait(|| false));
            let place = standings.enter(Standing::default()).unwrap();
            let _ = standings
                .end(Turn { round: Round::FIRST, place, forgets: false }, std::iter::empty());
            assert!(waiting.join().unwrap());
        });
    }

    proptest! {
        /// However many rounds, and whatever each of them says: a target is measured as often as was
        /// asked for, then again only after an impaired verdict, and comes to something once.
        #[test]
        fn no_target_is_measured_too_often(
            repeat in 1..5u16,
            confirm in 0..4u16,
            impaired in prop::collection::vec(prop::collection::vec(any::<bool>(), 10), 1..6),
        ) {
            let verdicts: Vec<Vec<(&str, Class)>> = impaired
                .iter()
                .map(|rounds| rounds.iter().map(|&is| if is { BROKEN } else { WORKS }).collect())
                .collect();
            let targets: Vec<&[(&'static str, Class)]> =
                verdicts.iter().map(|verdicts| &verdicts[..]).collect();
            let (rounds, told) = run(schedule(repeat, confirm), &targets);
            for (at, impaired) in impaired.iter().enumerate() {
                let measured = rounds.iter().filter(|round| round.contains(&at)).count();
                let again = impaired[usize::from(repeat) - 1..].iter().take_while(|is| **is);
                let again = again.count().min(confirm.into());
                prop_assert_eq!(measured, usize::from(repeat) + again);
                prop_assert_eq!(told[at].len(), usize::from(measured > 1));
            }
        }
    }
}
