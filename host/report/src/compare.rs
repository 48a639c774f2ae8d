//! `pathspider diff`: which targets went from which condition to which, and whether that is more than
//! chance. Targets are pairs: each is compared with itself.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use pathspider_records::Class;
use serde::Serialize;

use crate::figures::{Inputs, View, large_enough};
use crate::gather::{Context, Entry, Gathered, Groups, Side};
use crate::statistics::{Change, Share};

/// The word of a target whose verdicts on one side differ.
const SEVERAL: &str = "(several)";

/// Two sets of records, compared.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    /// The command that made it.
    pub(crate) command: Vec<String>,
    /// What was read, of both.
    pub(crate) inputs: Inputs,
    /// Fewer pairs than this are in no ranking.
    pub(crate) min: u64,
    /// The key by which groups are made.
    pub(crate) key: String,
    pub(crate) measurements: Vec<Compared>,
}

/// One measurement, compared.
#[derive(Debug, Serialize)]
pub(crate) struct Compared {
    pub(crate) name: String,
    /// Records of the first and of the second.
    pub(crate) records: [u64; 2],
    /// Targets in both.
    pub(crate) both: u64,
    /// Targets in the first alone, and in the second alone.
    pub(crate) only: [u64; 2],
    pub(crate) aspects: Vec<Pairs>,
}

/// An aspect of the targets that have a verdict on it in both.
#[derive(Debug, Serialize)]
pub(crate) struct Pairs {
    pub(crate) aspect: String,
    /// Targets with a verdict in both.
    pub(crate) pairs: u64,
    /// Targets in both with a verdict in the first alone, and in the second alone.
    pub(crate) verdict_only: [u64; 2],
    /// Pairs whose condition is another one.
    pub(crate) changed: u64,
    /// Each condition in both, and whether its change is more than chance.
    pub(crate) conditions: Vec<Both>,
    /// Which changed into which, the most frequent first.
    pub(crate) transitions: Vec<Transition>,
    /// The changes by the key's values: those with most changes first.
    pub(crate) groups: Vec<Group>,
    /// Values of the key of fewer pairs than the minimum, and their pairs.
    pub(crate) small: [u64; 2],
}

/// A condition in both.
#[derive(Debug, Serialize)]
pub(crate) struct Both {
    pub(crate) condition: String,
    pub(crate) class: Class,
    pub(crate) first: Share,
    pub(crate) second: Share,
    #[serde(flatten)]
    pub(crate) change: Change,
}

/// A change of condition.
#[derive(Debug, Serialize)]
pub(crate) struct Transition {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) targets: u64,
}

/// The pairs with one value of the key.
#[derive(Debug, Serialize)]
pub(crate) struct Group {
    pub(crate) value: String,
    pub(crate) pairs: u64,
    pub(crate) changed: u64,
    /// Those that are impaired in one alone.
    pub(crate) impaired: Change,
}

/// What decides what is compared.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) command: Vec<String>,
    pub(crate) min: u64,
}

impl Comparison {
    pub(crate) fn new(
        gathered: &Gathered,
        context: &Context,
        inputs: Inputs,
        settings: Settings,
    ) -> Comparison {
        let view = View::new(gathered, context);
        let groups = gathered.groups.first();
        let mut all: BTreeMap<u32, Tally<'_>> = BTreeMap::new();
        for (measurement, entries) in view.targets() {
            all.entry(measurement).or_insert_with(|| Tally::new(&view, groups)).add(entries);
        }
        let measurements = view
            .measurements()
            .filter_map(|(number, name)| Some(all.remove(&number)?.compared(name, settings.min)));
        let mut measurements: Vec<Compared> = measurements.collect();
        measurements.sort_by(|a, b| a.name.cmp(&b.name));
        let key = context.keys.first().map(|key| key.name.clone()).unwrap_or_default();
        Comparison { command: settings.command, inputs, min: settings.min, key, measurements }
    }
}

/// What a target is in an aspect on one side: the numbers of its conditions; `None` where several
/// verdicts differ.
type Is<'v> = Option<&'v [u32]>;

struct Tally<'v> {
    view: &'v View<'v>,
    /// The values of the key by which groups are made.
    groups: Option<&'v Groups>,
    records: [u64; 2],
    both: u64,
    only: [u64; 2],
    aspects: BTreeMap<u32, AspectTally<'v>>,
}

#[derive(Default)]
struct AspectTally<'v> {
    only: [u64; 2],
    pairs: BTreeMap<(Is<'v>, Is<'v>), u64>,
    groups: BTreeMap<u32, GroupTally>,
}

#[derive(Default)]
struct GroupTally {
    pairs: u64,
    changed: u64,
    lost: u64,
    gained: u64,
}

