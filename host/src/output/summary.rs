//! What a run came to, for people: a few lines on standard error.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use pathspider_plugin_api::{Class, Condition, Error, ErrorKind};
use serde::Serialize;

use super::chance::Chance;
use crate::job::{Counts, Refusal};
use pathspider_runtime::text::of;

/// Counts of a run, by their keys in the metadata.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Targets whose record was made; those that are lost are taken off at the end.
    pub targets: u64,
    /// Targets whose record was made and could not be written.
    pub lost: u64,
    /// Connections whose packets were not seen.
    pub missed_flows: u64,
    /// Jobs for which the plugin failed, by how.
    #[serde(rename = "plugin_errors")]
    pub errors: BTreeMap<&'static str, u64>,
    /// The first of these failures.
    pub first_plugin_error: Option<String>,
    /// Jobs that the plugin discarded.
    pub discarded: u64,
    /// Jobs that were begun and left when the run was told to stop.
    pub unfinished: u64,
    /// Jobs that were read and not begun then.
    pub unstarted: u64,
    /// How many targets were given each condition, values left out.
    pub conditions: BTreeMap<String, u64>,
    /// How many targets, by the gravest class of their conditions.
    pub classes: BTreeMap<&'static str, u64>,
    /// How many rounds were begun, where targets are measured in rounds.
    #[serde(skip)]
    pub rounds: Option<u64>,
    /// One of the targets.
    #[serde(skip)]
    pub a_target: Option<IpAddr>,
    /// The classes of these conditions.
    #[serde(skip)]
    pub class_of: BTreeMap<String, Class>,
    /// How often connections failed, by the reason.
    pub failures: BTreeMap<String, u64>,
    /// How many connections the plugin left out, by the reason.
    pub skipped: BTreeMap<String, u64>,
    /// Connections of these targets.
    pub connections: u64,
    /// Those of them that the path carried.
    #[serde(skip)]
    pub carried: u64,
    /// Targets that sent something, ICMP errors left out, whether a connection got it or not.
    #[serde(skip)]
    pub heard: u64,
    /// Targets that answered one configuration alone.
    pub chance: Chance,
    /// What became of the searches for where on the path.
    pub located: Located,
}

/// Counts of searches for where on the path packets were harmed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Located {
    /// Targets whose path was searched.
    pub targets: u64,
    /// Targets that were over `--locate-max`.
    pub left_out: u64,
    /// Targets whose search the end of the run cut off.
    pub cut_off: u64,
    /// Packets that were sent for it.
    pub packets: u64,
    /// Of these, probes that came to a target, or may have.
    pub at_targets: u64,
}

impl Summary {
    /// Counts the conditions of a target: one that it has with several values once.
    pub fn count_conditions<'c>(
        &mut self,
        conditions: impl Iterator<Item = &'c Condition> + Clone,
    ) {
        let name = |condition: &'c Condition| {
            let text = condition.as_str();
            text.split(':').next().unwrap_or(text)
        };
        for (at, condition) in conditions.clone().enumerate() {
            let this = name(condition);
            if conditions.clone().take(at).any(|earlier| name(earlier) == this) {
                continue;
            }
            count(&mut self.conditions, this);
            if !self.class_of.contains_key(this) {
                self.class_of.insert(this.to_owned(), condition.class());
            }
        }
        let gravest = conditions.map(Condition::class).min_by_key(|class| gravity(*class));
        if let Some(class) = gravest {
            *self.classes.entry(class.name()).or_default() += 1;
        }
    }

    /// Counts a connection that failed, or that the plugin left out.
    pub fn count_failure(&mut self, reason: &str, is_skipped: bool) {
        let counts = if is_skipped { &mut self.skipped } else { &mut self.failures };
        // A plugin's own reasons may hold anything; the first word tells the kind.
        count(counts, reason.split(':').next().unwrap_or(reason));
    }

    /// Connections that were to be made.
    pub fn meant(&self) -> u64 {
        self.connections.saturating_sub(self.skipped.values().sum())
    }

    /// Connections that were refused, for they would have gone elsewhere than to their target.
    fn refused(&self, refusal: Refusal) -> u64 {
        self.failures.get(refusal.word()).copied().unwrap_or(0)
    }

    /// Counts a job for which the plugin failed.
    pub fn count_error(&mut self, error: &Error) {
        let how = match error.kind() {
            ErrorKind::Declined => "declined",
            ErrorKind::Panicked => "panicked",
            ErrorKind::Contract => "contract",
            _ => "other",
        };
        *self.errors.entry(how).or_default() += 1;
        self.first_plugin_error.get_or_insert_with(|| error.to_string());
    }

    /// Counts what a run leaves that has ended: of the targets that the engine was given and that
    /// were kept back, those without a record that were begun, and the others. So each is counted.
    pub(crate) fn left_of(&mut self, input: &Counts, begun: u64) {
        let concluded = self.targets + self.lost + self.discarded;
        self.unfinished = begun.saturating_sub(concluded);
        self.unstarted = input.handed.saturating_sub(begun) + input.kept_back;
    }

    /// Jobs for which the plugin failed.
    pub fn plugin_errors(&self) -> u64 {
        self.errors.values().sum()
    }

    /// The summary with the run's duration, and with counts of its input and what each counts.
    pub fn over<'a>(
        &'a self,
        duration: Duration,
        input: &'a [(u64, &'static str)],
    ) -> impl fmt::Display + 'a {
        Lines { summary: self, duration, input, is_brief: false }
    }

    /// The same on one line, if each target was reported.
    pub fn in_brief<'a>(
        &'a self,
        duration: Duration,
        input: &'a [(u64, &'static str)],
    ) -> impl fmt::Display + 'a {
        Lines { summary: self, duration, input, is_brief: true }
    }
}

