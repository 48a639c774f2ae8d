//! The writer of records: one JSON object per line, in whole lines, nothing else.
//!
//! The format is PATHspider 2.x's. A measurement's record has the job's own keys, then `sip`,
//! `path` (source, `*` for what lies between, target), `conditions`, `time` (`from`, `to`; RFC
//! 3339, UTC) and `jobId`; with flows also `missed_flows` and `flow_results`, one object per
//! configuration. Where the plugin failed there is `spdr_error`, and `conditions` is empty. All keys
//! stand in `docs/records.md`.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use pathspider_plugin_api::Record;

/// Octets that wait for more before they are written.
const BUFFER: usize = 1 << 16;

/// Where records go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// A file, which is made or emptied.
    File(PathBuf),
}

impl Output {
    /// The output that an argument names: `-` is standard output.
    pub fn from_argument(path: &Path) -> Output {
        if path == Path::new("-") { Output::Stdout } else { Output::File(path.to_owned()) }
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

/// Records cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to {output}: {error}")]
pub struct OutputError {
    /// The output's name.
    pub output: String,
    /// The system's reason.
    pub error: io::Error,
}

/// Writes records.
pub struct RecordWriter {
    output: Output,
    sink: Box<dyn Write + Send>,
    lines: Vec<u8>,
}

impl RecordWriter {
    /// Opens the output.
    ///
    /// # Errors
    ///
    /// The file cannot be made.
    pub fn open(output: Output) -> Result<RecordWriter, OutputError> {
        let sink: Box<dyn Write + Send> = match &output {
            Output::Stdout => Box::new(io::stdout()),
            Output::File(path) => match File::create(path) {
                Ok(file) => Box::new(file),
                Err(error) => {
                    return Err(OutputError { output: output.to_string(), error });
                }
            },
        };
        Ok(RecordWriter { output, sink, lines: Vec::with_capacity(2 * BUFFER) })
    }

    /// Writes a record, sooner or later.
    ///
    /// # Errors
    ///
    /// The disk is full, the pipe is closed, and the like.
    pub fn write(&mut self, record: &Record) -> Result<(), OutputError> {
        // Into memory, which cannot fail: every key of a record is a text.
        serde_json::to_writer(&mut self.lines, record).map_err(|error| self.fail(error.into()))?;
        self.end_line()
    }

    /// Writes a line that is there already, without its end, sooner or later.
    ///
    /// # Errors
    ///
    /// As for [`write`](RecordWriter::write).
    pub fn write_line(&mut self, line: &[u8]) -> Result<(), OutputError> {
        self.lines.extend_from_slice(line);
        self.end_line()
    }

    fn end_line(&mut self) -> Result<(), OutputError> {
        self.lines.push(b'\n');
        if self.lines.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    /// Writes all that waits, in whole lines.
    ///
    /// # Errors
    ///
    /// As for [`write`](RecordWriter::write).
    pub fn flush(&mut self) -> Result<(), OutputError> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let written = self.sink.write_all(&self.lines).and_then(|()| self.sink.flush());
        self.lines.clear();
        written.map_err(|error| self.fail(error))
    }

    fn fail(&self, error: io::Error) -> OutputError {
        OutputError { output: self.output.to_string(), error }
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
