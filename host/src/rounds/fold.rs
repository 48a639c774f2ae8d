//! What the rounds of a target come to, in the words of the Path Transparency Observatory:
//! `ecn.stable.connectivity.broken` where all rounds with a verdict had the same, and there were two at
//! the least; `ecn.unstable.connectivity` where they had not.
//!
//! Few targets differ, so what the rounds of each had is numbered: a target costs a number.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState;
use pathspider_plugin_api::{Class, Condition};

/// The words that a fold has after the measurement's name.
const STABLE: &str = "stable";
const UNSTABLE: &str = "unstable";

/// What begins the names of the host's own conditions, which say nothing of the path.
const HOSTS: &str = "pathspider.";

/// What the rounds of a target had so far: a number in [`Folds`]. The default is nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sum(u32);

/// What was found of one aspect.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Aspect {
    name: Box<str>,
    verdict: Verdict,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Verdict {
    /// One round said this.
    Once(Box<[Word]>),
    /// Several did, and all the same.
    Stable(Box<[Word]>),
    /// Several did, and not the same.
    Unstable,
}

/// The end of a condition's name, with the sign before it: `.works`, `:1460`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Word {
    text: Box<str>,
    class: ByName,
}

/// A class, which has no order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct ByName(&'static str);

impl ByName {
    fn class(self) -> Class {
        Class::from_name(self.0).unwrap_or(Class::Unknown)
    }
}

/// All different sums, with how many targets have each: one that nobody has any more is forgotten.
#[derive(Debug, Default)]
pub(crate) struct Folds {
    kept: Vec<Kept>,
    free: Vec<u32>,
    numbers: HashMap<Arc<[Aspect]>, u32, RandomState>,
}

#[derive(Debug)]
struct Kept {
    aspects: Arc<[Aspect]>,
    targets: u32,
}

impl Folds {
    /// Adds the conditions of a target's next round.
    pub(crate) fn add<'c>(
        &mut self,
        sum: Sum,
        conditions: impl Iterator<Item = (&'c str, Class)>,
    ) -> Sum {
        let mut found: BTreeMap<&str, Vec<Word>> = BTreeMap::new();
        for (condition, class) in conditions {
            if let Some((aspect, text)) = parts(condition) {
                let word = Word { text: text.into(), class: ByName(class.name()) };
                found.entry(aspect).or_default().push(word);
            }
        }
        if found.is_empty() {
            return sum;
        }
        let mut aspects = self.aspects(sum).to_vec();
        for (name, mut words) in found {
            words.sort_unstable();
            words.dedup();
            match aspects.binary_search_by(|aspect| (*aspect.name).cmp(name)) {
                Ok(at) => aspects[at].verdict.add(&words),
                Err(at) => {
                    let verdict = Verdict::Once(words.into());
                    aspects.insert(at, Aspect { name: name.into(), verdict });
                }
            }
        }
        self.leave(sum);
        self.enter(aspects.into())
    }

    /// What the rounds come to, and forgets them: no more follow.
    pub(crate) fn close(&mut self, sum: Sum) -> Vec<Condition> {
        let conditions = self.aspects(sum).iter().flat_map(Aspect::conditions).collect();
        self.leave(sum);
        conditions
    }

    fn aspects(&self, sum: Sum) -> &[Aspect] {
        let kept = (sum.0 as usize).checked_sub(1).and_then(|at| self.kept.get(at));
        kept.map_or(&[], |kept| &kept.aspects)
    }

    fn enter(&mut self, aspects: Arc<[Aspect]>) -> Sum {
        if let Some(&at) = self.numbers.get(&aspects) {
            self.kept[at as usize].targets += 1;
            return Sum(at + 1);
        }
        let kept = Kept { aspects: Arc::clone(&aspects), targets: 1 };
        let at = match self.free.pop() {
            Some(at) => {
                self.kept[at as usize] = kept;
                at
            }
            None => {
                self.kept.push(kept);
                (self.kept.len() - 1) as u32
            }
        };
        self.numbers.insert(aspects, at);
        Sum(at + 1)
    }

    fn leave(&mut self, sum: Sum) {
        let Some(at) = sum.0.checked_sub(1) else { return };
        let kept = &mut self.kept[at as usize];
        kept.targets -= 1;
        if kept.targets == 0 {
            self.numbers.remove(&kept.aspects);
            kept.aspects = Arc::from([]);
            self.free.push(at);
        }
    }
}

