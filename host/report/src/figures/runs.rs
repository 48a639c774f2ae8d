//! The runs that wrote the records: how they ended, and what their captures lost.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::gather::Context;

/// All runs whose metadata are there.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Runs {
    pub(crate) runs: u64,
    /// Files of records without metadata: of their runs nothing is known.
    pub(crate) files_without_metadata: u64,
    /// Runs without counts: they go on, or were killed.
    pub(crate) without_counts: u64,
    /// How many runs ended for each reason.
    pub(crate) ends: BTreeMap<String, u64>,
    /// Packets of the captures.
    pub(crate) packets: u64,
    pub(crate) dropped_by_kernel: u64,
    pub(crate) dropped_by_interface: u64,
    /// Flows that left the table early, for it was full.
    pub(crate) evicted: u64,
    pub(crate) clock_jumps: u64,
    /// Connections whose packets were not seen.
    pub(crate) missed_flows: u64,
    /// How many connections failed for each reason, as the runs counted them.
    pub(crate) failures: BTreeMap<String, u64>,
}

impl Runs {
    pub(super) fn of(context: &Context) -> Runs {
        let mut all = Runs::default();
        for about in context.abouts() {
            if about.runs.is_empty() {
                all.files_without_metadata += 1;
            }
            for run in &about.runs {
                all.runs += 1;
                if let Some(end) = &run.end {
                    *all.ends.entry(end.clone()).or_default() += 1;
                }
                let Some(counts) = &run.counts else {
                    all.without_counts += 1;
                    continue;
                };
                let capture = &counts.capture;
                all.packets += capture.packets;
                all.dropped_by_kernel += capture.dropped_by_kernel;
                all.dropped_by_interface += capture.dropped_by_interface;
                all.evicted += capture.evicted;
                all.clock_jumps += capture.clock_jumps;
                all.missed_flows += counts.missed_flows;
                for (reason, count) in &counts.failures {
                    *all.failures.entry(reason.clone()).or_default() += count;
                }
            }
        }
        all
    }
}
