//! What the rounds of one measurement of one target come to: each condition with how many rounds had
//! it, and from all of them ✓, ✗ or ?.

use std::collections::{BTreeMap, BTreeSet};

use pathspider_plugin_api::{Class, ConditionInfo, Record, State, Value, carriage};
use pathspider_records::condition::{Parts, Remark};
use pathspider_records::names;
use serde::Serialize;

use crate::rounds::is_fold;

/// So many rounds have to say the same, where there are as many: one lost packet is no impairment.
const ENOUGH: usize = 2;

/// What a measurement comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// ✗: all rounds found that the path impairs it.
    Impaired,
    /// ?: no verdict, or not in all rounds the same.
    Unknown,
    /// ✓: all rounds found that the path carries it.
    Good,
    /// It made no connection to this target.
    NotApplicable,
}

/// A condition of a target, or several of the same meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) conditions: Vec<String>,
    #[serde(serialize_with = "by_name")]
    pub(super) class: Class,
    pub(super) meaning: String,
    /// Rounds that had it.
    pub(super) rounds: usize,
    /// Rounds that said anything of what it is about.
    pub(super) of: usize,
}

fn by_name<S: serde::Serializer>(class: &Class, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(class.name())
}

impl Finding {
    /// Whether all rounds that said anything said this, and they were enough.
    fn is_stable(&self, asked: usize) -> bool {
        self.rounds == self.of && self.of >= ENOUGH.min(asked)
    }
}

/// The rounds of one measurement of one target.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    /// The conditions of each round, without those that all rounds come to.
    conditions: BTreeMap<u64, BTreeSet<String>>,
    /// Whether every connection was left out by the measurement.
    is_skipped: bool,
    /// Why the measurement itself failed.
    pub(super) error: Option<String>,
    /// The last record.
    pub(super) last: Record,
}

impl Rounds {
    pub(super) fn add(&mut self, record: Record) {
        let round = record.u64(names::ROUND).unwrap_or_default();
        let said = record.get(names::CONDITIONS).and_then(Value::as_list).unwrap_or_default();
        let said = said.iter().filter_map(Value::as_str).filter(|text| !is_fold(text));
        self.is_skipped = was_skipped(&record);
        self.conditions.entry(round).or_default().extend(said.map(str::to_owned));
        self.error = record.str(names::ERROR).map(str::to_owned);
        self.last = record;
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.conditions.len()
    }

    /// What they found, the gravest first. Conditions of one meaning that came equally often are one
    /// finding.
    pub(super) fn findings(&self, declared: &[ConditionInfo]) -> Vec<Finding> {
        let aspect = |condition: &str| Parts::of(condition).aspect.to_owned();
        let mut of: BTreeMap<String, usize> = BTreeMap::new();
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for conditions in self.conditions.values() {
            let aspects: BTreeSet<String> = conditions.iter().map(|one| aspect(one)).collect();
            aspects.into_iter().for_each(|aspect| *of.entry(aspect).or_default() += 1);
            conditions.iter().for_each(|one| *seen.entry(one).or_default() += 1);
        }
        let mut findings: Vec<(usize, Finding)> = Vec::new();
        for (condition, rounds) in seen {
            let place = declared.iter().position(|info| info.covers(condition));
            let info = place.map(|place| &declared[place]);
            let class = info.map_or(Class::Unknown, |info| info.class);
            let hosts = || Remark::of(condition).map(|remark| remark.words().to_owned());
            let meaning = info.map(|info| info.meaning.clone()).or_else(hosts).unwrap_or_default();
            let of = of.get(&aspect(condition)).copied().unwrap_or(rounds);
            let same = |(_, other): &&mut (usize, Finding)| {
                let is_told = !meaning.is_empty() && other.meaning == meaning;
                is_told && (other.class, other.rounds, other.of) == (class, rounds, of)
            };
            match findings.iter_mut().find(same) {
                Some((_, finding)) => finding.conditions.push(condition.to_owned()),
                None => {
                    let conditions = vec![condition.to_owned()];
                    let finding = Finding { conditions, class, meaning, rounds, of };
                    findings.push((place.unwrap_or(usize::MAX), finding));
                }
            }
        }
        findings.sort_by_key(|(place, finding)| (gravity(finding.class), *place));
        findings.into_iter().map(|(_, finding)| finding).collect()
    }

    /// What they come to. `asked`: how many were asked for.
    pub(super) fn verdict(&self, findings: &[Finding], asked: usize) -> Verdict {
        let mut impaired = findings.iter().filter(|one| one.class == Class::Impaired).peekable();
        if impaired.peek().is_some() {
            return if impaired.any(|one| one.is_stable(asked)) {
                Verdict::Impaired
            } else {
                Verdict::Unknown
            };
        }
        let is_good = |one: &Finding| one.class == Class::Good && one.rounds == one.of;
        if findings.iter().any(is_good) {
            Verdict::Good
        } else if self.is_skipped && self.error.is_none() {
            Verdict::NotApplicable
        } else {
            Verdict::Unknown
        }
    }
}

