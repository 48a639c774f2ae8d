//! Targets that were measured several times: whether they stay what they are (rounds), and whether that
//! depends on the path (vantage points). The words are those of the Path Transparency Observatory.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use pathspider_records::Class;
use serde::Serialize;

use super::ByMeasurement;
use super::view::{View, join};
use crate::gather::State;

/// What of an aspect is stable, among targets that were measured several times from one place.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Stability {
    pub(crate) aspect: String,
    /// Targets with several verdicts, counted once for each place.
    pub(crate) targets: u64,
    /// How many have each condition.
    pub(crate) conditions: BTreeMap<String, u64>,
}

/// What of an aspect is the same from everywhere, among targets that were measured from several places.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Multipoint {
    pub(crate) aspect: String,
    /// Targets whose verdicts from several places can be compared.
    pub(crate) targets: u64,
    /// Targets with verdicts from several places, if at most one verdict says something.
    pub(crate) not_comparable: u64,
    /// How many have each condition.
    pub(crate) conditions: BTreeMap<String, u64>,
}

/// One measurement of a target: from where, and what came of it.
pub(super) type Found = (u32, u32);

/// How many targets of each measurement have the same. Many do, so what follows from it is found out once.
pub(super) type Alike = BTreeMap<u32, HashMap<Vec<Found>, u64, State>>;

pub(super) fn alike(view: &View<'_>) -> Alike {
    let mut all = Alike::new();
    let mut found: Vec<Found> = Vec::new();
    for (measurement, entries) in view.targets() {
        found.clear();
        found.extend(entries.iter().map(|entry| (entry.vantage, entry.outcome)));
        let alike = all.entry(measurement).or_default();
        match alike.get_mut(&found) {
            Some(targets) => *targets += 1,
            None => {
                alike.insert(found.clone(), 1);
            }
        }
    }
    all
}

/// How many targets a measurement has.
pub(super) fn targets(alike: &Alike, measurement: u32) -> u64 {
    alike.get(&measurement).map_or(0, |alike| alike.values().sum())
}

/// What a target is in one aspect, from one place: the words of each verdict.
type Words<'v> = BTreeMap<u32, Vec<&'v [u32]>>;

fn words<'v>(view: &'v View<'_>, found: &[Found]) -> Words<'v> {
    let mut words = Words::new();
    for facts in found.iter().filter_map(|(_, outcome)| view.fact(*outcome)) {
        for (aspect, conditions) in &facts.aspects {
            words.entry(*aspect).or_default().push(conditions);
        }
    }
    words
}

/// Whether what was found is a value.
fn has_value(view: &View<'_>, conditions: &[u32]) -> bool {
    let mut found = conditions.iter().filter_map(|&number| view.condition(number));
    found.any(|condition| condition.name.contains(':'))
}

/// Which aspects are stable.
pub(super) fn stability(view: &View<'_>, alike: &Alike) -> ByMeasurement<Stability> {
    let mut found: BTreeMap<(u32, u32), BTreeMap<String, u64>> = BTreeMap::new();
    let rounds = alike.iter().flat_map(|(measurement, alike)| {
        let targets = alike
            .iter()
            .flat_map(|(found, targets)| by_place(found).map(move |rounds| (rounds, *targets)));
        targets.map(move |(rounds, targets)| (*measurement, rounds, targets))
    });
    for (measurement, rounds, targets) in rounds.filter(|(_, rounds, _)| rounds.len() > 1) {
        for (aspect, verdicts) in words(view, rounds) {
            let [first_verdict, others @ ..] = &verdicts[..] else { continue };
            if others.is_empty() {
                continue;
            }
            let name = view.aspect(aspect);
            let words = view.words(first_verdict);
            let condition = if others.iter().any(|other| other != first_verdict) {
                join(name, "unstable", None)
            } else if has_value(view, first_verdict) {
                // As the run says it in the record of the last round.
                format!("{}:{words}", join(name, "stable", None))
            } else {
                join(name, "stable", Some(&words))
            };
            let counts = found.entry((measurement, aspect)).or_default();
            *counts.entry(condition).or_default() += targets;
        }
    }
    let stability = |aspect: u32, conditions: BTreeMap<String, u64>| Stability {
        aspect: view.aspect(aspect).to_owned(),
        targets: conditions.values().sum(),
        conditions,
    };
    let found = found.into_iter();
    by_measurement(
        found.map(|((measurement, aspect), of)| (measurement, stability(aspect, of))),
        |of| &of.aspect,
    )
}

