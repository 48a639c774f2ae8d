//! What a run keeps beside its records: the metadata, and what lets another run go on after it.
//!
//! It has states as the run has: outputs are locked ([`LockedOutputs`]), then begun ([`Kept`]), then
//! closed.

mod describe;
mod ending;
mod recipe;

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::plan::Plan;
use super::{RunEnd, RunError, RunOptions};
use crate::job::Done;
use crate::output::{
    Answers, Codec, Good, Metadata, Origin, Output, OutputError, RecordWriter, TIME_END,
    TIME_START, beside, scan, time,
};
use describe::{begun, describe};
pub(super) use ending::LastWord;
use ending::Report;
use pathspider_observer::{FILE_HEADER, PcapWriter, Saved};
use pathspider_runtime::files::{self, Existing, New, Opened};
use pathspider_runtime::say;
use pathspider_runtime::stop::Asked;

/// How outputs that are there already are met, and whose records they are.
#[derive(Debug, Clone, Default)]
pub struct Keep {
    /// What to do with an output, and a capture file, that is there.
    pub existing: Existing,
    /// The owner of the records, for the metadata.
    pub owner: Option<String>,
    /// The command, word by word.
    pub command: Vec<String>,
}

/// The outputs of a run, locked: no other run changes them, and they are as they were. What was not
/// there is made, and goes with this value if it stays empty.
pub(super) struct LockedOutputs {
    records: Records,
    /// The capture file, and what it has.
    capture: Option<(Opened, Saved)>,
    /// What the runs before have measured.
    done: Option<Done>,
}

/// Where records go.
enum Records {
    StandardOutput,
    /// A pipe or device.
    Stream(Opened),
    File(Box<LockedFile>),
}

/// An output that is a file, and what stands beside it, as they were found.
struct LockedFile {
    output: Opened,
    /// Octets of it that are good.
    length: u64,
    /// The list of jobs without a record.
    without: PathBuf,
    /// That, where it is there, and how much of it is good.
    list: Option<(Opened, u64)>,
    metadata: Metadata,
}

/// What the stages of a run write to.
pub(super) struct Written {
    pub(super) writer: RecordWriter,
    /// The capture file.
    pub(super) save: Option<PcapWriter>,
    /// What the runs before have measured.
    pub(super) done: Option<Done>,
}

/// What is kept of a run whose outputs are begun.
#[derive(Default)]
pub(super) struct Kept {
    /// `None` where the output is no file.
    metadata: Option<Metadata>,
    /// What was made for this run, the output before all: removed again if it cannot even start.
    made: Vec<New>,
}

/// What the metadata of a run would say of what makes its records.
pub(super) fn foresee(
    options: &RunOptions<'_>,
    plan: &Plan,
) -> Result<serde_json::Value, RunError> {
    // No file has this name, and nothing is written.
    let path = Path::new("/dev/null");
    let metadata = describe(options, plan, path);
    let metadata = metadata.map_err(|error| OutputError::new(&path.display(), error))?;
    let of = |key: &str| metadata.get(key).cloned().unwrap_or_default();
    Ok(serde_json::json!({
        "program": of("program"),
        "plugin": of("plugin"),
        "settings": of("settings"),
        "default_port": plan.default_port,
        "workers": options.workers,
    }))
}

impl LockedOutputs {
    /// Locks the outputs, finds out what they have, and refuses what does not fit. Named pipes are
    /// opened when somebody reads them.
    pub(super) fn lock(
        options: &RunOptions<'_>,
        plan: &Plan,
        is_asked: Asked<'_>,
    ) -> Result<LockedOutputs, RunError> {
        let existing = options.keep.existing;
        let mut done = None;
        let records = match &options.output {
            Output::File(path) if is_file(path) => {
                let (file, measured) = LockedFile::lock(path, options, plan, is_asked)?;
                done = measured;
                Records::File(Box::new(file))
            }
            Output::File(path) => Records::Stream(lock(path, existing, is_asked)?),
            Output::Stdout if existing == Existing::Continue => {
                return Err(RunError::Settings(
                    "--resume goes on with a file: name it with --output".to_owned(),
                ));
            }
            Output::Stdout => Records::StandardOutput,
        };
        let capture = options.save_pcap.as_deref();
        let capture = capture.map(|path| lock_capture(path, existing, is_asked)).transpose()?;
        Ok(LockedOutputs { records, capture, done })
    }

