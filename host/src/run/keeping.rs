//! What a run keeps beside its records: the metadata, and what lets another run go on after it.

mod describe;
mod ending;

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::plan::Plan;
use super::{Ended, RunError, Settings};
use crate::job::Done;
use crate::output::{
    Codec, Good, Metadata, Output, OutputError, RecordWriter, TIME_END, TIME_START, beside, scan,
    time,
};
use describe::{begun, describe};
pub(super) use ending::LastWord;
use ending::Report;
use pathspider_observer::{FILE_HEADER, PcapWriter, Saved};
use pathspider_runtime::files::{self, Existing, New, Opened};
use pathspider_runtime::say;
use pathspider_runtime::stop::Asked;

/// What must be the same for a run to go on after another one.
const SETTINGS: [&str; 10] = [
    "plugin.name",
    "plugin.version",
    "plugin.options",
    "plugin.configurations",
    "settings.output_flows",
    "settings.duplicates",
    "settings.resolve",
    "settings.source_public",
    "settings.source_asn",
    "settings.body_limit",
];

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

/// What is kept of this run.
#[derive(Default)]
pub(super) struct Keeping {
    /// `None` where the output is no file.
    file: Option<FileKept>,
    /// A pipe or device that is the output.
    stream: Option<Opened>,
    /// The capture file, held as the output is, and what it has.
    capture: Option<(Opened, Saved)>,
    /// What was made for this run, the output before all: removed again if it cannot even start.
    made: Vec<New>,
    /// What the runs before have measured.
    pub(super) done: Option<Done>,
}

/// An output that is a file, and what stands beside it.
struct FileKept {
    /// Held from the moment on from which it is judged, so that no other run changes it meanwhile;
    /// `None` once it is written to.
    held: Option<Held>,
    metadata: Metadata,
}

/// A file and its list of jobs without a record, as they were found.
struct Held {
    output: Opened,
    length: u64,
    without: PathBuf,
    /// The list, where it is there, and how much of it is good.
    list: Option<(Opened, u64)>,
}

impl Keeping {
    /// Finds out what there is, and refuses what does not fit. What is there is held, and not
    /// changed yet; what is not is made, and goes with this value if it stays empty. Named pipes are
    /// opened when somebody reads them.
    pub(super) fn prepare(
        settings: &Settings<'_>,
        plan: &Plan,
        is_asked: Asked<'_>,
    ) -> Result<Keeping, RunError> {
        let existing = settings.keep.existing;
        let mut keeping = Keeping::default();
        match &settings.output {
            Output::File(path) if is_file(path) => keeping.hold(path, settings, plan, is_asked)?,
            Output::File(path) => keeping.stream = Some(hold(path, existing, is_asked)?),
            Output::Stdout if existing == Existing::Continue => {
                return Err(RunError::Settings(
                    "--resume goes on with a file: name it with --output".to_owned(),
                ));
            }
            Output::Stdout => {}
        }
        if let Some(path) = &settings.save_pcap {
            keeping.capture = Some(hold_capture(path, existing, is_asked)?);
        }
        Ok(keeping)
    }

