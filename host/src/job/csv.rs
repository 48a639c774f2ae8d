//! Rows: fields between commas (RFC 4180), tabs or semicolons, where quoted fields may go on in further
//! lines. What the fields mean is in `columns` and `shape`.

use std::ops::ControlFlow;

use csv_core::{ReadRecordResult, Terminator};

use super::columns::Columns;
use super::lines::{Lines, ReadError};
use super::scans;
use super::shape;
use super::target::Target;
use super::wrong::Wrong;

/// A row of several lines that is longer than this has a quote too many.
const LONGEST_ROW: usize = 1 << 16;

/// What separates fields, in the order in which they are looked for in a row.
const SEPARATORS: [u8; 3] = [b',', b'\t', b';'];

/// Reads rows. Its columns are known after the first one.
pub(super) struct Rows {
    cutter: Cutter,
    header: Option<Columns>,
    /// Whether a row was read.
    begun: bool,
}

/// What a row is.
pub(super) enum Row {
    Target(Target),
    /// It names the columns.
    Header,
}

impl Rows {
    pub(super) fn new() -> Rows {
        Rows { cutter: Cutter::new(), header: None, begun: false }
    }

    /// Parses the row that begins with `line`, which was just read. Where a quoted field goes on
    /// in further lines, they are read too; should the row be wrong then, its first line alone is
    /// given up: a quote that was a slip must not cost the rows after it.
    pub(super) fn read(
        &mut self,
        line: &mut Vec<u8>,
        lines: &mut Lines,
    ) -> Result<Result<Row, Wrong>, ReadError> {
        if self.header.is_none()
            && let Some(target) = scans::parse(line)
        {
            return Ok(target.map(Row::Target));
        }
        let separator = match &self.header {
            Some(header) => header.separator(),
            None => separator(line),
        };
        self.cutter.begin(separator);
        let first = line.len();
        let (mut from, mut further) = (0, 0);
        let row = loop {
            if self.cutter.take(&line[from..]).is_break() {
                break self.row(separator);
            }
            from = line.len();
            let length = lines.read(line)?;
            further += u64::from(length > 0);
            if length == 0 || line.len() > LONGEST_ROW {
                break Err(Wrong::OpenQuote);
            }
        };
        if row.is_err() && further > 0 {
            lines.put_back(line.split_off(first), further);
        }
        Ok(row)
    }

    fn row(&mut self, separator: u8) -> Result<Row, Wrong> {
        let fields = self.cutter.fields()?;
        let is_first = !std::mem::replace(&mut self.begun, true);
        let is_header = match &self.header {
            // As where files were joined.
            Some(header) => header.is_again(&fields),
            None => Columns::are_named(&fields, is_first),
        };
        if is_header {
            self.header = Some(Columns::of(&fields, separator)?);
            return Ok(Row::Header);
        }
        let target = match &self.header {
            Some(header) => header.target(&fields),
            None => shape::target(&fields),
        };
        target.map(Row::Target)
    }
}

/// What separates the fields of a row that begins so.
fn separator(line: &[u8]) -> u8 {
    let line = line.trim_ascii();
    SEPARATORS.into_iter().find(|separator| line.contains(separator)).unwrap_or(SEPARATORS[0])
}

/// Cuts one row into fields.
struct Cutter {
    readers: [csv_core::Reader; SEPARATORS.len()],
    /// Which of them cuts the present row.
    present: usize,
    /// The present row's fields, and where each ends.
    text: Vec<u8>,
    ends: Vec<usize>,
    written: usize,
    ended: usize,
}

impl Cutter {
    fn new() -> Cutter {
        let reader = |separator| {
            let mut reader = csv_core::ReaderBuilder::new();
            reader.delimiter(separator).terminator(Terminator::Any(b'\n')).build()
        };
        let readers = SEPARATORS.map(reader);
        let (text, ends) = (vec![0; 1024], vec![0; 16]);
        Cutter { readers, present: 0, text, ends, written: 0, ended: 0 }
    }

    fn begin(&mut self, separator: u8) {
        self.present = SEPARATORS.iter().position(|known| *known == separator).unwrap_or(0);
        self.readers[self.present].reset();
        (self.written, self.ended) = (0, 0);
    }

    /// Takes one more line of the row; it goes on where that ends within quotes.
    fn take(&mut self, line: &[u8]) -> ControlFlow<()> {
        let end: &[u8] = if line.ends_with(b"\n") { b"" } else { b"\n" };
        for mut part in [line, end] {
            while !part.is_empty() {
                let (text, ends) = (&mut self.text[self.written..], &mut self.ends[self.ended..]);
                let reader = &mut self.readers[self.present];
                let (result, read, written, ended) = reader.read_record(part, text, ends);
                part = &part[read..];
                self.written += written;
                self.ended += ended;
                match result {
                    ReadRecordResult::OutputFull => self.text.resize(self.text.len() * 2, 0),
                    ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                    ReadRecordResult::Record | ReadRecordResult::End => {
                        return ControlFlow::Break(());
                    }
                    ReadRecordResult::InputEmpty => {}
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn fields(&self) -> Result<Vec<&str>, Wrong> {
        let ends = &self.ends[..self.ended];
        let starts = std::iter::once(&0).chain(ends);
        let field = |(&start, &end)| match std::str::from_utf8(&self.text[start..end]) {
            Ok(field) if field.contains('\0') => Err(Wrong::Zeros),
            Ok(field) => Ok(field.trim()),
            Err(_) if self.text[start..end].contains(&0) => Err(Wrong::Zeros),
            Err(_) => Err(Wrong::NotUtf8),
        };
        starts.zip(ends).map(field).collect()
    }
}

#[cfg(test)]
mod tests;
