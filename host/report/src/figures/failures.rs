//! Why connections failed, and how long round trips took, by configuration: the baseline beside the
//! others.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;

use super::view::View;
use crate::gather::{Context, FlowTally};
use crate::statistics::Share;

/// The most points of a distribution.
const POINTS: usize = 200;

/// The connections of one configuration.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Failures {
    pub(crate) config: u64,
    /// Its label, where the metadata have it.
    pub(crate) label: Option<String>,
    /// How many failed of how many.
    pub(crate) failed: Share,
    /// Connections that the capture does not have.
    pub(crate) unobserved: u64,
    /// How many failed for each reason, the most frequent first.
    pub(crate) reasons: Vec<Reason>,
}

/// A reason of failures.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Reason {
    pub(crate) reason: String,
    pub(crate) connections: u64,
}

/// Round trips of the handshakes in one configuration.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct RoundTrips {
    pub(crate) config: u64,
    pub(crate) label: Option<String>,
    /// Connections with a round trip.
    pub(crate) connections: u64,
    /// In microseconds, by per cent of the connections: 5, 25, 50, 75, 95, 99.
    pub(crate) percentiles: BTreeMap<u8, u64>,
    /// The distribution: this many microseconds or less, by this share of the connections.
    pub(crate) distribution: Vec<(u64, f64)>,
}

/// The connections of a measurement, where records have their results.
pub(super) fn of(view: &View<'_>, context: &Context, measurement: u32) -> Vec<Failures> {
    let failures = |(config, tally): (u64, &FlowTally)| {
        let reason = |(reason, &connections): (&String, &u64)| Reason {
            reason: reason.clone(),
            connections,
        };
        let mut reasons: Vec<Reason> = tally.reasons.iter().map(reason).collect();
        reasons.sort_by_key(|reason| Reverse(reason.connections));
        Failures {
            config,
            label: label(view, context, measurement, config),
            failed: Share::of(tally.failed, tally.connections),
            unobserved: tally.unobserved,
            reasons,
        }
    };
    configurations(view, measurement).into_iter().map(failures).collect()
}

/// The round trips of a measurement, where records have them.
pub(super) fn round_trips(view: &View<'_>, context: &Context, measurement: u32) -> Vec<RoundTrips> {
    let round_trips = |(config, tally): (u64, &FlowTally)| {
        let all = tally.round_trips.as_ref().filter(|all| !all.is_empty())?;
        let percentiles = [5_u8, 25, 50, 75, 95, 99];
        let at = |per_cent: u8| (per_cent, all.value_at_percentile(per_cent.into()));
        let point = |at: usize| {
            let share = at as f64 / POINTS as f64;
            (all.value_at_quantile(share), share)
        };
        Some(RoundTrips {
            config,
            label: label(view, context, measurement, config),
            connections: all.len(),
            percentiles: percentiles.into_iter().map(at).collect(),
            distribution: (1..=POINTS).map(point).collect(),
        })
    };
    configurations(view, measurement).into_iter().filter_map(round_trips).collect()
}

fn configurations<'g>(view: &View<'g>, measurement: u32) -> BTreeMap<u64, &'g FlowTally> {
    let all = view.gathered.flows.iter();
    let of = all.filter(|((other, _), _)| *other == measurement);
    of.map(|((_, config), tally)| (*config, tally)).collect()
}

fn label(view: &View<'_>, context: &Context, measurement: u32, config: u64) -> Option<String> {
    let name = view.gathered.measurements.name(measurement);
    let mut abouts = context.abouts();
    let about = abouts.find(|about| about.measurement.as_deref() == Some(name))?;
    let label = about.configurations.get(usize::try_from(config).ok()?)?;
    Some(label.clone()).filter(|label| !label.is_empty())
}
