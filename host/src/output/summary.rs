//! What a run came to, for people: a few lines on standard error.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use pathspider_plugin_api::{Error, ErrorKind};
use serde::Serialize;

use crate::job::Refusal;
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
    /// How often connections failed, by the reason.
    pub failures: BTreeMap<String, u64>,
}

impl Summary {
    /// Counts the conditions of a target: one that it has with several values once.
    pub fn count_conditions<'c>(&mut self, conditions: impl Iterator<Item = &'c str> + Clone) {
        let names = conditions.map(|condition| condition.split(':').next().unwrap_or(condition));
        for (at, name) in names.clone().enumerate() {
            if !names.clone().take(at).any(|earlier| earlier == name) {
                count(&mut self.conditions, name);
            }
        }
    }

    /// Counts a connection that failed.
    pub fn count_failure(&mut self, reason: &str) {
        // A plugin's own reasons may hold anything; the first word tells the kind.
        count(&mut self.failures, reason.split(':').next().unwrap_or(reason));
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
        Lines { summary: self, duration, input }
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

struct Lines<'a> {
    summary: &'a Summary,
    duration: Duration,
    input: &'a [(u64, &'static str)],
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
            failures: _,
        } = self.summary;
        let targets = *targets;
        let seconds = self.duration.as_secs_f64();
        let rate = targets as f64 / seconds.max(1e-9);
        let noun = of(targets, "target", "targets");
        let digits = if rate < 10.0 { 1 } else { 0 };
        write!(f, "{targets} {noun} in {seconds:.1} s ({rate:.digits$}/s)")?;
        let errors = self.summary.plugin_errors();
        let counts = [
            (*missed, of(*missed, "flow missed", "flows missed")),
            (errors, of(errors, "error of the plugin", "errors of the plugin")),
            (self.summary.refused(Refusal::Blocklist), "not sent for the blocklist"),
            (self.summary.refused(Refusal::Special), "not sent for their special-purpose address"),
            (*discarded, "discarded"),
            (*lost, "lost, for they could not be written"),
            (*unfinished, "left unfinished"),
            (*unstarted, "read and not begun"),
        ];
        for (count, what) in self.input.iter().chain(&counts).filter(|(count, _)| *count > 0) {
            write!(f, ", {count} {what}")?;
        }
        for (condition, count) in conditions {
            write!(f, "\n  {count:>9}  {condition}")?;
        }
        if let Some(error) = first_plugin_error {
            write!(f, "\n  the first error of the plugin: {error}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_counts_once_for_each_condition_whatever_its_values() {
        let mut summary = Summary::default();
        summary.count_conditions(["x.works", "a.not_sent:0", "a.not_sent:1"].into_iter());
        summary.count_conditions(["a.not_sent:1", "x.value:7"].into_iter());
        let expected = [("a.not_sent", 2), ("x.value", 1), ("x.works", 1)];
        let expected = expected.map(|(name, count)| (name.to_owned(), count));
        assert_eq!(summary.conditions, BTreeMap::from(expected));
    }
}
