//! The writer of records: one JSON object per line, in whole lines, nothing else.
//!
//! The format is PATHspider 2.x's. A measurement's record has the job's own keys, then `sip`,
//! `path` (source, `*` for what lies between, target), `conditions`, `time` (`from`, `to`; RFC
//! 3339, UTC) and `jobId`; with flows also `missed_flows` and `flow_results`, one object per
//! configuration. Where the plugin failed there is `spdr_error`, and `conditions` is empty. What is the
//! same in all records of a run ends each line ([`Origin`]). All keys stand in `docs/records.md`.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pathspider_plugin_api::Record;

use super::answer::Answers;
use super::codec::Codec;
use super::json;
use super::origin::Origin;
use super::sink::Sink;
use super::told::Line;
use pathspider_runtime::files::{self, Existing, Opened};
use pathspider_runtime::stop::Asked;
use pathspider_runtime::text;

/// Octets that wait for more before they are written.
const BUFFER: usize = 1 << 16;

/// Where records go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// A file; compressed where its name ends in `.zst` or `.gz`.
    File(PathBuf),
}

impl Output {
    /// The output that an argument names: `-` is standard output.
    pub fn from_argument(path: &Path) -> Output {
        if path == Path::new("-") { Output::Stdout } else { Output::File(files::absolute(path)) }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Output::Stdout => f.write_str("standard output"),
            Output::File(path) => path.display().fmt(f),
        }
    }
}

/// Records cannot be written, or what is there not be read to go on with it.
#[derive(Debug, thiserror::Error)]
#[error("cannot {} {output}: {}", .deed, reason(.error))]
pub struct OutputError {
    /// The output's name.
    pub output: String,
    /// The system's reason.
    pub error: io::Error,
    deed: &'static str,
}

impl OutputError {
    /// What an output's writing failed of.
    pub(crate) fn new(output: &impl fmt::Display, error: io::Error) -> OutputError {
        OutputError { output: output.to_string(), error, deed: "write to" }
    }

    /// Whether it was told to stop while it waited for a reader, or read what is there.
    pub(crate) fn is_stopped(&self) -> bool {
        self.error.kind() == io::ErrorKind::Interrupted
    }

    /// What its reading failed of.
    pub(crate) fn reading(output: &impl fmt::Display, error: io::Error) -> OutputError {
        OutputError { deed: "read", ..OutputError::new(output, error) }
    }
}

/// The system's reason, and what to do about it.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AlreadyExists => {
            "it is there already (--force writes over it; measure --resume goes on with it)".into()
        }
        _ => error.to_string(),
    }
}

/// Writes records.
pub struct RecordWriter {
    output: Output,
    sink: Sink,
    lines: Vec<u8>,
    /// Where each job's records end in them.
    ends: Vec<usize>,
    /// How many jobs these are, for others.
    waiting: Arc<AtomicU64>,
    /// Jobs whose records could not be written.
    lost: u64,
    /// What says records in sentences, in place of JSON.
    answers: Option<Answers>,
    /// What ends each record.
    origin: Option<Origin>,
    /// Where jobs are noted that have no record, so that a run that goes on knows of them.
    without: Option<Without>,
}

impl RecordWriter {
    /// Opens an output; a named pipe when somebody reads it.
    ///
    /// # Errors
    ///
    /// The file cannot be made or opened, or is there already; or it was told to stop before anybody
    /// read the pipe.
    pub fn open(
        output: Output,
        existing: Existing,
        is_asked: Asked<'_>,
    ) -> Result<RecordWriter, OutputError> {
        let opened = match &output {
            Output::Stdout => return Ok(RecordWriter::standard_output()),
            Output::File(path) => files::open(path, existing, is_asked),
        };
        match opened {
            Ok(opened) => RecordWriter::on(output, &opened, 0),
            Err(error) => Err(OutputError::new(&output, error)),
        }
    }

    /// Writes to an output that is open already, after its first `length` octets, which are good.
    pub(crate) fn on(
        output: Output,
        opened: &Opened,
        length: u64,
    ) -> Result<RecordWriter, OutputError> {
        let codec = match &output {
            Output::Stdout => Codec::Plain,
            Output::File(path) => Codec::of(path),
        };
        match Sink::file(opened, codec, length) {
            Ok(sink) => Ok(RecordWriter::new(output, sink)),
            Err(error) => Err(OutputError::new(&output, error)),
        }
    }

    /// Writes to standard output.
    pub(crate) fn standard_output() -> RecordWriter {
        RecordWriter::new(Output::Stdout, Sink::standard_output())
    }

    fn new(output: Output, sink: Sink) -> RecordWriter {
        let lines = Vec::with_capacity(2 * BUFFER);
        let (ends, waiting) = (Vec::new(), Arc::default());
        let (answers, origin, without) = (None, None, None);
        RecordWriter { output, sink, lines, ends, waiting, lost: 0, answers, origin, without }
    }

    /// Ends each record with what is the same in all of the run from now on.
    pub(crate) fn signing(self, origin: Origin) -> RecordWriter {
        RecordWriter { origin: Some(origin), ..self }
    }

    /// Says records in sentences for people from now on.
    pub(crate) fn answering(self, answers: Option<Answers>) -> RecordWriter {
        RecordWriter { answers, ..self }
    }

