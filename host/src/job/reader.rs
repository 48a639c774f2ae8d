//! Reads the targets of an input, one after the other, in either format.

use super::csv::{Row, Rows};
use super::extent::Extent;
use super::lines::{BYTE_ORDER_MARK, Input, LONGEST_LINE, Lines, ReadError};
use super::ndjson;
use super::place::Place;
use super::shape;
use super::target::{Keys, Target};
use super::wrong::Wrong;

/// How jobs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated rows.
    Csv,
    /// JSON objects, one per line, or rows, decided line by line: an object begins with a brace.
    Either,
    /// An address or name each, perhaps with a port.
    Words,
}

/// What a line is, or what is wrong with it, with the line's number.
pub(crate) type Numbered<T> = (u64, Result<T, Wrong>);

/// What ends older lists of masscan.
const END_OF_MASSCAN: &[u8] = b"{finished: 1}";

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

    /// How many lines were read.
    pub(super) fn lines(&self) -> u64 {
        self.lines.number()
    }

    /// How many lines are left, which are not read any more; `None` where that `is_over` before it is
    /// known, or where they cannot be read.
    pub(super) fn count_rest(self, is_over: impl Fn() -> bool) -> Option<u64> {
        self.lines.count_rest(is_over).ok().flatten()
    }

    /// The keys of the next target, and as they came, or what is wrong with its line, with the line's
    /// number; `None` at the input's end.
    ///
    /// # Errors
    ///
    /// The input cannot be read further.
    pub(crate) fn next_record(&mut self) -> Result<Option<Numbered<Keys>>, ReadError> {
        let keys = |target: Target| Keys { record: target.record, came: target.came };
        Ok(self.next()?.map(|(number, target)| (number, target.map(keys))))
    }

    /// The next target, or what is wrong with its line, with the line's number; `None` at the
    /// input's end. Blank lines, comments and the brackets of a list in JSON are passed over.
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
                return Ok(Some((number, Err(Wrong::TooLong))));
            }
            if self.buffer.starts_with(BYTE_ORDER_MARK) {
                // Of a file that was joined to another one.
                self.buffer.drain(..BYTE_ORDER_MARK.len());
            }
            let target = match self.kind() {
                Kind::Nothing => continue,
                Kind::Wrong(wrong) => Err(wrong),
                Kind::Word => word(&self.buffer),
                Kind::Object => ndjson::parse(self.buffer.trim_ascii()),
                Kind::Row => match self.rows.read(&mut self.buffer, &mut self.lines)? {
                    Ok(Row::Header) => continue,
                    Ok(Row::Target(target)) => Ok(target),
                    Err(wrong) => Err(wrong),
                },
            };
            return Ok(Some((number, target)));
        }
    }

    /// What the line in the buffer is, by what it begins with.
    fn kind(&self) -> Kind {
        let line = self.buffer.trim_ascii();
        let objects = self.format == Format::Either;
        match line {
            [] => Kind::Nothing,
            _ if self.format == Format::Words => Kind::Word,
            [b'#', ..] => Kind::Nothing,
            [b'<', ..] => Kind::Wrong(Wrong::Xml),
            [b'[' | b']' | b','] if objects => Kind::Nothing,
            END_OF_MASSCAN if objects => Kind::Nothing,
            [b'{', ..] if objects => Kind::Object,
            [b'[', rest @ ..] if objects && rest.trim_ascii_start().starts_with(b"{") => {
                Kind::Object
            }
            [b'}', ..] if objects => Kind::Wrong(Wrong::PartOfObject),
            [b'"', rest @ ..] if objects && is_member(rest) => Kind::Wrong(Wrong::PartOfObject),
            _ => Kind::Row,
        }
    }
}

/// What a line is.
enum Kind {
    Nothing,
    Wrong(Wrong),
    Word,
    Object,
    Row,
}

fn word(line: &[u8]) -> Result<Target, Wrong> {
    let text = std::str::from_utf8(line).map_err(|_| Wrong::NotUtf8)?;
    shape::target(&[text.trim()])
}

/// What a word of the command line says of a target: where it is, and the port.
///
/// # Errors
///
/// It names none.
pub(crate) fn place_of_word(word: &str) -> Result<(Place, Option<u16>), Wrong> {
    self::word(word.as_bytes()).map(|target| (target.place, target.port))
}

/// Whether a text after its first quote is a key and a colon, as in an object of several lines.
fn is_member(rest: &[u8]) -> bool {
    let after = rest.iter().position(|&b| b == b'"').map(|at| &rest[at + 1..]);
    after.is_some_and(|after| after.trim_ascii_start().starts_with(b":"))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn read(text: &[u8]) -> Vec<Result<Target, String>> {
        let lines = Lines::new("test".into(), Box::new(Cursor::new(text.to_vec())));
        let mut reader = JobReader::new(lines, Format::Either);
        let mut targets = Vec::new();
        while let Some((line, target)) = reader.next().unwrap() {
            targets.push(target.map_err(|wrong| format!("{line}: {wrong}")));
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
    fn comments_and_brackets_are_passed_over() {
        let text = b"# of spring\n\n[\n{\"ip\":\"192.0.2.1\",\"ports\":[{\"port\":80}]},\n\n,\n\
            {\"ip\":\"192.0.2.2\",\"ports\":[{\"port\":80}]}\n]\n{finished: 1}\n  # the end";
        let ports: Vec<_> = read(text).into_iter().map(|target| target.unwrap().port).collect();
        assert_eq!(ports, [Some(80), Some(80)]);
        let joined = b"\xef\xbb\xbf192.0.2.1\n\xef\xbb\xbf192.0.2.2\n\xef\xbb\xbf";
        assert_eq!(read(joined).len(), 2);
        assert!(read(joined).iter().all(Result::is_ok));
    }

    #[test]
    fn an_object_of_several_lines_is_refused_as_such() {
        let text = b"{\n  \"dip\": \"192.0.2.1\",\n  \"dp\": 80\n},\n";
        let wrong: Vec<_> = read(text).into_iter().map(Result::unwrap_err).collect();
        assert_eq!(wrong.len(), 4);
        assert!(wrong.iter().all(|wrong| wrong.contains("each object on one line")), "{wrong:?}");
        let xml = read(b"<?xml version=\"1.0\"?>\n").remove(0).unwrap_err();
        assert!(xml.contains("is XML"), "{xml}");
    }

    #[test]
    fn the_format_is_told_by_the_first_character() {
        let targets = read(b"192.0.2.1,8080,example.org\n{\"dip\":\"192.0.2.2\"}\n");
        assert_eq!(targets[0].as_ref().unwrap().port, Some(8080));
        let address = "192.0.2.2".parse().unwrap();
        assert_eq!(targets[1].as_ref().unwrap().place, Place::Address(address));
    }
}