/// What is known of no class.
const UNKNOWN: Class = Class::Unknown;

/// The classes, the gravest first.
const BY_GRAVITY: [Class; 4] = [Class::Impaired, Class::Absent, Class::Good, UNKNOWN];

fn gravity(class: Class) -> usize {
    BY_GRAVITY.iter().position(|known| *known == class).unwrap_or(BY_GRAVITY.len())
}

/// What stands above the conditions of a class, after the number of targets whose gravest class it is.
fn heading(class: Class) -> &'static str {
    match class {
        Class::Impaired => "impaired by the path",
        Class::Absent => "absent at the target",
        Class::Good => "good",
        _ => "neither",
    }
}

fn count(counts: &mut BTreeMap<String, u64>, name: &str) {
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None => {
            counts.insert(name.to_owned(), 1);
        }
    }
}

/// A share, for people: one that is not all never looks like all, nor one like nothing.
struct Percent {
    part: u64,
    whole: u64,
}

impl Percent {
    fn of(part: u64, whole: u64) -> Percent {
        Percent { part, whole }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Percent { part, whole } = *self;
        let share = part as f64 / whole.max(1) as f64;
        f.pad(&match share {
            _ if part > 0 && share < 0.001 => "<0.1%".to_owned(),
            _ if part < whole && share > 0.99 => ">99%".to_owned(),
            share if share < 0.1 => format!("{:.1}%", share * 100.0),
            share => format!("{:.0}%", share * 100.0),
        })
    }
}

struct Lines<'a> {
    summary: &'a Summary,
    duration: Duration,
    input: &'a [(u64, &'static str)],
    is_brief: bool,
}

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Each by its name, so that a new one is not forgotten here.
        let Summary {
            targets,
            lost,
            missed_flows: missed,
            errors: _,
            first_plugin_error,
            discarded,
            unfinished,
            unstarted,
            conditions,
            classes,
            rounds,
            a_target: _,
            class_of,
            failures,
            skipped,
            connections: _,
            carried: _,
            heard: _,
            chance: _,
            located,
        } = self.summary;
        let targets = *targets;
        let seconds = self.duration.as_secs_f64();
        let rate = targets as f64 / seconds.max(1e-9);
        let noun = match rounds {
            None => of(targets, "target", "targets").to_owned(),
            Some(rounds) => {
                let noun = of(targets, "record", "records");
                format!("{noun} ({rounds} {})", of(*rounds, "round", "rounds"))
            }
        };
        let digits = if rate < 10.0 { 1 } else { 0 };
        write!(f, "{targets} {noun} in {seconds:.1} s ({rate:.digits$}/s)")?;
        let errors = self.summary.plugin_errors();
        let counts = [
            (*missed, of(*missed, "flow missed", "flows missed")),
            (errors, of(errors, "error of the plugin", "errors of the plugin")),
            (self.summary.refused(Refusal::Blocklist), "not sent for the blocklist"),
            (self.summary.refused(Refusal::Special), "not sent for their special-purpose address"),
            (*discarded, "discarded"),
            (located.left_out, "not located, for --locate-max"),
            (located.cut_off, "not located to the end"),
            (*lost, "lost, for they could not be written"),
            (*unfinished, "left unfinished"),
            (*unstarted, "read and not begun"),
        ];
        for (count, what) in self.input.iter().chain(&counts).filter(|(count, _)| *count > 0) {
            write!(f, ", {count} {what}")?;
        }
        if self.is_brief {
            return Ok(());
        }
        // Conditions of lost targets are counted too.
        let concluded = targets + lost;
        for class in BY_GRAVITY {
            let number = classes.get(class.name()).copied().unwrap_or(0);
            let own =
                |condition: &String| class_of.get(condition).copied().unwrap_or(UNKNOWN) == class;
            let mut of_class = conditions.iter().filter(|(condition, _)| own(condition)).peekable();
            let (percent, heading) = (Percent::of(number, concluded), heading(class));
            match number {
                0 if of_class.peek().is_none() => {}
                // Of none is it the gravest class.
                0 => write!(f, "\n  {:>9}  {:>5}  {heading}:", "", "")?,
                number => write!(f, "\n  {number:>9}  {percent:>5}  {heading}:")?,
            }
            for (condition, count) in of_class {
                write!(f, "\n  {count:>9}  {:>5}    {condition}", Percent::of(*count, concluded))?;
            }
        }
        if !failures.is_empty() {
            let failed: u64 = failures.values().sum();
            let all = self.summary.meant();
            let (noun, percent) = (of(all, "connection", "connections"), Percent::of(failed, all));
            write!(f, "\n  {failed} of {all} {noun} failed ({percent}): {}", Reasons(failures))?;
        }
        if !skipped.is_empty() {
            let left: u64 = skipped.values().sum();
            let noun = of(left, "connection", "connections");
            write!(f, "\n  {left} {noun} left out by the plugin: {}", Reasons(skipped))?;
        }
        if located.targets > 0 {
            let (targets, packets) = (located.targets, located.packets);
            let noun = of(targets, "path", "paths");
            let at = located.at_targets;
            write!(f, "\n  {targets} {noun} searched with {packets} packets, {at} at the targets")?;
        }
        if let Some(error) = first_plugin_error {
            write!(f, "\n  the first error of the plugin: {error}")?;
        }
        Ok(())
    }
}

