//! The lines of one input as records.

use pathspider_plugin_api::Record;

use crate::job::{Format, Input, JobReader, Keys, Lines, ReadError, Verbatim, parse_record};

/// A line longer than this is no record; it bounds the memory that damaged input can take. Records
/// with their flows, which have the bodies of HTTP responses, are much longer than jobs.
const LONGEST_LINE: u64 = 64 << 20;

/// One input.
pub(super) enum Source {
    /// One JSON object per line, and the present line.
    Records(Lines, Vec<u8>),
    /// Comma-separated targets.
    Targets(Box<JobReader>),
}

/// One line.
pub(super) enum Line<'a> {
    /// A record, and how it came.
    Record(Record, Came<'a>),
    /// Something else: the line's number, and what is wrong with it.
    Bad(u64, String),
}

/// How a record came.
pub(super) enum Came<'a> {
    /// As this JSON.
    Json(&'a [u8]),
    /// As a row, whose fields the record has, but for these.
    Row(Option<Box<Verbatim>>),
}

impl Came<'_> {
    /// What the record does not say to the letter.
    pub(super) fn beside_the_record(self) -> Option<Verbatim> {
        match self {
            // It was read as JSON.
            Came::Json(text) => Verbatim::of(std::str::from_utf8(text).ok()?).ok(),
            Came::Row(came) => came.map(|came| *came),
        }
    }
}

impl Source {
    pub(super) fn open(input: &Input, csv: bool) -> Result<Source, ReadError> {
        if csv {
            return JobReader::open(input, Format::Either).map(Box::new).map(Source::Targets);
        }
        let lines = Lines::open(input)?.with_longest(LONGEST_LINE);
        Ok(Source::Records(lines, Vec::new()))
    }

    /// The input's name.
    pub(super) fn name(&self) -> &str {
        match self {
            Source::Records(lines, _) => lines.name(),
            Source::Targets(reader) => reader.name(),
        }
    }

    /// The next line; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>, ReadError> {
        let (lines, buffer) = match self {
            Source::Records(lines, buffer) => (lines, buffer),
            Source::Targets(reader) => {
                return Ok(reader.next_record()?.map(|(number, record)| match record {
                    Ok(Keys { record, came }) => Line::Record(record, Came::Row(came)),
                    Err(wrong) => Line::Bad(number, wrong.to_string()),
                }));
            }
        };
        loop {
            buffer.clear();
            if lines.read(buffer)? == 0 {
                return Ok(None);
            }
            if !buffer.trim_ascii().is_empty() {
                break;
            }
        }
        Ok(Some(match parse(buffer) {
            Ok(record) => Line::Record(record, Came::Json(buffer.trim_ascii())),
            Err(reason) => Line::Bad(lines.number(), reason),
        }))
    }

    /// Whether the next line may have to be waited for.
    pub(super) fn is_drained(&self) -> bool {
        match self {
            Source::Records(lines, _) => lines.is_drained(),
            Source::Targets(_) => false,
        }
    }
}

fn parse(line: &[u8]) -> Result<Record, String> {
    if line.len() as u64 > LONGEST_LINE {
        return Err(format!("the line is longer than {LONGEST_LINE} octets"));
    }
    let record = parse_record(line.trim_ascii())?;
    let are_texts = record.get("conditions").is_none_or(|conditions| {
        let list = conditions.as_list();
        list.is_some_and(|list| list.iter().all(|condition| condition.as_str().is_some()))
    });
    if are_texts { Ok(record) } else { Err("conditions is not a list of texts".to_owned()) }
}
