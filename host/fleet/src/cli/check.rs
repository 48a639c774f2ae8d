//! `pathspider campaign check`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::SystemTime;

use clap::Args;
use pathspider_runtime::text::{of, visible};
use serde::Serialize;

use super::read::Read;
use super::{write, write_json};
use crate::campaign::Campaign;
use crate::exit::{Exit, Failure};
use crate::folder::Targets;
use crate::forecast::Forecast;
use crate::measuring::Here;
use crate::program::Program;
use crate::targets;

/// `pathspider campaign check`.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The campaign
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Write one JSON object
    #[arg(long)]
    json: bool,
}

/// What a campaign would do.
#[derive(Debug, Serialize)]
struct Checked {
    name: String,
    targets: u64,
    /// How many times it is measured; null where it has no end.
    times: Option<u64>,
    measures: Vec<Forecast>,
}

/// Runs `pathspider campaign check`.
pub(super) fn run(arguments: &CheckArgs, program: &Program) -> Result<Exit, Failure> {
    let read = Read::file(&arguments.file)?;
    let plans = read.plans(program, &Here::default())?;
    let Targets { count, has_bad_lines, .. } = targets::count(program, &read.campaign)?;
    let forecasts = read.campaign.measures.iter().zip(&plans);
    let checked = Checked {
        name: read.campaign.name.clone(),
        targets: count,
        times: read.campaign.schedule.count(SystemTime::now()),
        measures: forecasts
            .map(|(measure, plan)| Forecast::new(&read.campaign, measure, plan, count))
            .collect(),
    };
    if arguments.json {
        write_json(&checked)?
    } else {
        write(&text(&checked, &read.campaign))?
    }
    Ok(if has_bad_lines { Exit::FinishedWithErrors } else { Exit::Finished })
}

fn text(checked: &Checked, campaign: &Campaign) -> String {
    let mut text = String::new();
    let times = match checked.times {
        None => "again and again, without an end".to_owned(),
        Some(1) => "once".to_owned(),
        Some(times) => format!("{times} times"),
    };
    let every = match campaign.schedule.every {
        Some(every) if checked.times != Some(1) => {
            format!(", every {}", humantime::format_duration(every.0))
        }
        _ => String::new(),
    };
    let targets = of(checked.targets, "target", "targets");
    // Writing to a `String` does not fail.
    let _ = writeln!(text, "{}: {} {targets}, {times}{every}", checked.name, checked.targets);
    for (index, measure) in checked.measures.iter().enumerate() {
        let configurations = measure.configurations.len() as u64;
        let rounds = match measure.rounds {
            1 => String::new(),
            rounds => format!(", {rounds} rounds"),
        };
        let labels: Vec<String> =
            measure.configurations.iter().map(|label| visible(label, 60)).collect();
        let _ = writeln!(
            text,
            "\n{}. {} {}: {configurations} {} ({}){rounds}",
            index + 1,
            measure.plugin,
            visible(&measure.version, 60),
            of(configurations, "configuration", "configurations"),
            labels.join(", "),
        );
        let sent = |count: Option<u64>| match count {
            Some(count) => {
                format!("some {count} packets of ours where targets answer")
            }
            None => "as many packets as the plugin sends".to_owned(),
        };
        let connections = |count| format!("{count} {}", of(count, "connection", "connections"));
        let (each, all) = (measure.connections_a_target, measure.connections);
        let _ = writeln!(
            text,
            "   a target  {}, {}",
            connections(each),
            sent(measure.packets_a_target)
        );
        let _ = writeln!(text, "   in all    {}, {}", connections(all), sent(measure.packets));
        let _ = writeln!(text, "   time      {}", time(measure));
    }
    if campaign.courtesy.rate.is_none() {
        text += "\nNo rate is set: connections begin as fast as targets answer.\n";
    }
    text
}

/// How long a measurement takes.
fn time(measure: &Forecast) -> String {
    let seconds = |seconds: f64| {
        let whole = std::time::Duration::from_secs(seconds.ceil() as u64);
        humantime::format_duration(whole).to_string()
    };
    let parts = [
        measure.seconds_at_least.map(|least| format!("{} at the least", seconds(least))),
        measure.seconds_if_silent.map(|most| format!("{} where no target answers", seconds(most))),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "as long as the plugin takes".to_owned() } else { parts.join(", ") }
}
