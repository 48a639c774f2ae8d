//! From what was read to what has a verdict: how many are left at each stage, and why others are not.

use std::collections::BTreeMap;

use pathspider_records::Counts;
use serde::Serialize;

use super::view::{Facts, View, Why};
use crate::gather::Context;

/// A stage that this many records came through. A target has several where rounds or vantage points repeat it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Stage {
    pub(crate) stage: &'static str,
    pub(crate) count: u64,
    /// Those that the stage before has more, by reason.
    pub(crate) left: BTreeMap<&'static str, u64>,
}

/// The funnel of a measurement.
pub(super) fn of(view: &View<'_>, context: &Context, measurement: u32) -> Vec<Stage> {
    let records = view.records(measurement);
    let mut stages = Vec::new();
    if let Some(counts) = counts(view, context, measurement) {
        let left = left_before(&counts);
        let read = records + left.values().sum::<u64>();
        stages.push(Stage { stage: "read", count: read, left: BTreeMap::new() });
        stages.push(Stage { stage: "measured", count: records, left });
    } else {
        stages.push(Stage { stage: "measured", count: records, left: BTreeMap::new() });
    }

    let mut remaining: Vec<&Facts> = view.of(measurement).collect();
    let mut next =
        |stage, passes: &dyn Fn(&Facts) -> bool, why: &dyn Fn(&Facts) -> &'static str| {
            let mut left: BTreeMap<&'static str, u64> = BTreeMap::new();
            remaining.retain(|facts| {
                if !passes(facts) {
                    *left.entry(why(facts)).or_default() += facts.records;
                }
                passes(facts)
            });
            let count = remaining.iter().map(|facts| facts.records).sum();
            stages.push(Stage { stage, count, left });
        };
    next("resolved", &|facts| facts.has_address, &|_| "no address");
    let connects = view.of(measurement).any(|facts| facts.is_answered.is_some());
    if connects {
        next("A answered", &|facts| facts.is_answered == Some(true), &|facts| match (
            facts.is_answered,
            facts.why,
        ) {
            (Some(_), _) => "no answer to A",
            (None, Why::NotConcluded) => "not known",
            (None, why) => why.words(),
        });
        let is_as_sent = |facts: &Facts| facts.why == Why::NotConcluded;
        next("B as it was sent", &is_as_sent, &|facts| facts.why.words());
    }
    next("verdict", &|facts| facts.is_conclusive, &|facts| {
        if facts.aspects.is_empty() {
            Why::NotConcluded.words()
        } else {
            "nothing that can be said"
        }
    });
    stages
}

/// What the last run on each file of a measurement counted: one that goes on after others reads the
/// input from its begin, and measures what they left. What they discarded stays so.
fn counts(view: &View<'_>, context: &Context, measurement: u32) -> Option<Vec<Counts>> {
    let name = view.gathered.measurements.name(measurement);
    let mut found = Vec::new();
    let mut is_one = false;
    for about in context.abouts() {
        match about.measurement.as_deref() {
            Some(other) if other != name => continue,
            Some(_) => is_one = true,
            // What this file's runs read is not known.
            None if view.gathered.measurements.len() == 1 => return None,
            None => continue,
        }
        let mut runs = about.runs.iter().filter_map(|run| run.counts.as_ref());
        let discarded = runs.clone().map(|counts| counts.discarded).sum();
        found.extend(runs.next_back().map(|last| Counts { discarded, ..last.clone() }));
    }
    is_one.then_some(found).filter(|found| !found.is_empty())
}

fn left_before(counts: &[Counts]) -> BTreeMap<&'static str, u64> {
    let mut left = BTreeMap::new();
    for counts in counts {
        let input = &counts.input;
        for (word, count) in [
            ("lines that are no targets", input.bad_lines),
            ("duplicates", input.duplicates),
            ("blocklisted", input.blocklisted),
            ("special-purpose addresses", input.special),
            ("targets of other shards", input.elsewhere),
            ("discarded by the plugin", counts.discarded),
            ("left unfinished", counts.unfinished),
            ("not begun", counts.unstarted),
            ("lost", counts.lost),
        ] {
            if count > 0 {
                *left.entry(word).or_default() += count;
            }
        }
    }
    left
}
