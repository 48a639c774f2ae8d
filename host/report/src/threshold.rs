//! `--fail-if`: a limit for a condition's share or number, for monitoring.

use std::fmt;
use std::str::FromStr;

use pathspider_records::condition::name;

use crate::figures::{Aspect, ConditionShare};

/// A limit, such as `ecn.connectivity.broken > 5%`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Threshold {
    condition: String,
    relation: Relation,
    limit: f64,
    is_share: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Above,
    AtLeast,
    Below,
    AtMost,
}

/// In the order in which they are looked for.
const RELATIONS: [(&str, Relation); 4] = [
    (">=", Relation::AtLeast),
    ("<=", Relation::AtMost),
    (">", Relation::Above),
    ("<", Relation::Below),
];

/// What a limit says of figures.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    /// It is kept.
    Kept(String),
    /// It is passed.
    Passed(String),
    /// Nothing is there to judge by.
    NoCases(String),
}

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Threshold, String> {
        let example = "write it as 'ecn.connectivity.broken > 5%', or with a number of cases";
        let found = RELATIONS.iter().find_map(|&(sign, relation)| {
            text.split_once(sign)
                .map(|(condition, limit)| (condition.trim(), relation, limit.trim()))
        });
        let (condition, relation, limit) =
            found.ok_or_else(|| format!("it has no limit: {example}"))?;
        if condition.is_empty() || condition.contains(char::is_whitespace) {
            return Err(format!("it names no condition: {example}"));
        }
        let (number, is_share) = match limit.strip_suffix('%') {
            Some(number) => (number.trim_end(), true),
            None => (limit, false),
        };
        let limit: f64 =
            number.parse().map_err(|_| format!("{limit:?} is no number: {example}"))?;
        if !limit.is_finite() || limit < 0.0 || (is_share && limit > 100.0) {
            return Err(format!("{number} is no limit that can be passed: {example}"));
        }
        Ok(Threshold { condition: condition.to_owned(), relation, limit, is_share })
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = RELATIONS.iter().find(|(_, relation)| *relation == self.relation);
        let (sign, unit) =
            (sign.map_or("", |(sign, _)| sign), if self.is_share { "%" } else { "" });
        write!(f, "{} {sign} {}{unit}", self.condition, self.limit)
    }
}

impl Threshold {
    /// Judges the aspects of all measurements. A condition without a value stands for any value of it.
    /// `is_misspelt` says whether no measurement knows a condition that no record has.
    pub(crate) fn judge<'a>(
        &self,
        aspects: impl Iterator<Item = &'a Aspect>,
        is_misspelt: impl Fn(&str) -> bool,
    ) -> Verdict {
        let aspects: Vec<&Aspect> =
            aspects.filter(|aspect| self.is_about(&aspect.aspect)).collect();
        let verdicts: u64 = aspects.iter().map(|aspect| aspect.verdicts).sum();
        let conditions = aspects.iter().flat_map(|aspect| &aspect.conditions);
        let cases: u64 =
            conditions.filter(|condition| self.is(condition)).map(|it| it.share.cases).sum();
        if verdicts == 0 {
            return Verdict::NoCases(format!("{self}: no record has a verdict on it"));
        }
        if cases == 0 && is_misspelt(&self.condition) {
            return Verdict::NoCases(format!("{self}: the measurement has no such condition"));
        }
        let value =
            if self.is_share { 100.0 * cases as f64 / verdicts as f64 } else { cases as f64 };
        let is_passed = match self.relation {
            Relation::Above => value > self.limit,
            Relation::AtLeast => value >= self.limit,
            Relation::Below => value < self.limit,
            Relation::AtMost => value <= self.limit,
        };
        let said = if self.is_share {
            format!("{self}: {value:.2}%, {cases} of {verdicts} verdicts")
        } else {
            format!("{self}: {cases} of {verdicts} verdicts")
        };
        if is_passed { Verdict::Passed(said) } else { Verdict::Kept(said) }
    }

    /// Whether an aspect's verdicts are those among which the condition is one.
    fn is_about(&self, aspect: &str) -> bool {
        let name = name(&self.condition);
        let has_value = name.len() < self.condition.len();
        aspect == name || (!has_value && name.rsplit_once('.').is_some_and(|(of, _)| of == aspect))
    }

    fn is(&self, condition: &ConditionShare) -> bool {
        condition.condition == self.condition || name(&condition.condition) == self.condition
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use pathspider_records::{Class, Parts};

    use super::*;
    use crate::statistics::Share;

    fn aspect(name: &str, verdicts: u64, conditions: &[(&str, u64)]) -> Aspect {
        let condition = |&(condition, cases): &(&str, u64)| ConditionShare {
            condition: condition.to_owned(),
            word: Parts::of(condition).word.to_owned(),
            class: Class::Unknown,
            share: Share::of(cases, verdicts),
        };
        Aspect {
            aspect: name.to_owned(),
            verdicts,
            without: BTreeMap::new(),
            conditions: conditions.iter().map(condition).collect(),
            impaired: Share::of(0, 0),
        }
    }

    fn judge(text: &str) -> Verdict {
        let aspects = [
            aspect(
                "x.connectivity",
                200,
                &[("x.connectivity.works", 188), ("x.connectivity.broken", 12)],
            ),
            aspect("x.mark", 10, &[("x.mark:0", 4), ("x.mark:46", 6)]),
        ];
        let is_misspelt = |condition: &str| condition.ends_with("brokn");
        text.parse::<Threshold>().unwrap().judge(aspects.iter(), is_misspelt)
    }

    #[test]
    fn limits_are_of_shares_or_of_cases() {
        for passed in [
            "x.connectivity.broken > 5%",
            "x.connectivity.broken>=6%",
            "x.connectivity.works < 95 %",
            "x.connectivity.broken > 11",
            "x.mark:0 >= 40%",
            "x.mark > 99%",
            "x.connectivity.dropped <= 0",
        ] {
            assert!(matches!(judge(passed), Verdict::Passed(_)), "{passed}: {:?}", judge(passed));
        }
        for kept in ["x.connectivity.broken > 6%", "x.connectivity.broken > 12", "x.mark:46 < 60%"]
        {
            assert!(matches!(judge(kept), Verdict::Kept(_)), "{kept}: {:?}", judge(kept));
        }
        for unknown in ["y.connectivity.broken > 5%", "x.connectivity.brokn > 5%"] {
            assert!(matches!(judge(unknown), Verdict::NoCases(_)), "{unknown}");
        }
        let Verdict::Passed(said) = judge("x.connectivity.broken > 5%") else {
            panic!("it is kept")
        };
        assert_eq!(said, "x.connectivity.broken > 5%: 6.00%, 12 of 200 verdicts");
    }

    #[test]
    fn what_is_no_limit_is_refused() {
        for text in ["x", "> 5%", "x > y", "x > 101%", "x > -1", "a b > 5", "x = 5", "x > nan", ""]
        {
            assert!(text.parse::<Threshold>().is_err(), "{text}");
        }
    }
}
