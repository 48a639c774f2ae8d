//! Reads the targets of an input, one after the other, in either format.

use pathspider_plugin_api::Record;

use super::csv::{Row, Rows};
use super::extent::Extent;
use super::lines::{Input, LONGEST_LINE, Lines, ReadError};
use super::ndjson;
use super::target::Target;

/// How jobs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated rows.
    Csv,
    /// JSON objects, one per line, or rows, decided line by line: an object begins with a brace.
    Either,
}

/// What a line is, or what is wrong with it, with the line's number.
pub type Numbered<T> = (u64, Result<T, String>);

/// The targets of an input. It keeps nothing of a line once the line was given.
pub struct JobReader {
    lines: Lines,
    format: Format,
    rows: Rows,
    buffer: Vec<u8>,
}

impl JobReader {
    /// Opens an input, and reads nothing yet.
    ///
    /// # Errors
    ///
    /// It does not exist, is a folder, or may not be read.
    pub fn open(input: &Input, format: Format) -> Result<JobReader, ReadError> {
        Ok(JobReader::new(Lines::open(input)?, format))
    }

    fn new(lines: Lines, format: Format) -> JobReader {
        JobReader { lines, format, rows: Rows::new(), buffer: Vec::new() }
    }

    /// The input's name.
    pub fn name(&self) -> &str {
        self.lines.name()
    }

    /// How much of a file was read, told while it goes on.
    pub(super) fn extent(&self) -> Option<Extent> {
        self.lines.extent()
    }

    /// The keys of the next target, or what is wrong with its line, with the line's number; `None`
    /// at the input's end.
    ///
    /// # Errors
    ///
    /// The input cannot be read further.
    pub fn next_record(&mut self) -> Result<Option<Numbered<Record>>, ReadError> {
        let target = self.next()?;
        Ok(target.map(|(number, target)| (number, target.map(|target| target.record))))
    }

    /// The next target, or what is wrong with its line, with the line's number; `None` at the
    /// input's end.
    ///
    /// # Errors
    ///
    /// The input cannot be read further.
    pub(super) fn next(&mut self) -> Result<Option<Numbered<Target>>, ReadError> {
        loop {
            self.buffer.clear();
            let length = self.lines.read(&mut self.buffer)?;
            if length == 0 {
                return Ok(None);
            }
            let number = self.lines.number();
            if length > LONGEST_LINE {
                let reason = format!("the line is longer than {LONGEST_LINE} octets");
                return Ok(Some((number, Err(reason))));
            }
            let line = self.buffer.trim_ascii();
            if line.is_empty() {
                continue;
            }
            if self.format == Format::Either && line.starts_with(b"{") {
                return Ok(Some((number, ndjson::parse(line))));
            }
            match self.rows.read(&mut self.buffer, &mut self.lines)? {
                Ok(Row::Header) => {}
                Ok(Row::Target(target)) => return Ok(Some((number, Ok(target)))),
                Err(reason) => return Ok(Some((number, Err(reason)))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::super::target::Place;
    use super::*;

    fn read(text: &[u8]) -> Vec<Result<Target, String>> {
        let lines = Lines::new("test".into(), Box::new(Cursor::new(text.to_vec())));
        let mut reader = JobReader::new(lines, Format::Either);
        let mut targets = Vec::new();
        while let Some((line, target)) = reader.next().unwrap() {
            targets.push(target.map_err(|reason| format!("{line}: {reason}")));
        }
        targets
    }

    #[test]
    fn bad_lines_are_named_and_passed_over() {
        let mut text = b"\xef\xbb\xbf{\"dip\":\"192.0.2.1\"}\r\n\n{nonsense\n".to_vec();
        text.extend(std::iter::repeat_n(b'x', 3 << 20));
        text.extend(b"\n{\"dip\":\"2001:db8::1\",\"dp\":443,\"rank\":7}");
        let targets = read(&text);
        assert_eq!(targets.len(), 4);
        assert_eq!(targets[0].as_ref().unwrap().port, None);
        assert!(targets[1].as_ref().unwrap_err().starts_with("3: "));
        assert!(targets[2].as_ref().unwrap_err().starts_with("4: the line is longer"));
        let last = targets[3].as_ref().unwrap();
        assert_eq!((last.port, last.record.u64("rank")), (Some(443), Some(7)));
    }

    #[test]
    fn the_format_is_told_by_the_first_character() {
        let targets = read(b"192.0.2.1,8080,example.org\n{\"dip\":\"192.0.2.2\"}\n");
        assert_eq!(targets[0].as_ref().unwrap().port, Some(8080));
        let address = "192.0.2.2".parse().unwrap();
        assert_eq!(targets[1].as_ref().unwrap().place, Place::Address(address));
    }
}
