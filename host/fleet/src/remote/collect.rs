//! Collects the results of a campaign into a folder, as a run on this machine would leave it: a part for each
//! place. Killed at any moment, the same command goes on.

mod gathering;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use pathspider_runtime::say;
use pathspider_runtime::text::visible;

use super::{Found, Overview, find, look, no_output, steer};
use crate::course::Step;
use crate::exit::{Exit, Failure};
use crate::folder::{Folder, Manifest, RunFolder, State, Targets, sum};
use crate::running::of_unfit;
use crate::server::Server;
use crate::stopping::Stopping;
use crate::wire::{self, Outcome, RESULTS, SHARDS, Wanted, Work};
use gathering::Gathering;

/// How often it is looked whether more is there.
const LOOK: Duration = Duration::from_millis(500);

/// What was collected.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    /// Whether all results are there.
    pub(crate) is_complete: bool,
    pub(crate) records: u64,
    pub(crate) has_errors: bool,
}

/// Collects the results of a campaign into a folder. With `wait`, until all are there.
///
/// # Errors
///
/// The folder is another campaign's, or cannot be written; or a signal came.
pub(crate) async fn collect(
    server: &Server,
    name: &str,
    path: &Path,
    wait: bool,
    stopping: &Stopping,
) -> Result<Collected, Failure> {
    // Before anything is made: there may be no such campaign.
    let found = find(server, name).await?;
    let folder = Folder::lock(path).map_err(of_unfit)?;
    let mut state = begin(server, &folder, &found).await?;
    let mut collecting =
        Collecting { server, folder: &folder, found: &found, whole: BTreeSet::new() };
    let mut said = None;
    loop {
        match collecting.look_round(&mut state, wait).await {
            Ok(Some(collected)) => return Ok(collected),
            Ok(None) => said = None,
            // It is started again, perhaps, or the network is cut.
            Err(Failure::Told { exit: Exit::NoServer | Exit::NoInput, message }) if wait => {
                if said.as_ref() != Some(&message) {
                    say!("{message}; it is waited for");
                }
                said = Some(message);
            }
            Err(failure) => return Err(failure),
        }
        if stopping.is_asked() {
            return Err(Failure::new(Exit::Stopped, "stopped; the same command goes on"));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Makes the folder this campaign's, or checks that it is.
async fn begin(server: &Server, folder: &Folder, found: &Found) -> Result<State, Failure> {
    let campaign = &found.campaign;
    let id = found.definition.id();
    if let Some(state) = folder.state().map_err(of_unfit)? {
        folder.check(&state, campaign, None).map_err(of_unfit)?;
        if state.id.as_ref() != Some(&id) {
            let message = format!(
                "the folder has another campaign of the name {}, or one that was measured here: name \
                 another folder",
                campaign.name
            );
            return Err(Failure::new(Exit::Usage, message));
        }
        return Ok(state);
    }
    let failed = |error: io::Error| no_output("cannot write the targets", &error);
    let path = folder.new_targets();
    let mut file = File::create(&path).map_err(failed)?;
    for (shard, wanted) in found.definition.shards.iter().enumerate() {
        let there = server.get(SHARDS, wire::shard(&campaign.name, shard as u32)).await?;
        let payload = there.map(|kept| kept.payload).unwrap_or_default();
        if wire::digest(&payload) != *wanted {
            let message =
                format!("shard {} on the server cannot be read: its sum differs", shard + 1);
            return Err(Failure::new(Exit::NoInput, message));
        }
        // Compressed files that follow each other are one.
        file.write_all(&payload).map_err(failed)?;
    }
    file.sync_all().map_err(failed)?;
    let targets = Targets {
        count: found.definition.targets,
        sha256: sum(&path).map_err(failed)?.1,
        has_bad_lines: found.definition.has_bad_lines,
    };
    folder.keep_file(&found.definition.text).map_err(of_unfit)?;
    folder.begin(campaign, None, (targets, Some(id)), found.submitted).map_err(of_unfit)
}

/// A campaign that is being collected.
struct Collecting<'a> {
    server: &'a Server,
    folder: &'a Folder,
    found: &'a Found,
    /// The runs that are in the folder as a whole.
    whole: BTreeSet<(String, Step)>,
}

impl Collecting<'_> {
    /// Takes what is there. What was collected, where nothing more is to be waited for.
    async fn look_round(
        &mut self,
        state: &mut State,
        wait: bool,
    ) -> Result<Option<Collected>, Failure> {
        let name = &self.found.campaign.name;
        // Who is silent is of no concern here.
        let overview = look(self.server, name, Duration::MAX).await?;
        let is_last = overview.complete || !wait || overview.wanted == Wanted::Cancelled;
        let collected = self.take(state, &overview, is_last).await?;
        if collected.is_complete && is_last && overview.wanted != Wanted::Collected {
            // Only now need agents not keep their files any more.
            steer(self.server, name, |control| control.wanted = Wanted::Collected).await?;
        }
        Ok(is_last.then_some(collected))
    }

    /// Takes the runs that are whole, and as the last thing also those that are not.
    async fn take(
        &mut self,
        state: &mut State,
        overview: &Overview,
        is_last: bool,
    ) -> Result<Collected, Failure> {
        let mut all = Collected {
            is_complete: overview.complete,
            has_errors: self.found.definition.has_bad_lines,
            ..Collected::default()
        };
        for place in overview.places.iter().map(|place| &place.vantage) {
            if !state.collected.contains(place) {
                state.collected.push(place.clone());
                self.folder.keep_state(state).map_err(of_unfit)?;
            }
            let (name, shards) = (&self.found.campaign.name, self.found.definition.shards.len());
            let subjects = self.server.subjects(RESULTS, wire::results(name, place)).await?;
            let mut steps = BTreeMap::<Step, BTreeSet<u32>>::new();
            let works = subjects.iter().filter_map(|of| wire::work_of(of));
            for Work { step, shard } in works.filter(|work| self.found.has(*work)) {
                steps.entry(step).or_default().insert(shard);
            }
            for (step, there) in steps {
                let is_whole = there.len() == shards;
                if is_whole || is_last {
                    self.take_run(place, step, there, is_whole, &mut all).await?;
                }
            }
        }
        Ok(all)
    }

    /// Takes a run of a place.
    async fn take_run(
        &mut self,
        place: &str,
        step: Step,
        there: BTreeSet<u32>,
        is_whole: bool,
        all: &mut Collected,
    ) -> Result<(), Failure> {
        let campaign = &self.found.campaign;
        let Some(measure) = campaign.measures.get(step.measure) else { return Ok(()) };
        let run = self.folder.run(place, step, measure);
        let failed = |error: io::Error| no_output("cannot write what was collected", &error);
        let is_known = self.whole.contains(&(place.to_owned(), step));
        if let Some(manifest) = run.manifest().map_err(failed)? {
            all.records += manifest.records;
            all.has_errors |= manifest.has_errors;
            self.whole.insert((place.to_owned(), step));
            return Ok(());
        }
        if is_known {
            return Ok(());
        }
        run.prepare(|| false, || {}).map_err(failed)?;
        let mut gathering = Gathering::begin(&run.new_records()).map_err(failed)?;
        let mut are_all_good = is_whole;
        for shard in there {
            let work = Work { step, shard };
            let taken = self.take_result(place, work, &mut gathering).await?;
            if let Err(reason) = taken {
                are_all_good = false;
                let reason = visible(&reason, 300);
                say!("{place}: {step}, shard {}: the result is left out: {reason}", shard + 1);
            }
        }
        all.has_errors |= gathering.has_errors || (is_whole && !are_all_good);
        all.is_complete &= are_all_good;
        all.records += gathering.records;
        let manifest = Manifest {
            campaign: campaign.name.clone(),
            vantage: Some(place.to_owned()),
            time: u64::from(step.time) + 1,
            measure: step.measure as u64 + 1,
            plugin: measure.plugin.clone(),
            records: gathering.records,
            has_errors: gathering.has_errors,
            files: Vec::new(),
        };
        self.finish(&run, gathering, are_all_good.then_some(manifest)).map_err(failed)
    }

    /// Adds a result to what is gathered; why not, where it is none of this campaign's.
    async fn take_result(
        &self,
        place: &str,
        work: Work,
        gathering: &mut Gathering,
    ) -> Result<Result<(), String>, Failure> {
        let subject = wire::result(&self.found.campaign.name, place, work);
        let Some(kept) = self.server.get(RESULTS, subject).await? else {
            return Ok(Err("the server has lost it".to_owned()));
        };
        let outcome = match Outcome::read(&kept.payload) {
            Ok(outcome) => outcome,
            Err(reason) => return Ok(Err(reason)),
        };
        let shard = self.found.definition.shards.get(work.shard as usize);
        if outcome.head.campaign != self.found.definition.id() || shard != Some(&outcome.head.shard)
        {
            return Ok(Err("it is of another campaign, or of another shard".to_owned()));
        }
        gathering.add(&outcome, place).map_err(|error| no_output("cannot write", &error))
    }

    fn finish(
        &self,
        run: &RunFolder,
        gathering: Gathering,
        manifest: Option<Manifest>,
    ) -> io::Result<()> {
        let files = run.files(PathBuf::new());
        gathering.finish(&files.records, &self.found.campaign.name)?;
        manifest.map_or(Ok(()), |manifest| run.finish(manifest))
    }
}