    /// Begins to write: first what is known of the run, then to the output beside which that
    /// stands, and to the capture file, if there is to be one. `link`: the link type of what will be
    /// captured, if known. Where that fails, what was there stays as far as it can.
    pub(super) fn open(
        self,
        options: &RunOptions<'_>,
        plan: &Plan,
        link: Option<u32>,
    ) -> Result<(Written, Kept), RunError> {
        let mut kept = Kept::default();
        let answers = options.answers.clone().map(|conditions| {
            let labels = plan.configurations.iter().map(|one| one.label().to_owned());
            Answers::new(labels.collect(), conditions)
        });
        match self.begin(options, plan, link, &mut kept) {
            Ok(written) => {
                let origin = Origin::new(plan.run, &options.measurement.info, &options.labels);
                let writer = written.writer.answering(answers).signing(origin);
                Ok((Written { writer, ..written }, kept))
            }
            Err(error) => Err(kept.close_failed(error)),
        }
    }

    fn begin(
        self,
        options: &RunOptions<'_>,
        plan: &Plan,
        link: Option<u32>,
        kept: &mut Kept,
    ) -> Result<Written, RunError> {
        let LockedOutputs { records, capture, done } = self;
        let writer = match records {
            Records::File(file) => file.begin(options, plan, kept)?,
            Records::Stream(opened) => RecordWriter::on(options.output.clone(), &opened, 0)?,
            Records::StandardOutput => RecordWriter::standard_output(),
        };
        let capture = options.save_pcap.as_deref().zip(capture);
        let save = capture.map(|(path, (mut opened, there))| {
            let writer = PcapWriter::begin(path, &opened, there, link);
            opened.new.begins_with(FILE_HEADER);
            kept.made.push(std::mem::take(&mut opened.new));
            writer.map_err(|error| OutputError::new(&path.display(), error))
        });
        Ok(Written { writer, save: save.transpose()?, done })
    }
}

impl LockedFile {
    /// With what it has, where the run goes on with it.
    fn lock(
        path: &Path,
        options: &RunOptions<'_>,
        plan: &Plan,
        is_asked: Asked<'_>,
    ) -> Result<(LockedFile, Option<Done>), RunError> {
        let existing = options.keep.existing;
        let fail = |error| OutputError::new(&options.output, error);
        let mut metadata = describe(options, plan, path).map_err(fail)?;
        let without = without(path);
        let output = lock(path, existing, is_asked)?;
        let listed = |error| OutputError::new(&without.display(), error);
        let mut list = files::lock_beside(&without).map_err(listed)?.map(|list| (list, 0));
        let (mut length, mut measured) = (0, None);
        match existing {
            Existing::Continue => {
                let info = &options.measurement.info;
                let mut done = Done::new(info.names, options.rules.duplicates);
                if options.rules.rounds.is_some() {
                    done = done.in_rounds(info.conditions.clone());
                }
                length = scan_locked(path, &output, &mut done, is_asked)?;
                if let Some((list, good)) = &mut list {
                    // A job whose line is torn is not known, and is measured once more.
                    *good = scan_locked(&without, list, &mut done, is_asked)?;
                }
                let size = |opened: &Opened| opened.file.metadata().map_or(0, |file| file.len());
                let there = size(&output) > 0 || list.as_ref().is_some_and(|(l, _)| size(l) > 0);
                metadata = go_on(path, there, metadata)?;
                measured = Some(done);
            }
            Existing::Refuse => {
                let beside = [metadata.path(), &without];
                let there = beside.into_iter().find(|path| path.symlink_metadata().is_ok());
                if let Some(there) = there {
                    let error = io::ErrorKind::AlreadyExists.into();
                    return Err(OutputError::new(&there.display(), error).into());
                }
            }
            Existing::Overwrite => {}
        }
        Ok((LockedFile { output, length, without, list, metadata }, measured))
    }

    /// Begins to write. What may fail, and leaves all as it was then, goes before what empties.
    fn begin(
        self,
        options: &RunOptions<'_>,
        plan: &Plan,
        kept: &mut Kept,
    ) -> Result<RecordWriter, RunError> {
        let LockedFile { mut output, length, without, mut list, mut metadata } = self;
        let start = time(SystemTime::now());
        if metadata.get(TIME_START).is_none() {
            metadata.set(TIME_START, start.clone());
        }
        metadata.begin_run(begun(options, plan, &metadata, &start));
        metadata.begin().map_err(|error| OutputError::new(&metadata.path().display(), error))?;
        kept.metadata = Some(metadata);
        kept.made.push(std::mem::take(&mut output.new));
        // Before the output, so that no list outlives it.
        if options.keep.existing == Existing::Overwrite && list.take().is_some() {
            files::remove(&without).map_err(|error| OutputError::new(&without.display(), error))?;
        }
        let mut writer = RecordWriter::on(options.output.clone(), &output, length)?;
        writer.note_jobs_without(without, list)?;
        Ok(writer)
    }
}