impl<'v> Tally<'v> {
    fn new(view: &'v View<'v>, groups: Option<&'v Groups>) -> Tally<'v> {
        Tally { view, groups, records: [0; 2], both: 0, only: [0; 2], aspects: BTreeMap::new() }
    }

    /// The group of these entries: of several, the one whose name comes first, so that the same records give
    /// the same groups.
    fn group(&self, entries: &[Entry]) -> Option<u32> {
        let known = entries.iter().map(|entry| entry.group).filter(|group| *group != Groups::NONE);
        known.min_by_key(|group| self.groups.map(|groups| groups.values.name(*group)))
    }

    /// Takes the entries of a target, the first side's first.
    fn add(&mut self, entries: &[Entry]) {
        let (a, b) = entries.split_at(entries.partition_point(|entry| entry.side == Side::A));
        self.records[0] += a.len() as u64;
        self.records[1] += b.len() as u64;
        if a.is_empty() || b.is_empty() {
            self.only[usize::from(a.is_empty())] += 1;
            return;
        }
        self.both += 1;
        let (was, is) = (self.verdicts(a), self.verdicts(b));
        let group = self.group(b).or_else(|| self.group(a)).unwrap_or(Groups::NONE);
        for (&aspect, &before) in &was {
            let tally = self.aspects.entry(aspect).or_default();
            let Some(&after) = is.get(&aspect) else {
                tally.only[0] += 1;
                continue;
            };
            *tally.pairs.entry((before, after)).or_default() += 1;
            let impaired = |is: Is<'_>| is.is_some_and(|is| self.view.class(is) == Class::Impaired);
            let of_group = tally.groups.entry(group).or_default();
            of_group.pairs += 1;
            of_group.changed += u64::from(before != after);
            // A target that is impaired now and then is counted in neither direction.
            if before.is_some() && after.is_some() {
                of_group.lost += u64::from(impaired(before) && !impaired(after));
                of_group.gained += u64::from(!impaired(before) && impaired(after));
            }
        }
        for aspect in is.keys().filter(|aspect| !was.contains_key(aspect)) {
            self.aspects.entry(*aspect).or_default().only[1] += 1;
        }
    }

    fn verdicts(&self, entries: &[Entry]) -> BTreeMap<u32, Is<'v>> {
        let mut verdicts: BTreeMap<u32, Is<'v>> = BTreeMap::new();
        for facts in entries.iter().filter_map(|entry| self.view.fact(entry.outcome)) {
            for (aspect, conditions) in &facts.aspects {
                let is = verdicts.entry(*aspect).or_insert(Some(conditions));
                if *is != Some(&**conditions) {
                    *is = None;
                }
            }
        }
        verdicts
    }

    fn compared(self, name: &str, min: u64) -> Compared {
        let (view, groups) = (self.view, self.groups);
        let aspects = self.aspects.into_iter();
        let pairs = aspects.map(|(aspect, tally)| tally.pairs(view, aspect, groups, min));
        let mut aspects: Vec<Pairs> = pairs.collect();
        aspects.sort_by(|a, b| a.aspect.cmp(&b.aspect));
        Compared {
            name: name.to_owned(),
            records: self.records,
            both: self.both,
            only: self.only,
            aspects,
        }
    }
}

impl<'v> AspectTally<'v> {
    fn pairs(self, view: &View<'_>, aspect: u32, groups: Option<&Groups>, min: u64) -> Pairs {
        let pairs: u64 = self.pairs.values().sum();
        let mut conditions: BTreeMap<u32, [u64; 4]> = BTreeMap::new();
        let mut transitions: BTreeMap<(String, String), u64> = BTreeMap::new();
        for (&(before, after), &targets) in &self.pairs {
            let (was, is) = (before.unwrap_or_default(), after.unwrap_or_default());
            let is_certain = before.is_some() && after.is_some();
            for &condition in was {
                let counts = conditions.entry(condition).or_default();
                counts[0] += targets;
                counts[2] += if is_certain && !is.contains(&condition) { targets } else { 0 };
            }
            for &condition in is {
                let counts = conditions.entry(condition).or_default();
                counts[1] += targets;
                counts[3] += if is_certain && !was.contains(&condition) { targets } else { 0 };
            }
            if before != after {
                let named = |is: Is<'_>| is.map_or_else(|| SEVERAL.to_owned(), |is| view.words(is));
                let names = (named(before), named(after));
                *transitions.entry(names).or_default() += targets;
            }
        }
        let changed = transitions.values().sum();
        let both = |(number, [first, second, lost, gained]): (u32, [u64; 4])| {
            let condition = view.condition(number)?;
            Some(Both {
                condition: condition.name.to_owned(),
                class: condition.class,
                first: Share::of(first, pairs),
                second: Share::of(second, pairs),
                change: Change::of(lost, gained),
            })
        };
        let mut conditions: Vec<Both> = conditions.into_iter().filter_map(both).collect();
        conditions.sort_by(|a, b| {
            b.second.cases.cmp(&a.second.cases).then_with(|| a.condition.cmp(&b.condition))
        });
        let transition = |((from, to), targets)| Transition { from, to, targets };
        let mut transitions: Vec<Transition> = transitions.into_iter().map(transition).collect();
        transitions.sort_by_key(|transition| Reverse(transition.targets));
        let (groups, small) = rank(self.groups, groups, min);
        Pairs {
            aspect: view.aspect(aspect).to_owned(),
            pairs,
            verdict_only: self.only,
            changed,
            conditions,
            transitions,
            groups,
            small,
        }
    }
}

fn rank(
    mut tallies: BTreeMap<u32, GroupTally>,
    groups: Option<&Groups>,
    min: u64,
) -> (Vec<Group>, [u64; 2]) {
    let Some(groups) = groups else { return (Vec::new(), [0, 0]) };
    tallies.remove(&Groups::NONE);
    let (tallies, small) = large_enough(tallies, min, |tally| tally.pairs);
    let group = |(value, tally): (u32, GroupTally)| Group {
        value: groups.values.name(value).to_owned(),
        pairs: tally.pairs,
        changed: tally.changed,
        impaired: Change::of(tally.lost, tally.gained),
    };
    let mut ranked: Vec<Group> = tallies.into_iter().map(group).collect();
    ranked.sort_by(|a, b| {
        let share = |group: &Group| group.changed as f64 / group.pairs as f64;
        share(b)
            .total_cmp(&share(a))
            .then(b.pairs.cmp(&a.pairs))
            .then_with(|| a.value.cmp(&b.value))
    });
    (ranked, small)
}
