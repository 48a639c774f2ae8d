//! Targets that answered one configuration alone, in either sense: a path that harms what is
//! measured fails the others, and never the baseline alone. Where both kinds come, it is chance.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

/// Targets that failed in the baseline alone, before anything is said of chance.
const FEWEST: u64 = 3;

/// Of this many targets that failed in the baseline alone or in others alone, one at least failed in the
/// baseline. A table that is full refuses what comes last, so chance need not treat both alike.
const ONE_OF: u64 = 11;

/// The counts, by their keys in the metadata.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Chance {
    /// Targets that the path carried the baseline to, and another configuration not.
    pub only_baseline: u64,
    /// Targets that the path carried another configuration to, and the baseline not.
    pub only_others: u64,
    /// How many connections of these failed that began in each second, by its text.
    #[serde(skip)]
    seconds: BTreeMap<Box<str>, u64>,
}

impl Chance {
    /// Counts the connections of one target, the baseline's first: whether the path carried each, and
    /// when it began (RFC 3339).
    pub(crate) fn count<'c>(
        &mut self,
        connections: impl Iterator<Item = (bool, Option<&'c str>)> + Clone,
    ) {
        let Some((first, _)) = connections.clone().next() else { return };
        if !connections.clone().any(|(is_carried, _)| is_carried != first) {
            return;
        }
        if first {
            self.only_baseline += 1
        } else {
            self.only_others += 1
        }
        for (_, began) in connections.filter(|(is_carried, _)| !is_carried) {
            // To the second.
            let Some(began) = began.and_then(|text| text.get(..19)) else { continue };
            match self.seconds.get_mut(began) {
                Some(count) => *count += 1,
                None => drop(self.seconds.insert(began.into(), 1)),
            }
        }
    }

    /// What to say of it after a run of this length; `None` where nothing points to chance.
    pub fn hint(&self, duration: Duration) -> Option<String> {
        let Chance { only_baseline, only_others, seconds } = self;
        if *only_others < FEWEST || only_others * ONE_OF < only_others + only_baseline {
            return None;
        }
        let total: u64 = seconds.values().sum();
        let mut counts: Vec<u64> = seconds.values().copied().collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        let mut most = 0;
        let within = counts.iter().take_while(|&&count| {
            let goes_on = most * 5 < total * 4;
            most += if goes_on { count } else { 0 };
            goes_on
        });
        let (within, lasted) = (within.count() as u64, duration.as_secs().max(1));
        let bursts = if within * 4 <= lasted {
            format!(", in bursts ({most} of {total} in {within} of {lasted} seconds)")
        } else {
            String::new()
        };
        Some(format!(
            "{only_baseline} targets were reached by the baseline and not by all others, and \
             {only_others} the other way round{bursts}: so connections fail by chance, as on a lossy \
             path, or before a box whose table of connections is full. Measure them again with fewer \
             connections (-w, --rate)"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(targets: impl Iterator<Item = (bool, bool, u64)>) -> Chance {
        let mut chance = Chance::default();
        for (a, b, second) in targets {
            let began = format!("2026-01-01T00:00:{second:02}.5Z");
            chance.count([(a, Some(&*began)), (b, Some(&*began))].into_iter());
        }
        chance
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_path_that_harms_what_is_measured_is_no_chance() {
        let chance = of((0..100).map(|n| (true, n % 2 == 0, n % 60)));
        assert_eq!((chance.only_baseline, chance.only_others), (50, 0));
        assert_eq!(chance.hint(MINUTE), None);
        // Nor are two of a thousand that were lost.
        let chance = of((0..100).map(|n| (n > 1, n % 2 == 0 || n == 1, n % 60)));
        assert_eq!(chance.hint(MINUTE), None);
        assert_eq!(of([(false, false, 0), (true, true, 0)].into_iter()), Chance::default());
        // A few that were lost, beside many that the path harms.
        let chance = of((0..100).map(|n| (n >= 5, n < 5, n % 60)));
        assert_eq!((chance.only_baseline, chance.only_others), (95, 5));
        assert_eq!(chance.hint(MINUTE), None);
    }

    #[test]
    fn chance_need_not_treat_both_alike() {
        let chance = of((0..30).map(|n| (n >= 5, n < 5, n)));
        let hint = chance.hint(MINUTE).unwrap();
        assert!(hint.starts_with("25 targets") && hint.contains("and 5 the other way"), "{hint}");
    }

    #[test]
    fn failures_of_both_kinds_are_chance_in_bursts_or_not() {
        let spread = of((0..60).map(|n| (n % 2 == 0, n % 2 == 1, n)));
        let hint = spread.hint(MINUTE).unwrap();
        assert!(hint.starts_with("30 targets were reached by the baseline"), "{hint}");
        assert!(hint.contains("30 the other way round: so"), "{hint}");
        let bursts = of((0..60).map(|n| (n % 2 == 0, n % 2 == 1, n % 3)));
        let hint = bursts.hint(MINUTE).unwrap();
        assert!(hint.contains("in bursts (60 of 60 in 3 of 60 seconds)"), "{hint}");
    }
}
