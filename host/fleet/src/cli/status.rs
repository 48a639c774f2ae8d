//! `pathspider campaign status`.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Args;
use pathspider_records::find::CAMPAIGN_FILE;
use pathspider_runtime::files;
use pathspider_runtime::text::{of, path as shown};
use serde::Serialize;

use super::remote::SilenceArgs;
use super::{remote, write, write_json};
use crate::campaign::Campaign;
use crate::course::{Course, Next, Step};
use crate::exit::{Exit, Failure};
use crate::folder::{self, State};
use crate::running::of_unfit;
use crate::server::{Access, Credentials, url};

/// `pathspider campaign status`.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// The folder of a campaign; with --server the name of one
    #[arg(value_name = "DIR|NAME")]
    folder: PathBuf,

    /// The NATS server that the campaign was submitted to
    #[arg(long, value_name = "URL", value_parser = url)]
    server: Option<String>,

    #[command(flatten)]
    credentials: Credentials,

    #[command(flatten)]
    silence: SilenceArgs,

    /// Write one JSON object
    #[arg(long)]
    json: bool,
}

/// How far a campaign is.
#[derive(Debug, Serialize)]
struct Status {
    name: String,
    vantage: Option<String>,
    /// When it began.
    began: String,
    targets: u64,
    /// `finished`, `running`, `waiting` or `stopped`.
    state: &'static str,
    /// When the next run begins, where it waits for that.
    next: Option<String>,
    /// Runs that are over, and runs in all; null where there is no end.
    finished: u64,
    of: Option<u64>,
    runs: Vec<RunStatus>,
}

/// How far a run is.
#[derive(Debug, Serialize)]
struct RunStatus {
    /// The folder's part: the place.
    vantage: String,
    /// From 1.
    time: u64,
    measure: u64,
    plugin: String,
    /// `finished`, `running`, `stopped` or `next`.
    state: &'static str,
    /// Records that it has, or targets that are done; null where that is not known.
    done: Option<u64>,
    of: Option<u64>,
    /// Whether it ended with errors of single targets.
    has_errors: bool,
}

/// Runs `pathspider campaign status`.
pub(super) fn run(arguments: StatusArgs) -> Result<Exit, Failure> {
    if let Some(server) = arguments.server {
        let name = arguments.folder.to_string_lossy();
        let access = Access { server, credentials: arguments.credentials };
        return remote::status(&name, &access, &arguments.silence, arguments.json);
    }
    if let Some(option) = arguments.credentials.given() {
        let message =
            format!("{option} goes with --server; without it, status looks into a folder");
        return Err(Failure::new(Exit::Usage, message));
    }
    let path = files::absolute(&arguments.folder);
    let no_input = |message: String| Failure::new(Exit::NoInput, message);
    let none = || no_input(format!("there is no campaign in {}", shown(&path)));
    let state = folder::read_state(&path).map_err(of_unfit)?.ok_or_else(none)?;
    let file = files::read(&path.join(CAMPAIGN_FILE)).map_err(|error| error.to_string());
    let text = file.and_then(|text| String::from_utf8(text).map_err(|error| error.to_string()));
    let campaign =
        text.and_then(|text| Campaign::parse(&text, &path).map_err(|wrong| wrong.reason));
    let campaign = campaign
        .map_err(|error| no_input(format!("{}: {CAMPAIGN_FILE}: {error}", shown(&path))))?;
    let status = look(&path, &state, &campaign)
        .map_err(|error| no_input(format!("cannot read {}: {error}", shown(&path))))?;
    if arguments.json {
        write_json(&status)?
    } else {
        write(&text_of(&status))?
    }
    Ok(Exit::Finished)
}