impl Kept {
    /// What can end the metadata of a run that is under way without this value.
    pub(super) fn last_word(&self) -> Option<LastWord> {
        self.metadata.clone().map(LastWord::new)
    }

    /// Writes what came of the run, the last thing of all.
    pub(super) fn close(self, mut ended: Result<RunEnd, RunError>) -> Result<RunEnd, RunError> {
        match (self.end(ended.as_ref()), &mut ended) {
            (Ok(()), _) => {}
            (Err(error), Ok(RunEnd { failure: failure @ None, .. })) => {
                *failure = Some(error.into());
            }
            // It failed of something else before.
            (Err(error), _) => say!("{error}"),
        }
        ended
    }

    /// The same for a run that could not start.
    fn close_failed(self, error: RunError) -> RunError {
        if let Err(error) = self.end(Err(&error)) {
            say!("{error}");
        }
        error
    }

    /// A run that could not start leaves no file that was not there.
    fn end(mut self, ended: Result<&RunEnd, &RunError>) -> Result<(), OutputError> {
        let Some(metadata) = &mut self.metadata else { return Ok(()) };
        if ended.is_ok() {
            self.made.iter_mut().for_each(New::keep);
        } else if self.made.first_mut().is_some_and(New::undo) {
            // The first one was the output.
            let _ = files::remove(metadata.path());
            return Ok(());
        }
        let (why, report) = match ended {
            Ok(ended) => (ended.reason(), Report::of(ended)),
            Err(error) => (error.to_string(), Report::default()),
        };
        report.write(metadata, why)
    }
}

/// Whether a path is a file, or will be.
pub(super) fn is_file(path: &Path) -> bool {
    path.metadata().map_or(true, |metadata| metadata.is_file())
}

/// The metadata of an output that is a file, and its list of jobs without a record.
pub(super) fn files_beside(output: &Path) -> [PathBuf; 2] {
    [Metadata::new(output).path().to_owned(), without(output)]
}

fn without(output: &Path) -> PathBuf {
    beside(output, ".without")
}

fn lock(path: &Path, existing: Existing, is_asked: Asked<'_>) -> Result<Opened, OutputError> {
    files::lock(path, existing, is_asked).map_err(|error| OutputError::new(&path.display(), error))
}

fn lock_capture(
    path: &Path,
    existing: Existing,
    is_asked: Asked<'_>,
) -> Result<(Opened, Saved), OutputError> {
    let opened = lock(path, existing, is_asked)?;
    let there = pathspider_observer::scan(&opened, existing, is_asked)
        .map_err(|error| OutputError::reading(&path.display(), error))?;
    tell_torn(path, there.torn);
    Ok((opened, there))
}

/// Adds a file's targets to `done`; gives how many octets of it are good.
fn scan_locked(
    path: &Path,
    opened: &Opened,
    done: &mut Done,
    is_asked: Asked<'_>,
) -> Result<u64, OutputError> {
    let Good { length, torn } = scan(&opened.file, Codec::of(path), done, is_asked)
        .map_err(|error| OutputError::reading(&path.display(), error))?;
    tell_torn(path, torn);
    Ok(length)
}

fn tell_torn(path: &Path, torn: u64) {
    if torn > 0 {
        say!("{}: {torn} octets of a torn end are cut off", path.display());
    }
}

/// The metadata of an output that is gone on with, if its recipe is the same. `there`: whether it
/// has anything.
fn go_on(path: &Path, there: bool, ours: Metadata) -> Result<Metadata, RunError> {
    let refuse = |reason: String| {
        Err(RunError::Settings(format!("{} cannot be resumed: {reason}", path.display())))
    };
    let file = ours.path().display().to_string();
    let theirs = match Metadata::read(path) {
        Ok(None) if !there => return Ok(ours),
        Ok(None) => return refuse(format!("{file} is missing, which says how it was made")),
        Err(error) => return refuse(format!("{file} cannot be read: {error}")),
        Ok(Some(theirs)) => theirs,
    };
    if there {
        match theirs.recipe().and_then(|theirs| theirs.differences(&ours.recipe()?)) {
            Ok(same) if same.is_empty() => {}
            Ok(differences) => return refuse(differences.join("; ")),
            Err(error) => return refuse(format!("{file} does not say how it was made: {error}")),
        }
    }
    let mut metadata = ours.over(theirs);
    metadata.remove(TIME_END);
    Ok(metadata)
}