    /// Notes jobs without a record in this file. If the file is there already, its first `good` octets
    /// stay.
    pub(crate) fn note_jobs_without(
        &mut self,
        path: PathBuf,
        there: Option<(Opened, u64)>,
    ) -> Result<(), OutputError> {
        let sink = there.map(|(opened, length)| Sink::file(&opened, Codec::Plain, length));
        let sink = sink.transpose().map_err(|error| OutputError::new(&path.display(), error))?;
        self.without = Some(Without { path, sink, lines: Vec::new() });
        Ok(())
    }

    /// Writes a record, sooner or later.
    ///
    /// # Errors
    ///
    /// The disk is full, the pipe is closed, and the like.
    pub fn write(&mut self, record: &impl Line) -> Result<(), OutputError> {
        self.write_job(std::slice::from_ref(record))
    }

    /// Writes the records of one job, sooner or later, and together.
    ///
    /// # Errors
    ///
    /// As for [`write`](RecordWriter::write).
    pub fn write_job<L: Line>(&mut self, records: &[L]) -> Result<(), OutputError> {
        for record in records {
            match self.answers.as_ref().zip(record.record()) {
                Some((answers, record)) => answers.write(record, &mut self.lines),
                None => {
                    let begin = self.lines.len();
                    record.write(&mut self.lines).map_err(|error| self.fail(error.into()))?;
                    json::escape_from(&mut self.lines, begin);
                    if let Some(origin) = &self.origin {
                        origin.sign(&mut self.lines);
                    }
                    self.lines.push(b'\n');
                }
            }
        }
        self.ends.push(self.lines.len());
        self.waiting.store(self.ends.len() as u64, Ordering::Relaxed);
        self.flush_if_full()
    }

    /// How many jobs' records wait to be written, for an end of the run that does not wait for the writer.
    pub(crate) fn waiting(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.waiting)
    }

    /// Jobs whose records, or some of them, could not be written.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// Writes a line that is there already, without its end, sooner or later: as it is, but for what
    /// a terminal would not show of it.
    ///
    /// # Errors
    ///
    /// As for [`write`](RecordWriter::write).
    pub fn write_line(&mut self, line: &[u8]) -> Result<(), OutputError> {
        match std::str::from_utf8(line) {
            Ok(text) => self.lines.extend_from_slice(text::json(text).as_bytes()),
            Err(_) => self.lines.extend_from_slice(line),
        }
        self.lines.push(b'\n');
        self.flush_if_full()
    }

    fn flush_if_full(&mut self) -> Result<(), OutputError> {
        if self.lines.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    /// Notes a job that has no record.
    pub(crate) fn note_without(&mut self, record: &Record) {
        if let Some(without) = &mut self.without {
            let _ = json::line(&mut without.lines, record);
        }
    }

    /// Writes all that waits, in whole lines; what is compressed may wait for its frame.
    ///
    /// # Errors
    ///
    /// As for [`write`](RecordWriter::write).
    pub fn flush(&mut self) -> Result<(), OutputError> {
        if self.sink.wants(self.lines.len()) {
            self.write_out()?
        } else {
            self.write_without(Without::write)?
        }
        self.sink.tick().map_err(|error| self.fail(error))
    }

    /// Writes all that waits, and has the disk keep it.
    ///
    /// # Errors
    ///
    /// As for [`write`](RecordWriter::write).
    pub fn finish(&mut self) -> Result<(), OutputError> {
        if !self.lines.is_empty() {
            self.write_out()?;
        }
        let finished = self.sink.finish().map_err(|error| self.fail(error));
        finished.and(self.write_without(Without::finish))
    }

    fn write_out(&mut self) -> Result<(), OutputError> {
        let before = self.sink.good();
        let written = self.sink.write(&self.lines);
        if written.is_err() {
            let kept = self.sink.good() - before;
            self.lost += self.ends.iter().filter(|&&end| end as u64 > kept).count() as u64;
        }
        self.lines.clear();
        self.ends.clear();
        self.waiting.store(0, Ordering::Relaxed);
        written.map_err(|error| self.fail(error))?;
        self.write_without(Without::write)
    }

    fn write_without(
        &mut self,
        write: fn(&mut Without) -> io::Result<()>,
    ) -> Result<(), OutputError> {
        let Some(without) = &mut self.without else { return Ok(()) };
        write(without).map_err(|error| OutputError::new(&without.path.display(), error))
    }

    fn fail(&self, error: io::Error) -> OutputError {
        OutputError::new(&self.output, error)
    }
}

/// The file of jobs without a record: made when there is one.
struct Without {
    path: PathBuf,
    sink: Option<Sink>,
    lines: Vec<u8>,
}

impl Without {
    fn write(&mut self) -> io::Result<()> {
        if self.lines.is_empty() {
            return self.sink.as_mut().map_or(Ok(()), Sink::tick);
        }
        let sink = match &mut self.sink {
            Some(sink) => sink,
            none => none.insert(Sink::file(&files::make(&self.path)?, Codec::Plain, 0)?),
        };
        let written = sink.write(&self.lines);
        self.lines.clear();
        written
    }

    fn finish(&mut self) -> io::Result<()> {
        self.write()?;
        self.sink.as_mut().map_or(Ok(()), Sink::finish)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_survive_and_can_be_told_from_text() {
        let text = |octets: &[u8]| {
            serde_json::to_string(&Record::new().with("k", octets.to_vec())).unwrap()
        };
        assert_eq!(text("é\0\"".as_bytes()), r#"{"k":"é\u0000\""}"#);
        assert_eq!(text(b"\xe9\0\""), r#"{"k":{"base64":"6QAi"}}"#);
        assert_eq!(text(b""), r#"{"k":""}"#);
    }
}