/// What of one target is from one place.
fn by_place(found: &[Found]) -> impl Iterator<Item = &[Found]> {
    found.chunk_by(|(a, _), (b, _)| a == b)
}

/// Figures by measurement, in the order of their aspects.
fn by_measurement<T>(
    figures: impl Iterator<Item = (u32, T)>,
    aspect: impl Fn(&T) -> &str,
) -> ByMeasurement<T> {
    let mut all = ByMeasurement::new();
    for (measurement, of_aspect) in figures {
        all.entry(measurement).or_insert_with(Vec::new).push(of_aspect);
    }
    all.values_mut().for_each(|of| of.sort_by(|a, b| aspect(a).cmp(aspect(b))));
    all
}

/// What an aspect is from one place.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum From {
    /// These words, which say something.
    Conclusive(String),
    /// These words, which say nothing of the path.
    Unknown(String),
    /// Several in turn.
    Unstable,
}

/// Which aspects depend on the path.
pub(super) fn multipoint(view: &View<'_>, alike: &Alike) -> ByMeasurement<Multipoint> {
    let mut found: BTreeMap<(u32, u32), Multipoint> = BTreeMap::new();
    let targets = alike.iter().flat_map(|(measurement, alike)| {
        alike.iter().map(move |(found, targets)| (*measurement, found, *targets))
    });
    for (measurement, of_target, targets) in targets {
        // Most targets are measured from one place.
        if by_place(of_target).nth(1).is_none() {
            continue;
        }
        let mut seen: BTreeMap<u32, Vec<From>> = BTreeMap::new();
        for place in by_place(of_target) {
            for (aspect, verdicts) in words(view, place) {
                seen.entry(aspect).or_default().push(from(view, &verdicts));
            }
        }
        for (aspect, from) in seen.into_iter().filter(|(_, from)| from.len() > 1) {
            let multipoint = found.entry((measurement, aspect)).or_insert_with(|| Multipoint {
                aspect: view.aspect(aspect).to_owned(),
                targets: 0,
                not_comparable: 0,
                conditions: BTreeMap::new(),
            });
            match compare(from) {
                Some(word) => {
                    let condition = join(view.aspect(aspect), "multipoint", Some(&word));
                    multipoint.targets += targets;
                    *multipoint.conditions.entry(condition).or_default() += targets;
                }
                None => multipoint.not_comparable += targets,
            }
        }
    }
    by_measurement(found.into_iter().map(|((measurement, _), of)| (measurement, of)), |of| {
        &of.aspect
    })
}

fn from(view: &View<'_>, verdicts: &[&[u32]]) -> From {
    let [first, others @ ..] = verdicts else { return From::Unstable };
    if others.iter().any(|other| other != first) {
        return From::Unstable;
    }
    let words = view.words(first);
    match view.class(first) {
        Class::Unknown => From::Unknown(words),
        _ => From::Conclusive(words),
    }
}

/// The word for what was seen from several places; `None` where it cannot be compared. A target that
/// is offline from one place says nothing of that place's path.
fn compare(from: Vec<From>) -> Option<String> {
    if from.contains(&From::Unstable) {
        return Some("unstable".to_owned());
    }
    let conclusive = from.iter().filter(|from| matches!(from, From::Conclusive(_))).count();
    let different: BTreeSet<From> = from.into_iter().collect();
    let mut conclusive_words = different.iter().filter_map(|from| match from {
        From::Conclusive(words) => Some(words),
        _ => None,
    });
    match (conclusive_words.next(), conclusive_words.next()) {
        (Some(_), Some(_)) => Some("path_dependent".to_owned()),
        (Some(word), None) if conclusive > 1 => Some(word.clone()),
        (None, _) if different.len() == 1 => {
            different.into_iter().next().and_then(|from| match from {
                From::Unknown(words) => Some(words),
                _ => None,
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_by_place_depends_on_the_path_only_where_both_say_something() {
        let word = |word: &str| match word {
            "?" => From::Unstable,
            "offline" => From::Unknown(word.to_owned()),
            word => From::Conclusive(word.to_owned()),
        };
        for (from, expected) in [
            (&["works", "works"][..], Some("works")),
            (&["works", "broken"], Some("path_dependent")),
            (&["works", "broken", "offline"], Some("path_dependent")),
            (&["works", "works", "offline"], Some("works")),
            (&["works", "offline"], None),
            (&["offline", "offline"], Some("offline")),
            (&["works", "?"], Some("unstable")),
        ] {
            let found = compare(from.iter().copied().map(word).collect());
            assert_eq!(found.as_deref(), expected, "{from:?}");
        }
    }
}
