//! Numbers for names, and for outcomes: what repeats in a million records is kept once.

use hashbrown::{Equivalent, HashMap};
use indexmap::{IndexMap, IndexSet};

use super::State;

/// The most names of one sort. Those beyond are one, so that no input can take all memory.
const MOST_NAMES: usize = 1 << 17;

/// The most outcomes. Those beyond count without their conditions.
const MOST_OUTCOMES: usize = 1 << 18;

/// The name of all names beyond the limit.
pub(crate) const OTHERS: &str = "(others)";

/// Names, and their numbers.
#[derive(Debug)]
pub(crate) struct Interner {
    names: IndexSet<String, State>,
}

impl Interner {
    pub(super) fn new(state: &State) -> Interner {
        Interner { names: IndexSet::with_hasher(state.clone()) }
    }

    /// The number of a name that is known already.
    pub(super) fn find(&self, name: &str) -> Option<u32> {
        self.names.get_index_of(name).map(|number| number as u32)
    }

    /// The number of a name.
    pub(super) fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.find(name) {
            return number;
        }
        let name = if self.names.len() < MOST_NAMES { name } else { OTHERS };
        self.names.insert_full(name.to_owned()).0 as u32
    }

    /// The name of a number.
    pub(crate) fn name(&self, number: u32) -> &str {
        self.names.get_index(number as usize).map_or("", String::as_str)
    }

    /// All names, in the order of their numbers.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// Adds names; returns their numbers here.
    pub(super) fn merge<'n>(&mut self, names: impl Iterator<Item = &'n str>) -> Vec<u32> {
        names.map(|name| self.number(name)).collect()
    }
}

/// All that figures need of a record, but for its target and groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Outcome<'a> {
    /// The measurement's number.
    pub(crate) measurement: u32,
    /// The numbers of its conditions, in order.
    pub(crate) conditions: &'a [u32],
    /// Whether the plugin failed for it.
    pub(crate) is_error: bool,
    /// Whether it has an address.
    pub(crate) has_address: bool,
    /// Whether the baseline's connection was carried, as far as its result is there.
    pub(crate) is_answered: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Kept {
    measurement: u32,
    conditions: Box<[u32]>,
    is_error: bool,
    has_address: bool,
    is_answered: Option<bool>,
}

impl Kept {
    fn outcome(&self) -> Outcome<'_> {
        Outcome {
            measurement: self.measurement,
            conditions: &self.conditions,
            is_error: self.is_error,
            has_address: self.has_address,
            is_answered: self.is_answered,
        }
    }
}

impl Equivalent<Kept> for Outcome<'_> {
    fn equivalent(&self, kept: &Kept) -> bool {
        *self == kept.outcome()
    }
}

/// All outcomes, and how many records have each.
#[derive(Debug)]
pub(crate) struct Outcomes {
    counts: IndexMap<Kept, u64, State>,
    /// Records whose conditions were left out.
    pub(crate) crowded: u64,
}

impl Outcomes {
    pub(super) fn new(state: &State) -> Outcomes {
        Outcomes { counts: IndexMap::with_hasher(state.clone()), crowded: 0 }
    }

    /// Counts a record; returns its outcome's number.
    pub(super) fn count(&mut self, outcome: Outcome<'_>) -> u32 {
        self.add(outcome, 1)
    }

    fn add(&mut self, outcome: Outcome<'_>, count: u64) -> u32 {
        if let Some((number, _, there)) = self.counts.get_full_mut(&outcome) {
            *there += count;
            return number as u32;
        }
        let is_crowded = self.counts.len() >= MOST_OUTCOMES && !outcome.conditions.is_empty();
        if is_crowded {
            self.crowded += count;
            return self.add(Outcome { conditions: &[], ..outcome }, count);
        }
        let kept = Kept {
            measurement: outcome.measurement,
            conditions: outcome.conditions.into(),
            is_error: outcome.is_error,
            has_address: outcome.has_address,
            is_answered: outcome.is_answered,
        };
        self.counts.insert_full(kept, count).0 as u32
    }

    /// All outcomes with their counts, in the order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Outcome<'_>, u64)> {
        self.counts.iter().map(|(kept, &count)| (kept.outcome(), count))
    }

    /// Adds another's outcomes; returns their numbers here.
    pub(super) fn merge(
        &mut self,
        other: Outcomes,
        measurements: &[u32],
        conditions: &[u32],
    ) -> Vec<u32> {
        self.crowded += other.crowded;
        let at = |map: &[u32], id: u32| map.get(id as usize).copied().unwrap_or(id);
        let mut numbers = Vec::with_capacity(other.counts.len());
        for (kept, count) in other.counts {
            let mut translated: Vec<u32> =
                kept.conditions.iter().map(|&id| at(conditions, id)).collect();
            translated.sort_unstable();
            translated.dedup();
            let outcome = Outcome {
                measurement: at(measurements, kept.measurement),
                conditions: &translated,
                ..kept.outcome()
            };
            numbers.push(self.add(outcome, count));
        }
        numbers
    }
}

/// How many records have each pair of a value and an outcome.
pub(super) type Pairs = HashMap<(u32, u32), u64, State>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_two_threads_become_one() {
        let state = State::default();
        let (mut a, mut b) = (Interner::new(&state), Interner::new(&state));
        assert_eq!([a.number("x"), a.number("y"), a.number("x")], [0, 1, 0]);
        assert_eq!([b.number("z"), b.number("y")], [0, 1]);
        assert_eq!(a.merge(b.names()), [2, 1]);
        assert_eq!(a.names().collect::<Vec<_>>(), ["x", "y", "z"]);

        let outcome = |conditions| Outcome {
            measurement: 0,
            conditions,
            is_error: false,
            has_address: true,
            is_answered: None,
        };
        let (mut mine, mut theirs) = (Outcomes::new(&state), Outcomes::new(&state));
        assert_eq!(mine.count(outcome(&[1, 2])), 0);
        assert_eq!(theirs.count(outcome(&[])), 0);
        assert_eq!(theirs.count(outcome(&[0, 1])), 1);
        // What is 0 there is 2 here.
        assert_eq!(mine.merge(theirs, &[0], &[2, 1]), [1, 0]);
        let counts: Vec<u64> = mine.iter().map(|(_, count)| count).collect();
        assert_eq!(counts, [2, 1]);
    }

    #[test]
    fn names_without_end_take_bounded_memory() {
        let mut names = Interner::new(&State::default());
        for number in 0..MOST_NAMES + 100 {
            names.number(&number.to_string());
        }
        assert_eq!(names.len(), MOST_NAMES + 1);
        assert_eq!(names.name(MOST_NAMES as u32), OTHERS);
    }
}