/// The order in which classes are shown.
fn gravity(class: Class) -> u8 {
    match class {
        Class::Impaired => 0,
        Class::Absent => 1,
        Class::Good => 2,
        _ => 3,
    }
}

/// The results of a record's connections.
pub(super) fn flows(record: &Record) -> impl Iterator<Item = &Record> {
    let flows = record.get(names::FLOW_RESULTS).and_then(Value::as_list).unwrap_or_default();
    flows.iter().filter_map(Value::as_record)
}

fn state(flow: &Record) -> Option<State> {
    State::from_number(flow.u64("spdr_state")?)
}

fn was_skipped(record: &Record) -> bool {
    let mut states = flows(record).map(state).peekable();
    states.peek().is_some() && states.all(|state| state == Some(State::Skipped))
}

/// Whether a record shows that the target, or something in its place, answered.
pub(super) fn was_answered(record: &Record) -> bool {
    flows(record).any(|flow| {
        let came = flow.u64("pkt_rev").is_some_and(|count| count > 0);
        came || state(flow) == Some(State::Ok) || flow.bool(carriage::CARRIED) == Some(true)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared() -> Vec<ConditionInfo> {
        let info = |name: &str, class, meaning: &str| ConditionInfo {
            name: name.into(),
            class,
            meaning: meaning.into(),
        };
        vec![
            info("x.connectivity.works", Class::Good, "A and B worked"),
            info("x.connectivity.broken", Class::Impaired, "only A worked"),
            info("x.connectivity.offline", Class::Unknown, "neither worked"),
            info("a.seen", Class::Good, "it was seen"),
            info("b.seen", Class::Good, "it was seen"),
            info("x.negotiation.failed", Class::Absent, "the target has it not"),
        ]
    }

    fn rounds(all: &[&str]) -> Rounds {
        let mut rounds = Rounds::default();
        for (number, conditions) in all.iter().enumerate() {
            let conditions: Value = conditions.split_whitespace().map(Value::from).collect();
            let record = Record::new().with("round", number as u64);
            rounds.add(record.with("conditions", conditions));
        }
        rounds
    }

    fn verdict(all: &[&str], asked: usize) -> Verdict {
        let rounds = rounds(all);
        rounds.verdict(&rounds.findings(&declared()), asked)
    }

    #[test]
    fn one_round_alone_impairs_nothing() {
        let (works, broken) = ("x.connectivity.works", "x.connectivity.broken");
        assert_eq!(verdict(&[works, works, works], 3), Verdict::Good);
        assert_eq!(verdict(&[broken, broken, broken], 3), Verdict::Impaired);
        assert_eq!(verdict(&[broken, "", broken], 3), Verdict::Impaired, "nothing says otherwise");
        assert_eq!(verdict(&[broken, works, broken], 3), Verdict::Unknown);
        assert_eq!(verdict(&[broken], 3), Verdict::Unknown, "it was stopped");
        assert_eq!(verdict(&["", broken, ""], 3), Verdict::Unknown);
        assert_eq!(verdict(&[broken], 1), Verdict::Impaired, "no more was asked for");
        assert_eq!(verdict(&["x.connectivity.offline"; 3], 3), Verdict::Unknown);
        assert_eq!(verdict(&["x.negotiation.failed x.connectivity.works"; 3], 3), Verdict::Good);
        assert_eq!(verdict(&[], 3), Verdict::Unknown);
    }

    #[test]
    fn what_means_the_same_is_said_once() {
        let rounds = rounds(&[
            "a.seen b.seen x.connectivity.works other:1",
            "a.seen b.seen x.connectivity.broken other:1 x.stable.connectivity.works",
        ]);
        let found = rounds.findings(&declared());
        let said: Vec<String> = found
            .iter()
            .map(|one| format!("{} {}/{}", one.conditions.join("+"), one.rounds, one.of))
            .collect();
        assert_eq!(
            said,
            [
                "x.connectivity.broken 1/2",
                "x.connectivity.works 1/2",
                "a.seen+b.seen 2/2",
                "other:1 2/2"
            ]
        );
    }

    #[test]
    fn what_was_skipped_does_not_apply() {
        let skipped = Record::new().with("spdr_state", State::Skipped.number());
        let record = Record::new().with("flow_results", vec![Value::from(skipped)]);
        let mut rounds = Rounds::default();
        rounds.add(record.clone());
        assert_eq!(rounds.verdict(&[], 3), Verdict::NotApplicable);
        assert!(!was_answered(&record));
        rounds.add(Record::new());
        assert_eq!(rounds.verdict(&[], 3), Verdict::Unknown);
    }
}