impl Verdict {
    fn add(&mut self, words: &[Word]) {
        *self = match std::mem::replace(self, Verdict::Unstable) {
            Verdict::Once(before) | Verdict::Stable(before) if *before == *words => {
                Verdict::Stable(before)
            }
            _ => Verdict::Unstable,
        };
    }
}

impl Aspect {
    /// A condition for each word; none where one round alone said something.
    fn conditions(&self) -> Vec<Condition> {
        match &self.verdict {
            Verdict::Once(_) => Vec::new(),
            Verdict::Stable(words) => {
                let name = joined(&self.name, STABLE);
                let said = |word: &Word| made(format!("{name}{}", word.text), word.class.class());
                words.iter().map(said).collect()
            }
            Verdict::Unstable => vec![made(joined(&self.name, UNSTABLE), Class::Unknown)],
        }
    }
}

/// Takes a condition apart: what it is about, and what was found of it. Of one with a value, the whole
/// name is what it is about. `None` of the host's own.
fn parts(condition: &str) -> Option<(&str, &str)> {
    if condition.starts_with(HOSTS) {
        return None;
    }
    let end = condition.find(':').or_else(|| condition.rfind('.'))?;
    Some(condition.split_at(end))
}

/// `ecn.connectivity` with `stable` is `ecn.stable.connectivity`.
fn joined(aspect: &str, with: &str) -> String {
    match aspect.split_once('.') {
        Some((measurement, rest)) => format!("{measurement}.{with}.{rest}"),
        None => format!("{aspect}.{with}"),
    }
}

/// A condition of the host's making.
fn made(text: String, class: Class) -> Condition {
    Condition::declare("<condition>", class, "").of(text)
}

/// Whether a condition is what several rounds come to.
pub(crate) fn is_fold(condition: &str) -> bool {
    unfolded(condition).is_some()
}

