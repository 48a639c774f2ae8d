//! The arguments that say which targets are measured, in which order, and what is known of the
//! source; the same in every form of the command line.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::exit::{Exit, Failure};
use crate::engine::{Limits, Turns};
use crate::job::{Blocklist, Courtesy, Rules, Shard, random_seed};
use crate::merger::Ends;
use crate::rounds::Schedule;
use pathspider_runtime::say;

/// Which targets.
#[derive(Debug, Args)]
#[command(next_help_heading = "Targets")]
pub(super) struct Targets {
    /// Look up targets that are names, by the system's resolver (nsswitch.conf, hosts,
    /// resolv.conf)
    #[arg(long)]
    resolve: bool,

    /// Measure a target as often as the input has it [default: once for each address and port]
    #[arg(long)]
    duplicates: bool,

    /// Never measure the addresses and prefixes in this file: one a line, # begins a comment. May be
    /// given several times
    #[arg(long, value_name = "FILE")]
    blocklist: Vec<PathBuf>,

    /// Measure special-purpose addresses too: private, documentation, multicast and the like
    #[arg(long)]
    allow_special: bool,

    /// End after this many targets
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_targets: Option<u64>,

    /// Measure in random order. The input is first read to its end and kept in memory (some 100
    /// octets beside each line)
    #[arg(long)]
    shuffle: bool,

    /// Choose the order of --shuffle [default: random, and shown] and the division of --shard
    /// [default: 0]. The same number gives the same order and the same division
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Measure only part I of N parts of the targets; the first is 1. Hosts with the same --seed and
    /// one part each measure each target once
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,

    /// Measure each target N times, in rounds. A round measures all targets, in an order of its own,
    /// and begins when the round before it is over. The record of the last round says what was stable
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MOST_ROUNDS))]
    repeat: Option<u16>,

    /// Time between two rounds: seconds, or a time such as 10m
    #[arg(long, value_name = "TIME", value_parser = time, requires = "repeat")]
    repeat_interval: Option<Duration>,

    /// Measure targets with an impaired verdict up to N times more, after the rounds of --repeat
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MOST_ROUNDS))]
    confirm: Option<u16>,

    /// Begin no more targets after this time: seconds, or a time such as 2h 30m
    #[arg(long, value_name = "TIME", value_parser = time)]
    max_runtime: Option<Duration>,

    /// Start at most N connections a second, evenly
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,

    /// Start at most N connections a second to one address (0.1: one every 10 seconds)
    #[arg(long, value_name = "N", value_parser = rate)]
    per_target_rate: Option<f64>,

    /// Time between connections to one /24 or, for IPv6, /48: seconds, or a time such as 500ms
    #[arg(long, value_name = "TIME", value_parser = time)]
    prefix_spacing: Option<Duration>,

    /// Share addresses with other places: connect to an address only in the turns of this place. The program
    /// that starts this one says when they are
    #[arg(long, value_name = "I/N,OPEN/LENGTH,BEGIN")]
    turns: Option<Turns>,

    /// Name the source address that targets see, for `path`; once for each family
    #[arg(long, value_name = "ADDR")]
    source_public: Vec<IpAddr>,

    /// Name the source's autonomous system, for `path`
    #[arg(long, value_name = "N")]
    source_asn: Option<u32>,
}

/// Rounds at the most, and confirmations.
const MOST_ROUNDS: i64 = 10_000;

impl Targets {
    /// When connections may start.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            rate: self.rate,
            address_spacing: self.per_target_rate.map(|rate| Duration::from_secs_f64(1.0 / rate)),
            prefix_spacing: self.prefix_spacing,
            turns: self.turns,
        }
    }

    /// When no more targets are begun.
    pub(super) fn max_runtime(&self) -> Option<Duration> {
        self.max_runtime
    }

    /// What is known of the source.
    pub(super) fn ends(&self) -> Ends {
        Ends { public: self.source_public.clone(), asn: self.source_asn, ..Ends::default() }
    }

    /// Which targets are measured: reads the blocklists, and draws a seed where none is given.
    pub(super) fn rules(&self) -> Result<Rules, Failure> {
        let blocklist =
            Blocklist::read(&self.blocklist).map_err(|error| Failure::new(Exit::NoInput, error))?;
        let shard = self.shard.map(|shard| Shard { seed: self.seed.unwrap_or_default(), ..shard });
        if self.seed.is_some() && !self.shuffle && shard.is_none() {
            let message =
                "--seed decides an order or a division: it goes with --shuffle or --shard";
            return Err(Failure::new(Exit::Usage, message));
        }
        let seed = match (self.shuffle, self.seed) {
            (true, None) => {
                let seed = drawn()?;
                say!("shuffling with --seed {seed}");
                Some(seed)
            }
            (true, seed) => seed,
            (false, _) => None,
        };
        let rounds = self.rounds(seed)?;
        Ok(Rules {
            resolve: self.resolve,
            both_families: false,
            duplicates: self.duplicates,
            courtesy: Arc::new(Courtesy::new(blocklist, self.allow_special)),
            max_targets: self.max_targets,
            shuffle: seed,
            rounds,
            shard,
        })
    }

    /// How often targets are measured, where that is said. `seed`: that of --shuffle.
    fn rounds(&self, seed: Option<u64>) -> Result<Option<Schedule>, Failure> {
        if self.repeat.is_none() && self.confirm.is_none() {
            return Ok(None);
        }
        Ok(Some(Schedule {
            repeat: self.repeat.unwrap_or(1),
            confirm: self.confirm.unwrap_or(0),
            interval: self.repeat_interval.unwrap_or_default(),
            seed: seed.map_or_else(drawn, Ok)?,
        }))
    }
}

/// A seed of the system's.
fn drawn() -> Result<u64, Failure> {
    let fail = |error| Failure::new(Exit::Failed, format!("cannot draw a seed: {error}"));
    random_seed().map_err(fail)
}

/// A rate: from one in twelve days to one every microsecond, so that its inverse is a time.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (1e-6..=1e6).contains(&rate) { Ok(rate) } else { Err("not between 1e-6 and 1e6".to_owned()) }
}

/// A time in seconds, or in words; a year at the most, so that it can be added to any other.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    const YEAR: Duration = Duration::from_secs(365 * 86_400);
    let time = match text.parse() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?,
        Err(_) => humantime::parse_duration(text)
            .map_err(|_| "write seconds, or a time such as 10m or 2h 30m".to_owned())?,
    };
    if time > YEAR { Err("more than a year".to_owned()) } else { Ok(time) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_seconds_and_in_words() {
        assert_eq!(time("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(time("2h 30m"), Ok(Duration::from_secs(9000)));
        assert!(["-1", "soon", "1e9", "nan"].iter().all(|text| time(text).is_err()));
    }
}
