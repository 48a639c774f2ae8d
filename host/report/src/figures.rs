//! What `pathspider report` shows, as numbers: made of what was gathered, written by `show` for people
//! and as JSON for programs.

mod answers;
mod aspects;
mod failures;
mod funnel;
mod groups;
mod inputs;
mod over_time;
mod paths;
mod runs;
mod view;

use std::collections::BTreeMap;

use serde::Serialize;

pub(crate) use answers::Answers;
pub(crate) use aspects::{Aspect, ConditionShare};
pub(crate) use failures::{Failures, RoundTrips};
pub(crate) use funnel::Stage;
#[cfg(test)]
pub(crate) use groups::Row;
pub(crate) use groups::{Grouped, large_enough};
pub(crate) use inputs::Inputs;
pub(crate) use over_time::OverTime;
pub(crate) use paths::{Multipoint, Stability};
pub(crate) use runs::Runs;
pub(crate) use view::View;

use crate::gather::{Context, Gathered};

/// Everything that is reported.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The command that made it.
    pub(crate) command: Vec<String>,
    /// What was read, and what was not.
    pub(crate) inputs: Inputs,
    /// Fewer cases than this are in no ranking.
    pub(crate) min: u64,
    /// A measurement each.
    pub(crate) measurements: Vec<Measured>,
    /// The runs that wrote the records, and what their captures lost.
    pub(crate) runs: Runs,
}

/// What is reported of one measurement.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) name: String,
    /// How many records.
    pub(crate) records: u64,
    /// How many targets they are of.
    pub(crate) targets: u64,
    /// When the first connection began and the last one ended, RFC 3339.
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
    /// From what was read to what has a verdict.
    pub(crate) funnel: Vec<Stage>,
    /// The shares of conditions.
    pub(crate) aspects: Vec<Aspect>,
    /// The same by keys.
    pub(crate) groups: Vec<Grouped>,
    /// Connections that failed, by configuration.
    pub(crate) failures: Vec<Failures>,
    /// Round trips, by configuration.
    pub(crate) round_trips: Vec<RoundTrips>,
    /// Who may have answered, by the hints of the records.
    pub(crate) answers: Option<Answers>,
    /// Targets that were measured several times from one place.
    pub(crate) stability: Vec<Stability>,
    /// Targets that were measured from several places.
    pub(crate) multipoint: Vec<Multipoint>,
    /// Shares over time, where records are of more than an hour.
    pub(crate) over_time: Vec<OverTime>,
}

/// What decides what is reported.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) command: Vec<String>,
    pub(crate) min: u64,
    /// Whether keys were asked for; else those are shown that tell records apart.
    pub(crate) are_asked: bool,
}

impl Report {
    pub(crate) fn new(
        gathered: &Gathered,
        context: &Context,
        inputs: Inputs,
        settings: Settings,
    ) -> Report {
        let view = View::new(gathered, context);
        let alike = paths::alike(&view);
        let mut stability = paths::stability(&view, &alike);
        let mut multipoint = paths::multipoint(&view, &alike);
        let mut groups = groups::all(&view, context, &settings);
        let mut over_time = over_time::all(&view);
        let measurements = view.measurements().map(|(number, name)| {
            let (from, to) = match gathered.times.get(&number) {
                Some((from, to)) => (Some(time(*from)), Some(time(*to))),
                None => (None, None),
            };
            Measured {
                name: name.to_owned(),
                records: view.records(number),
                targets: paths::targets(&alike, number),
                from,
                to,
                funnel: funnel::of(&view, context, number),
                aspects: aspects::of(&view, number),
                groups: take(&mut groups, number),
                failures: failures::of(&view, context, number),
                round_trips: failures::round_trips(&view, context, number),
                answers: answers::of(gathered.answers.get(&number)),
                stability: take(&mut stability, number),
                multipoint: take(&mut multipoint, number),
                over_time: take(&mut over_time, number),
            }
        });
        let mut measurements: Vec<Measured> = measurements.collect();
        measurements.sort_by(|a, b| a.name.cmp(&b.name));
        let runs = Runs::of(context);
        let Settings { command, min, .. } = settings;
        Report { command, inputs, min, measurements, runs }
    }
}

/// Figures of each measurement, by its number.
type ByMeasurement<T> = BTreeMap<u32, Vec<T>>;

fn take<T>(all: &mut ByMeasurement<T>, measurement: u32) -> Vec<T> {
    all.remove(&measurement).unwrap_or_default()
}

fn time(at: std::time::SystemTime) -> String {
    humantime::format_rfc3339_seconds(at).to_string()
}