/// The condition that all rounds had, or the aspect in which they differ, and whether they do.
pub(crate) fn unfolded(condition: &str) -> Option<(String, bool)> {
    let (measurement, rest) = condition.split_once('.')?;
    let (word, rest) = rest.split_at(rest.find(['.', ':']).unwrap_or(rest.len()));
    match word {
        STABLE => Some((format!("{measurement}{rest}"), false)),
        UNSTABLE => Some((format!("{measurement}{rest}"), true)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn class(condition: &str) -> Class {
        if condition.ends_with("broken") { Class::Impaired } else { Class::Good }
    }

    /// What these rounds come to: the conditions of each, joined by blanks.
    fn fold(rounds: &[&str]) -> Vec<String> {
        let mut folds = Folds::default();
        let sum = rounds.iter().fold(Sum::default(), |sum, round| {
            folds.add(sum, round.split_whitespace().map(|text| (text, class(text))))
        });
        let told = folds.close(sum).iter().map(|told| told.as_str().to_owned()).collect();
        assert!(folds.numbers.is_empty(), "{folds:?}");
        told
    }

    #[test]
    fn rounds_that_agree_are_stable_and_others_are_not() {
        let (works, broken) = ("ecn.connectivity.works", "ecn.connectivity.broken");
        assert_eq!(fold(&[broken, broken]), ["ecn.stable.connectivity.broken"]);
        assert_eq!(fold(&[broken, works, broken]), ["ecn.unstable.connectivity"]);
        assert_eq!(
            fold(&[
                "ecn.connectivity.works ecn.negotiation.succeeded",
                "ecn.negotiation.succeeded ecn.connectivity.broken",
            ]),
            ["ecn.unstable.connectivity", "ecn.stable.negotiation.succeeded"]
        );
    }

    #[test]
    fn one_verdict_is_not_stable() {
        assert!(fold(&["ecn.connectivity.broken"]).is_empty());
        assert!(fold(&["", "ecn.connectivity.broken", "pathspider.not_observed"]).is_empty());
        assert!(fold(&["pathspider.not_observed", "pathspider.not_observed"]).is_empty());
        // A round without a verdict takes nothing from the others.
        assert_eq!(
            fold(&["a.b.works", "pathspider.not_sent:1", "a.b.works"]),
            ["a.stable.b.works"]
        );
    }

    #[test]
    fn a_value_is_what_was_found_of_its_name() {
        assert_eq!(fold(&["mss.remote.value:1460"; 2]), ["mss.stable.remote.value:1460"]);
        assert_eq!(
            fold(&["mss.remote.value:1460", "mss.remote.value:1400"]),
            ["mss.unstable.remote.value"]
        );
        assert_eq!(fold(&["a.x a.y", "a.y a.x"]), ["a.stable.x", "a.stable.y"]);
        assert_eq!(fold(&["a.x a.y", "a.y"]), ["a.unstable"]);
    }

    #[test]
    fn a_fold_has_the_class_of_what_is_stable() {
        let mut folds = Folds::default();
        let broken = || std::iter::once(("a.b.broken", Class::Impaired));
        let once = folds.add(Sum::default(), broken());
        let twice = folds.add(once, broken());
        assert_eq!(folds.close(twice)[0].class(), Class::Impaired);
        let once = folds.add(Sum::default(), broken());
        let other = folds.add(once, std::iter::once(("a.b.works", Class::Good)));
        assert_eq!(folds.close(other)[0].class(), Class::Unknown);
    }

    #[test]
    fn a_fold_names_what_was_folded() {
        for (fold, expected) in [
            ("ecn.stable.connectivity.broken", Some(("ecn.connectivity.broken", false))),
            ("ecn.unstable.connectivity", Some(("ecn.connectivity", true))),
            ("mss.stable.remote.value:1.2", Some(("mss.remote.value:1.2", false))),
            ("a.unstable", Some(("a", true))),
            ("ecn.connectivity.stable", None),
            ("odd", None),
        ] {
            let found = unfolded(fold);
            assert_eq!(found.as_ref().map(|(text, differ)| (&**text, *differ)), expected);
        }
    }

    /// What the rounds come to by the rule itself.
    fn by_the_rule(rounds: &[Vec<(u8, u8)>]) -> Vec<String> {
        let mut aspects: BTreeMap<u8, Vec<Vec<u8>>> = BTreeMap::new();
        for round in rounds {
            let mut words: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
            round.iter().for_each(|&(aspect, word)| words.entry(aspect).or_default().push(word));
            for (aspect, mut words) in words {
                words.sort_unstable();
                words.dedup();
                aspects.entry(aspect).or_default().push(words);
            }
        }
        let told = |(aspect, verdicts): (u8, Vec<Vec<u8>>)| match &verdicts[..] {
            [_] => Vec::new(),
            [first, others @ ..] if others.iter().all(|other| other == first) => {
                first.iter().map(|word| format!("m.stable.a{aspect}.w{word}")).collect()
            }
            _ => vec![format!("m.unstable.a{aspect}")],
        };
        aspects.into_iter().flat_map(told).collect()
    }

    proptest! {
        /// Of many targets whose rounds come in any order, each comes to what its own say, and nothing
        /// is left.
        #[test]
        fn each_target_comes_to_what_its_own_rounds_say(
            targets in prop::collection::vec(
                prop::collection::vec(prop::collection::vec((0..3u8, 0..3u8), 0..4), 0..6), 0..8),
            order in prop::collection::vec(any::<prop::sample::Index>(), 60),
        ) {
            let mut folds = Folds::default();
            let mut sums = vec![Sum::default(); targets.len()];
            let mut next = vec![0; targets.len()];
            let mut order = order.into_iter().cycle();
            loop {
                let open: Vec<usize> =
                    (0..targets.len()).filter(|&at| next[at] < targets[at].len()).collect();
                if open.is_empty() {
                    break;
                }
                let at = open[order.next().unwrap().index(open.len())];
                let texts: Vec<String> = targets[at][next[at]]
                    .iter()
                    .map(|(aspect, word)| format!("m.a{aspect}.w{word}"))
                    .collect();
                let conditions = texts.iter().map(|text| (&**text, Class::Good));
                sums[at] = folds.add(sums[at], conditions);
                next[at] += 1;
            }
            for (sum, rounds) in sums.into_iter().zip(&targets) {
                let told = folds.close(sum);
                let told: Vec<&str> = told.iter().map(Condition::as_str).collect();
                prop_assert_eq!(told, by_the_rule(rounds));
            }
            prop_assert!(folds.numbers.is_empty() && folds.free.len() == folds.kept.len());
        }
    }
}
