//! Carries a campaign out on this machine: run after run, as its course says.

use std::path::Path;
use std::time::{Duration, SystemTime};

use pathspider_runtime::say;
use pathspider_runtime::text::path as shown;

use crate::campaign::{Campaign, Measure};
use crate::course::{Course, Next, Step};
use crate::exit::{Exit, Failure};
use crate::folder::{Folder, Manifest, NO_NAME, RunFolder, State, Unfit, lines};
use crate::measuring::{self, Ended, Here};
use crate::metrics::{Current, Shared};
use crate::program::Program;
use crate::stopping::Stopping;
use crate::targets;

/// The longest time between two looks at the clock, which may be set.
const LOOK: Duration = Duration::from_secs(60);

/// Carries a campaign out in a folder, or goes on with it.
///
/// # Errors
///
/// The folder is another campaign's, or a run failed. What was measured stays.
pub(crate) fn run(
    program: &Program,
    (campaign, text): (&Campaign, &str),
    here: &Here,
    path: &Path,
    stopping: &Stopping,
    counters: &Shared,
) -> Result<Exit, Failure> {
    let folder = Folder::lock(path).map_err(of_unfit)?;
    let state = begin(program, campaign, here, &folder)?;
    folder.keep_file(text).map_err(of_unfit)?;
    let began = humantime::parse_rfc3339(&state.began).map_err(|error| {
        let file = shown(path);
        Failure::new(
            Exit::NoOutput,
            format!("the state of {file} has no time of its begin: {error}"),
        )
    })?;
    let part = here.vantage.as_deref().unwrap_or(NO_NAME);
    let done = folder.finished(part, campaign).map_err(of_unfit)?;
    let mut has_errors = state.targets.has_bad_lines;
    for &step in &done {
        has_errors |= has_errors_of(&folder.run(part, step, &campaign.measures[step.measure]))?;
    }
    counters.change(|counters| {
        counters.campaign.clone_from(&campaign.name);
        part.clone_into(&mut counters.vantage);
    });
    let schedule = campaign.schedule.clone();
    let mut course = Course::new(schedule, campaign.measures.len(), began, done);
    loop {
        if stopping.is_asked() {
            say!("stopped; the same command goes on");
            return Ok(Exit::Stopped);
        }
        let now = SystemTime::now();
        match course.next(now) {
            Next::End => break,
            Next::Wait(until) => {
                stopping.wait(until.duration_since(now).unwrap_or_default().min(LOOK));
            }
            Next::Measure(step) => {
                let measure = &campaign.measures[step.measure];
                let run = folder.run(part, step, measure);
                let of = course.total().map(|total| format!(" of {total}")).unwrap_or_default();
                let number =
                    u64::from(step.time) * campaign.measures.len() as u64 + step.measure as u64 + 1;
                say!("{}: run {number}{of}: {}", campaign.name, measure.plugin);
                counters.change(|counters| {
                    let (plugin, folder) =
                        (measure.plugin.clone(), folder.run(part, step, measure));
                    counters.current = Some(Current { step, plugin, folder });
                });
                let turn = Turn { program, campaign, measure, here, step };
                match turn.carry_out(&folder, &run, stopping)? {
                    None => {}
                    Some(errors) => {
                        has_errors |= errors;
                        course.finish(step);
                        counters.change(|counters| {
                            counters.finished += 1;
                            counters.current = None;
                        });
                    }
                }
            }
        }
    }
    say!("{}: all runs are over, in {}", campaign.name, shown(path));
    Ok(if has_errors { Exit::FinishedWithErrors } else { Exit::Finished })
}

/// What the folder is of, from now on at the latest.
fn begin(
    program: &Program,
    campaign: &Campaign,
    here: &Here,
    folder: &Folder,
) -> Result<State, Failure> {
    if let Some(state) = folder.state().map_err(of_unfit)? {
        folder.check(&state, campaign, here.vantage.as_deref()).map_err(of_unfit)?;
        return Ok(state);
    }
    let targets = targets::gather(program, campaign, &folder.new_targets())?;
    let now = SystemTime::now();
    folder.begin(campaign, here.vantage.clone(), (targets, None), now).map_err(of_unfit)
}

/// Whether a run that is over had errors of single targets.
fn has_errors_of(run: &RunFolder) -> Result<bool, Failure> {
    let manifest = run.manifest().map_err(|error| {
        Failure::new(Exit::NoOutput, format!("a run's manifest cannot be read: {error}"))
    })?;
    Ok(manifest.is_some_and(|manifest| manifest.has_errors))
}

/// One run.
struct Turn<'a> {
    program: &'a Program,
    campaign: &'a Campaign,
    measure: &'a Measure,
    here: &'a Here,
    step: Step,
}

impl Turn<'_> {
    /// Measures. Whether there were errors of single targets; `None` where a signal came before the end.
    fn carry_out(
        &self,
        folder: &Folder,
        run: &RunFolder,
        stopping: &Stopping,
    ) -> Result<Option<bool>, Failure> {
        let no_output = |error: std::io::Error| {
            Failure::new(Exit::NoOutput, format!("{}: cannot write: {error}", self.step))
        };
        run.prepare(
            || stopping.is_asked(),
            || say!("waiting for the run to end that a killed campaign has left"),
        )
        .map_err(no_output)?;
        if stopping.is_asked() {
            return Ok(None);
        }
        let files = run.files(folder.targets());
        let words = measuring::words(self.campaign, self.measure, self.here);
        let ended =
            measuring::measure(self.program, words, &files, self.measure.capture, stopping)?;
        let has_errors = match ended {
            Ended::With(Exit::Finished) => false,
            Ended::With(Exit::FinishedWithErrors) => true,
            _ if stopping.is_asked() => return Ok(None),
            Ended::With(exit) => return Err(self.failed(exit, "failed, as it says above")),
            Ended::Otherwise(words) => return Err(self.failed(Exit::Failed, &words)),
        };
        // What reads records finds there which campaign they are of.
        let name = format!("campaign={}", self.campaign.name);
        let words = ["metadata".into(), name.into(), files.records.clone().into_os_string()];
        self.program.ask(words, &[Exit::Finished])?;
        let manifest = Manifest {
            campaign: self.campaign.name.clone(),
            vantage: self.here.vantage.clone(),
            time: u64::from(self.step.time) + 1,
            measure: self.step.measure as u64 + 1,
            plugin: self.measure.plugin.clone(),
            records: lines(&files.records).map_err(no_output)?,
            has_errors,
            files: Vec::new(),
        };
        run.finish(manifest).map_err(no_output)?;
        Ok(Some(has_errors))
    }

    fn failed(&self, exit: Exit, how: &str) -> Failure {
        let (step, plugin) = (self.step, &self.measure.plugin);
        let message = format!("{step}: {plugin} {how}; the same command goes on there");
        Failure::new(exit, message)
    }
}

/// The exit status of a folder that cannot be used.
pub(crate) fn of_unfit(unfit: Unfit) -> Failure {
    match unfit {
        Unfit::Other(message) => Failure::new(Exit::Usage, message),
        Unfit::Io(message) | Unfit::Busy(message) => Failure::new(Exit::NoOutput, message),
    }
}
