//! The lines of one input as records.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use pathspider_plugin_api::Record;

use crate::job::{BadLine, Defaults, Format, Input, JobReader, ReadError};

/// A line longer than this is no record; it bounds the memory that damaged input can take. Records
/// with their flows, which have the bodies of HTTP responses, are much longer than jobs.
const LONGEST_LINE: u64 = 64 << 20;

/// One input.
pub(super) enum Source {
    /// One JSON object per line.
    Records(Lines),
    /// Comma-separated targets.
    Targets(JobReader),
}

/// One line.
pub(super) enum Line<'a> {
    /// A record, and its text where it was JSON.
    Record(Record, Option<&'a [u8]>),
    /// Something else.
    Bad(BadLine),
}

/// The lines of an input.
pub(super) struct Lines {
    input: Input,
    reader: BufReader<Box<dyn Read + Send>>,
    line: u64,
    buffer: Vec<u8>,
}

impl Source {
    pub(super) fn open(input: Input, csv: bool) -> Result<Source, ReadError> {
        if csv {
            let defaults = Defaults { port: 0, names: true };
            return JobReader::open(input, Format::Either, defaults).map(Source::Targets);
        }
        let opened: io::Result<Box<dyn Read + Send>> = match &input {
            Input::Stdin => Ok(Box::new(io::stdin())),
            Input::File(path) => {
                File::open(path).and_then(|file| match file.metadata()?.is_dir() {
                    true => Err(io::Error::from(io::ErrorKind::IsADirectory)),
                    false => Ok(Box::new(file) as Box<dyn Read + Send>),
                })
            }
        };
        let reader = opened.map_err(|error| ReadError { input: input.to_string(), error })?;
        let reader = BufReader::with_capacity(1 << 16, reader);
        Ok(Source::Records(Lines { input, reader, line: 0, buffer: Vec::new() }))
    }

    /// The next line; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>, ReadError> {
        match self {
            Source::Records(lines) => lines.next(),
            Source::Targets(reader) => Ok(reader.next_job()?.map(|job| match job {
                Ok(job) => Line::Record(job.record().clone(), None),
                Err(bad) => Line::Bad(bad),
            })),
        }
    }

    /// Whether the next line has to be waited for.
    pub(super) fn is_drained(&self) -> bool {
        match self {
            Source::Records(lines) => lines.reader.buffer().is_empty(),
            Source::Targets(_) => false,
        }
    }
}

impl Lines {
    fn next(&mut self) -> Result<Option<Line<'_>>, ReadError> {
        let fail = |error| ReadError { input: self.input.to_string(), error };
        loop {
            self.buffer.clear();
            let mut limited = (&mut self.reader).take(LONGEST_LINE + 1);
            let length = limited.read_until(b'\n', &mut self.buffer).map_err(fail)?;
            if length == 0 {
                return Ok(None);
            }
            if length as u64 > LONGEST_LINE && self.buffer.last() != Some(&b'\n') {
                self.reader.skip_until(b'\n').map_err(fail)?;
            }
            self.line += 1;
            let start =
                if self.line == 1 && self.buffer.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
            if !self.buffer[start..].trim_ascii().is_empty() {
                break Ok(Some(parse(&self.buffer[start..], &self.input, self.line)));
            }
        }
    }
}

fn parse<'a>(line: &'a [u8], input: &Input, number: u64) -> Line<'a> {
    let text = line.trim_ascii();
    let parsed = match line.len() as u64 > LONGEST_LINE {
        true => Err(format!("the line is longer than {LONGEST_LINE} octets")),
        false => serde_json::from_slice::<Record>(text).map_err(|error| {
            // The parser sees one line only, so its own line number would mislead.
            let text = error.to_string();
            let reason = text.split(" at line ").next().unwrap_or(&text);
            format!("{reason}, at column {}", error.column())
        }),
    };
    match parsed.and_then(checked) {
        Ok(record) => Line::Record(record, Some(text)),
        Err(reason) => Line::Bad(BadLine { input: input.to_string(), line: number, reason }),
    }
}

/// Conditions, where there are any, have to be texts.
fn checked(record: Record) -> Result<Record, String> {
    let are_texts = record.get("conditions").is_none_or(|conditions| {
        let list = conditions.as_list();
        list.is_some_and(|list| list.iter().all(|condition| condition.as_str().is_some()))
    });
    if are_texts { Ok(record) } else { Err("conditions is not a list of texts".to_owned()) }
}