    fn hold(
        &mut self,
        path: &Path,
        settings: &Settings<'_>,
        plan: &Plan,
        is_asked: Asked<'_>,
    ) -> Result<(), RunError> {
        let existing = settings.keep.existing;
        let fail = |error| OutputError::new(&settings.output, error);
        let mut metadata = describe(settings, plan, path).map_err(fail)?;
        let without = without(path);
        let output = hold(path, existing, is_asked)?;
        let listed = |error| OutputError::new(&without.display(), error);
        let mut list = files::hold_beside(&without).map_err(listed)?.map(|list| (list, 0));
        let mut length = 0;
        match existing {
            Existing::Continue => {
                let mut done =
                    Done::new(settings.measurement.info.names, settings.rules.duplicates);
                length = scan_held(path, &output, &mut done, is_asked)?;
                if let Some((list, good)) = &mut list {
                    // A job whose line is torn is not known, and is measured once more.
                    *good = scan_held(&without, list, &mut done, is_asked)?;
                }
                let size = |opened: &Opened| opened.file.metadata().map_or(0, |file| file.len());
                let there = size(&output) > 0 || list.as_ref().is_some_and(|(l, _)| size(l) > 0);
                metadata = go_on(path, there, metadata)?;
                self.done = Some(done);
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
        self.file = Some(FileKept { held: Some(Held { output, length, without, list }), metadata });
        Ok(())
    }

    /// Begins to write: what is known of the run, then to the output beside which that stands, and
    /// to the capture file, if there is to be one. `link`: the link type of what will be captured, if
    /// known.
    pub(super) fn open(
        &mut self,
        settings: &Settings<'_>,
        link: Option<u32>,
    ) -> Result<(RecordWriter, Option<PcapWriter>), RunError> {
        let writer = match (&mut self.file, self.stream.take()) {
            (Some(file), _) => file.begin(settings, &mut self.made)?,
            (None, Some(opened)) => RecordWriter::on(settings.output.clone(), &opened, 0)?,
            (None, None) => RecordWriter::standard_output(),
        };
        let capture = settings.save_pcap.as_deref().zip(self.capture.take());
        let capture = capture.map(|(path, (mut opened, there))| {
            let writer = PcapWriter::begin(path, &opened, there, link);
            opened.new.begins_with(FILE_HEADER);
            self.made.push(std::mem::take(&mut opened.new));
            writer.map_err(|error| OutputError::new(&path.display(), error))
        });
        Ok((writer, capture.transpose()?))
    }

    /// Writes what came of the run. One that could not start leaves no file that was not there.
    pub(super) fn end(mut self, ended: &Result<Ended, RunError>) -> Result<(), OutputError> {
        let Some(FileKept { held: None, metadata }) = &mut self.file else { return Ok(()) };
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

    /// What can end the metadata of a run that is under way without this value.
    pub(super) fn last_word(&self) -> Option<LastWord> {
        let FileKept { held, metadata } = self.file.as_ref()?;
        held.is_none().then(|| LastWord::new(metadata.clone()))
    }
}

impl FileKept {
    /// Begins to write. What may fail, and leaves all as it was then, goes before what empties.
    fn begin(
        &mut self,
        settings: &Settings<'_>,
        made: &mut Vec<New>,
    ) -> Result<RecordWriter, RunError> {
        let metadata = &mut self.metadata;
        let start = time(SystemTime::now());
        if metadata.get(TIME_START).is_none() {
            metadata.set(TIME_START, start.clone());
        }
        metadata.begin_run(begun(settings, metadata, &start));
        metadata.begin().map_err(|error| OutputError::new(&metadata.path().display(), error))?;
        let Some(Held { mut output, length, without, mut list }) = self.held.take() else {
            return Err(RunError::System("the output was opened before".to_owned()));
        };
        made.push(std::mem::take(&mut output.new));
        // Before the output, so that no list outlives it.
        if settings.keep.existing == Existing::Overwrite && list.take().is_some() {
            files::remove(&without).map_err(|error| OutputError::new(&without.display(), error))?;
        }
        let mut writer = RecordWriter::on(settings.output.clone(), &output, length)?;
        writer.note_jobs_without(without, list)?;
        Ok(writer)
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

fn hold(path: &Path, existing: Existing, is_asked: Asked<'_>) -> Result<Opened, OutputError> {
    files::hold(path, existing, is_asked).map_err(|error| OutputError::new(&path.display(), error))
}

fn hold_capture(
    path: &Path,
    existing: Existing,
    is_asked: Asked<'_>,
) -> Result<(Opened, Saved), OutputError> {
    let opened = hold(path, existing, is_asked)?;
    let there = pathspider_observer::scan(&opened, existing, is_asked)
        .map_err(|error| OutputError::reading(&path.display(), error))?;
    tell_torn(path, there.torn);
    Ok((opened, there))
}

/// Adds a file's targets to `done`; gives how many octets of it are good.
fn scan_held(
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

/// The metadata of an output that is gone on with, if the settings are the same. `there`: whether
/// it has anything.
fn go_on(path: &Path, there: bool, ours: Metadata) -> Result<Metadata, RunError> {
    let refuse = |reason: String| {
        Err(RunError::Settings(format!("{} cannot be resumed: {reason}", path.display())))
    };
    match Metadata::read(path) {
        Ok(None) if !there => Ok(ours),
        Ok(None) => {
            refuse(format!("{} is missing, which says how it was made", ours.path().display()))
        }
        Err(error) => refuse(format!("{} cannot be read: {error}", ours.path().display())),
        Ok(Some(theirs)) => {
            let differences = theirs.differences(&ours, &SETTINGS);
            if !differences.is_empty() && there {
                return refuse(differences.join("; "));
            }
            let mut metadata = ours.over(theirs);
            metadata.remove(TIME_END);
            Ok(metadata)
        }
    }
}