fn look(path: &Path, state: &State, campaign: &Campaign) -> io::Result<Status> {
    let is_going_on = folder::is_going_on(path);
    let began = humantime::parse_rfc3339(&state.began).unwrap_or(SystemTime::UNIX_EPOCH);
    let (mut runs, mut finished, mut of) = (Vec::new(), 0, Some(0));
    let mut nexts = Vec::new();
    for part in state.parts() {
        let mut done = Vec::new();
        look_at_part(path, (part, campaign, is_going_on), &mut runs, &mut done)?;
        finished += done.len() as u64;
        let course = Course::new(campaign.schedule.clone(), campaign.measures.len(), began, done);
        of = of.zip(course.total()).map(|(of, total)| of + total);
        nexts.push(course.next(SystemTime::now()));
    }
    let is_over = nexts.iter().all(|next| *next == Next::End);
    let measures = nexts.iter().any(|next| matches!(next, Next::Measure(_)));
    let next = nexts.iter().filter_map(|next| match next {
        Next::Wait(until) if !measures => Some(*until),
        _ => None,
    });
    Ok(Status {
        name: state.name.clone(),
        vantage: state.vantage.clone(),
        began: state.began.clone(),
        targets: state.targets.count,
        state: match (is_over, is_going_on, measures) {
            (true, ..) => "finished",
            (_, false, _) => "stopped",
            (.., true) => "running",
            (.., false) => "waiting",
        },
        next: next.min().map(|until| humantime::format_rfc3339_seconds(until).to_string()),
        finished,
        of,
        runs,
    })
}

/// The runs of a part, and those of them that are over.
fn look_at_part(
    path: &Path,
    (part, campaign, is_going_on): (&str, &Campaign, bool),
    runs: &mut Vec<RunStatus>,
    done: &mut Vec<Step>,
) -> io::Result<()> {
    for time in folder::times(&path.join(part))? {
        for (index, measure) in campaign.measures.iter().enumerate() {
            let step = Step { time, measure: index };
            let run = folder::run_of(path, part, step, &measure.plugin);
            let manifest = run.manifest()?;
            done.extend(manifest.as_ref().map(|_| step));
            let progress = run.progress();
            let (state, counted) = match (&manifest, progress) {
                (Some(manifest), _) => ("finished", (Some(manifest.records), None)),
                (None, Some(progress)) if is_going_on => {
                    ("running", (Some(progress.done), progress.total))
                }
                (None, Some(_)) => ("stopped", (None, None)),
                (None, None) => ("next", (None, None)),
            };
            runs.push(RunStatus {
                vantage: part.to_owned(),
                time: u64::from(time) + 1,
                measure: index as u64 + 1,
                plugin: measure.plugin.clone(),
                state,
                done: counted.0,
                of: counted.1,
                has_errors: manifest.is_some_and(|manifest| manifest.has_errors),
            });
        }
    }
    Ok(())
}

fn text_of(status: &Status) -> String {
    let mut text = String::new();
    let total = status.of.map(|total| format!(" of {total}")).unwrap_or_default();
    let noun = of(status.of.unwrap_or(status.finished), "run", "runs");
    let next = status.next.as_ref().map(|next| format!(", the next at {next}"));
    // Writing to a `String` does not fail.
    let _ = writeln!(
        text,
        "{}: {}, {}{total} {noun} finished{}; begun {}, {} {}",
        status.name,
        status.state,
        status.finished,
        next.unwrap_or_default(),
        status.began,
        status.targets,
        of(status.targets, "target", "targets"),
    );
    let names = ["time", "vantage", "measurement", "state", "done"];
    let [time, vantage, measurement, state, done] = names;
    let _ = writeln!(text, "{time:>5}  {vantage:<16} {measurement:<20} {state:<9} {done:>12}");
    for run in &status.runs {
        let done = match (run.done, run.of) {
            (Some(done), Some(of)) => format!("{done} of {of}"),
            (Some(done), None) => done.to_string(),
            (None, _) => String::new(),
        };
        let name = format!("{}-{}", run.measure, run.plugin);
        let errors = if run.has_errors { "  with errors" } else { "" };
        let RunStatus { time, vantage, state, .. } = run;
        let _ = writeln!(text, "{time:>5}  {vantage:<16} {name:<20} {state:<9} {done:>12}{errors}");
    }
    text
}
