//! What a campaign would do: connections, packets and time. Nothing is sent to find that out: the plugins
//! are asked for their configurations.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::campaign::{Campaign, Measure, Time};

/// What `pathspider measure --dry-run` says, as far as it is needed here.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Plan {
    pub(crate) plugin: PlannedPlugin,
    pub(crate) workers: u64,
}

/// The plugin of a plan.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct PlannedPlugin {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) sha256: String,
    pub(crate) configurations: Vec<String>,
    pub(crate) options: serde_json::Map<String, serde_json::Value>,
}

/// What one measurement of a campaign would do, each of the campaign's times.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Forecast {
    pub(crate) plugin: String,
    pub(crate) version: String,
    pub(crate) sha256: String,
    pub(crate) configurations: Vec<String>,
    /// Rounds of each target.
    pub(crate) rounds: u64,
    /// Connections to a target, in all rounds.
    pub(crate) connections_a_target: u64,
    /// Packets that are sent to a target that answers; `None` where only the plugin knows.
    pub(crate) packets_a_target: Option<u64>,
    /// Connections in all.
    pub(crate) connections: u64,
    /// Packets in all.
    pub(crate) packets: Option<u64>,
    /// Seconds at the least, as the pace that was asked for allows; `None` where there is none.
    pub(crate) seconds_at_least: Option<f64>,
    /// Seconds where no target answers; `None` where the plugin has no time-out.
    pub(crate) seconds_if_silent: Option<f64>,
}

impl Forecast {
    /// What a measurement with this plan would do with this many targets.
    pub(crate) fn new(
        campaign: &Campaign,
        measure: &Measure,
        plan: &Plan,
        targets: u64,
    ) -> Forecast {
        let courtesy = &campaign.courtesy;
        let rounds = u64::from(measure.rounds.unwrap_or(1));
        let configurations = plan.plugin.configurations.len() as u64;
        let connections_a_target = configurations * rounds;
        let kind = plan.plugin.options.get("connect").and_then(|kind| kind.as_str());
        let packets_a_target = kind.and_then(packets).map(|each| each * connections_a_target);
        let connections = connections_a_target * targets;
        let of_rate = courtesy.rate.map(|rate| connections as f64 / rate);
        // To one target, one after the other.
        let of_target =
            courtesy.per_target_rate.map(|rate| (connections_a_target - 1) as f64 / rate);
        let Time(interval) = measure.round_interval.unwrap_or(Time(Duration::ZERO));
        let between = interval.as_secs_f64() * (rounds - 1) as f64;
        let paced = of_rate.into_iter().chain(of_target).reduce(f64::max);
        let timeout = plan.plugin.options.get("timeout").and_then(serde_json::Value::as_f64);
        let silent = timeout.map(|timeout| {
            let turns = targets.div_ceil(plan.workers.max(1)) * rounds;
            (turns as f64 * timeout).max(paced.unwrap_or(0.0)) + between
        });
        Forecast {
            plugin: plan.plugin.name.clone(),
            version: plan.plugin.version.clone(),
            sha256: plan.plugin.sha256.clone(),
            configurations: plan.plugin.configurations.clone(),
            rounds,
            connections_a_target,
            packets_a_target,
            connections,
            packets: packets_a_target.map(|each| each * targets),
            seconds_at_least: paced
                .map(|paced| paced + between)
                .or((between > 0.0).then_some(between)),
            seconds_if_silent: silent,
        }
    }
}

/// Packets that are sent for a connection of this kind to a target that answers at once, in one segment:
/// the handshake's two, a segment for each request, an acknowledgment of each answer, and the closing's two.
fn packets(kind: &str) -> Option<u64> {
    match kind {
        "tcp" => Some(4),
        "http" | "dnstcp" => Some(6),
        "https" => Some(9),
        "dnsudp" => Some(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn forecast(more: &str, of_measure: &str, targets: u64) -> Forecast {
        let text = format!(
            "name = 'x'\ntargets = 't'\n{more}\n[[measure]]\nplugin = 'ecn'\n{of_measure}\n"
        );
        let campaign = Campaign::parse(&text, Path::new("/")).unwrap();
        let plan = serde_json::from_str(
            r#"{"plugin": {"name": "ecn", "version": "1", "sha256": "ab", "configurations": ["a", "b"],
                "options": {"connect": "tcp", "timeout": 5.0}}, "workers": 100}"#,
        );
        Forecast::new(&campaign, &campaign.measures[0], &plan.unwrap(), targets)
    }

    #[test]
    fn it_is_counted_by_rounds_configurations_and_targets() {
        let once = forecast("", "", 1000);
        assert_eq!((once.connections_a_target, once.packets_a_target), (2, Some(8)));
        assert_eq!((once.connections, once.packets), (2000, Some(8000)));
        assert_eq!((once.seconds_at_least, once.seconds_if_silent), (None, Some(50.0)));
        let paced = forecast("rate = 10", "rounds = 3\nround_interval = 60", 1000);
        assert_eq!(paced.connections, 6000);
        assert_eq!(paced.seconds_at_least, Some(720.0));
        assert_eq!(paced.seconds_if_silent, Some(720.0));
        let gentle = forecast("per_target_rate = 0.1", "", 1);
        assert_eq!(gentle.seconds_at_least, Some(10.0));
    }
}
