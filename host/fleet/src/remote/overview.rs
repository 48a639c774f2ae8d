//! How far a campaign on a server is: what `status` and `watch` show.

use std::fmt::Write as _;
use std::time::Duration;

use pathspider_runtime::text::{of, visible};
use serde::Serialize;

use super::find;
use crate::exit::Failure;
use crate::server::Server;
use crate::wire::{self, AGENTS, RESULTS, Report, Wanted};

/// Troubles of a place that are shown: whatever its agent says.
const MOST_TROUBLES: usize = 20;

/// How far a campaign is.
#[derive(Debug, Serialize)]
pub(crate) struct Overview {
    pub(crate) name: String,
    pub(crate) wanted: Wanted,
    pub(crate) targets: u64,
    pub(crate) shards: usize,
    /// Results that are to come in all from a place; null without an end.
    pub(crate) of: Option<u64>,
    /// Whether all are there.
    pub(crate) complete: bool,
    pub(crate) places: Vec<PlaceStatus>,
}

/// How far a place is.
#[derive(Debug, Default, Serialize)]
pub(crate) struct PlaceStatus {
    pub(crate) vantage: String,
    /// Results that are there.
    pub(crate) results: u64,
    /// Seconds since its agent's last word, by the server's clock; null where it never said one.
    pub(crate) last_word: Option<u64>,
    /// Whether that is too long ago.
    pub(crate) silent: bool,
    /// When its last result was sent.
    pub(crate) last_result: Option<String>,
    pub(crate) measuring: Option<String>,
    pub(crate) troubles: Vec<wire::Trouble>,
}

/// Looks how far a campaign is. An agent that said nothing for longer than `silence` is silent.
///
/// # Errors
///
/// There is none of this name, or the server does not answer.
pub(crate) async fn look(
    server: &Server,
    name: &str,
    silence: Duration,
) -> Result<Overview, Failure> {
    let found = find(server, name).await?;
    let now = server.now().await?;
    let mut places = Vec::new();
    for vantage in found.places(server, now).await? {
        let results = server.subjects(RESULTS, wire::results(name, &vantage)).await?;
        let results = results.iter().filter_map(|subject| wire::work_of(subject));
        let results = results.filter(|work| found.has(*work)).count() as u64;
        let holder = server.get(AGENTS, wire::holder(&vantage)).await?;
        let report = server.get(AGENTS, wire::report(name, &vantage)).await?;
        let report = report.and_then(|kept| wire::parse::<Report>(&kept.payload).ok());
        let Report { measuring, last_result, mut troubles, .. } = report.unwrap_or_default();
        troubles.truncate(MOST_TROUBLES);
        let age = holder.map(|kept| now.duration_since(kept.time).unwrap_or_default());
        places.push(PlaceStatus {
            vantage,
            results,
            last_word: age.map(|age| age.as_secs()),
            silent: age.is_none_or(|age| age > silence),
            last_result,
            measuring,
            troubles,
        });
    }
    let of = found.results();
    let is_whole = |place: &PlaceStatus| of.is_some_and(|of| place.results >= of);
    Ok(Overview {
        name: name.to_owned(),
        wanted: found.control.wanted,
        targets: found.definition.targets,
        shards: found.definition.shards.len(),
        of,
        complete: !places.is_empty() && places.iter().all(is_whole),
        places,
    })
}

impl Overview {
    /// As people are shown it. What comes from agents is made visible.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let wanted = match self.wanted {
            Wanted::Running if self.complete => "all results are there",
            Wanted::Running => "running",
            Wanted::Paused => "paused",
            Wanted::Cancelled => "cancelled",
            Wanted::Collected => "collected",
        };
        let shards = self.shards as u64;
        // Writing to a `String` does not fail.
        let _ = writeln!(
            text,
            "{}: {wanted}; {} {} in {shards} {}",
            self.name,
            self.targets,
            of(self.targets, "target", "targets"),
            of(shards, "shard", "shards"),
        );
        if self.places.is_empty() {
            text += "  no agent is there yet\n";
        }
        let of_all = self.of.map(|of| format!(" of {of}")).unwrap_or_default();
        for place in &self.places {
            let last = place.last_result.as_deref();
            let last = last.map_or("it has sent no result".to_owned(), |at| {
                format!("it sent its last result {}", visible(at, 40))
            });
            let state = match (place.last_word, &place.measuring) {
                (None, _) => "its agent was never there".to_owned(),
                (Some(word), _) if place.silent => {
                    let word = humantime::format_duration(Duration::from_secs(word));
                    format!("its agent is silent since {word}; {last}")
                }
                (Some(_), Some(what)) => format!("measures {}", visible(what, 80)),
                (Some(_), None) => "its agent is there".to_owned(),
            };
            let results = format!("{}{of_all} results", place.results);
            let _ = writeln!(text, "  {:<20} {results}; {state}", place.vantage);
            for trouble in &place.troubles {
                let shard = trouble.shard.map(|shard| format!(", shard {shard}"));
                let _ = writeln!(
                    text,
                    "    waits: measurement {}{}, tried {} {}: {}",
                    trouble.measure,
                    shard.unwrap_or_default(),
                    trouble.tries,
                    of(trouble.tries.into(), "time", "times"),
                    visible(&trouble.reason, 300),
                );
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silent_agents_are_named_with_their_last_result() {
        let place = |vantage: &str| PlaceStatus {
            vantage: vantage.to_owned(),
            results: 3,
            last_word: Some(3),
            ..PlaceStatus::default()
        };
        let trouble = wire::Trouble {
            measure: 2,
            shard: None,
            reason: "no plugin\u{1b}[2J".to_owned(),
            tries: 1,
        };
        let last_result = Some("2026-01-02T03:04:05Z".to_owned());
        let overview = Overview {
            name: "spring".to_owned(),
            wanted: Wanted::Running,
            targets: 1,
            shards: 1,
            of: Some(4),
            complete: false,
            places: vec![
                PlaceStatus { silent: true, last_word: Some(61), last_result, ..place("a") },
                PlaceStatus { troubles: vec![trouble], ..place("b") },
                PlaceStatus { silent: true, last_word: None, ..place("c") },
            ],
        };
        let text = overview.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "spring: running; 1 target in 1 shard");
        assert!(lines[1].contains("3 of 4 results; its agent is silent since 1m 1s"), "{text}");
        assert!(lines[1].contains("last result 2026-01-02T03:04:05Z"), "{text}");
        assert!(lines[2].ends_with("its agent is there"), "{text}");
        assert!(lines[3].contains("measurement 2, tried 1 time: no plugin\\u{1b}[2J"), "{text}");
        assert!(lines[4].ends_with("its agent was never there"), "{text}");
    }
}