/// Reasons with how often each was given, the most frequent first.
struct Reasons<'a>(&'a BTreeMap<String, u64>);

impl fmt::Display for Reasons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut reasons: Vec<_> = self.0.iter().collect();
        reasons.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
        for (at, (reason, count)) in reasons.into_iter().enumerate() {
            write!(f, "{}{count} {reason}", if at == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_do_not_look_like_all_or_nothing() {
        let text = |part, whole| Percent::of(part, whole).to_string();
        assert_eq!(
            [text(0, 3), text(1, 3), text(3, 3), text(0, 0)],
            ["0.0%", "33%", "100%", "0.0%"]
        );
        assert_eq!([text(1, 5000), text(4999, 5000), text(7, 100)], ["<0.1%", ">99%", "7.0%"]);
    }

    const WORKS: Condition = Condition::declare("x.works", Class::Good, "");
    const BROKEN: Condition = Condition::declare("x.broken", Class::Impaired, "");
    const VALUE: Condition = Condition::declare("x.value:<n>", Class::Unknown, "");

    #[test]
    fn the_summary_says_classes_shares_and_reasons() {
        let mut summary = Summary { targets: 200, connections: 400, ..Summary::default() };
        for target in 0..200 {
            let found = match target {
                0 | 1 => vec![WORKS, BROKEN, VALUE.with(target)],
                2..150 => vec![VALUE.with(target), WORKS],
                _ => vec![VALUE.with(target)],
            };
            summary.count_conditions(found.iter());
        }
        summary.failures =
            [("refused", 1), ("timeout", 49)].map(|(name, n)| (name.to_owned(), n)).into();
        assert_eq!(
            summary.over(Duration::from_secs(2), &[]).to_string(),
            "200 targets in 2.0 s (100/s)\n\
             \x20         2   1.0%  impaired by the path:\n\
             \x20         2   1.0%    x.broken\n\
             \x20       148    74%  good:\n\
             \x20       150    75%    x.works\n\
             \x20        50    25%  neither:\n\
             \x20       200   100%    x.value\n\
             \x20 50 of 400 connections failed (12%): 49 timeout, 1 refused"
        );
        // What was left out on purpose is no failure.
        (0..200).for_each(|_| summary.count_failure("the first step did not work", true));
        let said = summary.over(Duration::from_secs(2), &[]).to_string();
        let ends = "50 of 200 connections failed (25%): 49 timeout, 1 refused\n\
             \x20 200 connections left out by the plugin: 200 the first step did not work";
        assert!(said.ends_with(ends), "{said}");
        let brief = summary.in_brief(Duration::from_secs(2), &[]).to_string();
        assert_eq!(brief, "200 targets in 2.0 s (100/s)");
    }

    #[test]
    fn shares_are_of_all_targets_that_were_concluded() {
        let mut summary = Summary { targets: 1, lost: 3, ..Summary::default() };
        (0..4).for_each(|_| summary.count_conditions([WORKS].iter()));
        let said = summary.over(Duration::from_secs(1), &[]).to_string();
        assert!(said.contains("\n          4   100%    x.works"), "{said}");
    }

    #[test]
    fn a_target_counts_once_for_each_condition_whatever_its_values() {
        const SENT: Condition = Condition::declare("a.not_sent:<n>", Class::Unknown, "");
        let mut summary = Summary::default();
        summary.count_conditions([WORKS, SENT.with(0), SENT.with(1)].iter());
        summary.count_conditions([SENT.with(1), VALUE.with(7)].iter());
        let expected = [("a.not_sent", 2), ("x.value", 1), ("x.works", 1)];
        let expected = expected.map(|(name, count)| (name.to_owned(), count));
        assert_eq!(summary.conditions, BTreeMap::from(expected));
        assert_eq!(summary.classes, BTreeMap::from([("good", 1), ("unknown", 1)]));
    }
}
