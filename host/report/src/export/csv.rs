//! Tables as CSV, one file each, which a spreadsheet may open: nothing in them is a formula, and each row
//! is one line.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use csv::Writer;
use data_encoding::BASE64;
use pathspider_runtime::text;
use serde_json::Value;

use super::batch::{Batch, Rows, Shown, Vector};
use super::declared::{LINE, PARTITION, TABLES, Table};
use super::schema::Schemas;

/// The files of the tables.
pub(super) struct Files {
    tables: [OneTable; 3],
}

struct OneTable {
    writer: Writer<BufWriter<File>>,
    /// The names of its columns, beside those of the partition.
    columns: Vec<String>,
}

impl Files {
    pub(super) fn new(folder: &Path, schemas: &Schemas) -> io::Result<Files> {
        let open = |table: Table| -> io::Result<OneTable> {
            let names = schemas.all(table).into_iter().map(|column| column.name.clone());
            let columns: Vec<String> = names.collect();
            let file = File::create_new(folder.join(format!("{}.csv", table.name())))?;
            let mut writer = Writer::from_writer(BufWriter::new(file));
            let heads = PARTITION.iter().copied().chain(columns.iter().map(String::as_str));
            writer.write_record(heads.map(harmless))?;
            Ok(OneTable { writer, columns })
        };
        let [targets, flows, runs] = TABLES.map(open);
        Ok(Files { tables: [targets?, flows?, runs?] })
    }

    /// Adds the rows of a piece of a file, in the order of its lines: rows of several partitions take turns.
    pub(super) fn add(&mut self, batches: &[&Batch]) -> io::Result<()> {
        for table in TABLES {
            let OneTable { writer, columns } = &mut self.tables[table as usize];
            let of_table = batches.iter().filter(|batch| batch.table == table);
            let mut parts: Vec<Part<'_>> =
                of_table.map(|batch| Part::new(batch, columns)).collect();
            loop {
                let left = parts.iter_mut().filter(|part| part.row < part.rows);
                let Some(next) = left.min_by_key(|part| part.line()) else { break };
                next.write(writer)?;
            }
        }
        Ok(())
    }

    /// Writes what is left.
    pub(super) fn finish(self) -> io::Result<()> {
        for table in self.tables {
            let file = table.writer.into_inner().map_err(|error| error.into_error())?;
            file.into_inner().map_err(|error| error.into_error())?.sync_all()?;
        }
        Ok(())
    }
}

/// Rows of one partition that are not written yet.
struct Part<'b> {
    names: [String; 4],
    columns: Vec<Option<Rows<'b>>>,
    /// The line of each row; the table of runs has none.
    lines: &'b [i64],
    row: usize,
    rows: usize,
}

impl<'b> Part<'b> {
    fn new(batch: &'b Batch, columns: &[String]) -> Part<'b> {
        let names = batch.partition.values().map(|value| harmless(value.unwrap_or_default()));
        let columns = columns.iter().map(|name| batch.column(name).map(Vector::rows)).collect();
        let lines = batch.column(LINE).map_or(&[][..], Vector::numbers);
        Part { names, columns, lines, row: 0, rows: batch.rows }
    }

    fn line(&self) -> Option<i64> {
        self.lines.get(self.row).copied()
    }

    fn write(&mut self, writer: &mut Writer<BufWriter<File>>) -> io::Result<()> {
        for name in &self.names {
            writer.write_field(name)?;
        }
        for column in &mut self.columns {
            writer.write_field(column.as_mut().map(field).unwrap_or_default())?;
        }
        writer.write_record(None::<&[u8]>)?;
        self.row += 1;
        Ok(())
    }
}

/// The next value of a column.
fn field(rows: &mut Rows<'_>) -> String {
    let is_list = rows.is_list();
    let Some(values) = rows.next_row() else { return String::new() };
    if is_list {
        let list: Vec<Value> =
            values.into_iter().map(|value| value.map_or(Value::Null, in_list)).collect();
        return harmless(&Value::Array(list).to_string());
    }
    match values.into_iter().flatten().next() {
        None => String::new(),
        // A number is no formula, also where it is below zero.
        Some(Shown::Bool(value)) => value.to_string(),
        Some(Shown::Int(number)) => number.to_string(),
        Some(Shown::Float(number)) => number.to_string(),
        Some(Shown::Time(at)) => time(at),
        Some(Shown::Text(text)) => harmless(text),
        Some(Shown::Octets(octets)) => harmless(&BASE64.encode(octets)),
    }
}

fn in_list(value: Shown<'_>) -> Value {
    match value {
        Shown::Bool(value) => value.into(),
        Shown::Int(number) => number.into(),
        Shown::Float(number) => number.into(),
        Shown::Time(at) => time(at).into(),
        Shown::Text(text) => text.into(),
        Shown::Octets(octets) => BASE64.encode(octets).into(),
    }
}

/// RFC 3339, to the microsecond.
pub(super) fn time(micros: i64) -> String {
    let since = Duration::from_micros(micros.max(0).unsigned_abs());
    humantime::format_rfc3339_micros(UNIX_EPOCH + since).to_string()
}

/// A text that no spreadsheet takes for a formula, and that is one line: an apostrophe stands before what
/// begins one, and characters that a terminal would obey are escaped.
fn harmless(value: &str) -> String {
    let mut shown = String::with_capacity(value.len() + 1);
    if value.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']) {
        shown.push('\'');
    }
    value.chars().for_each(|c| text::show(c, &mut shown));
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_no_formulas_and_one_line() {
        for (text, expected) in [
            ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("@SUM(1)", "'@SUM(1)"),
            ("-1+1", "'-1+1"),
            ("+1", "'+1"),
            ("\t=1", "'\\t=1"),
            ("a\nb\u{1b}[2J\u{202e}", "a\\nb\\u{1b}[2J\\u{202e}"),
            ("ecn.connectivity.works", "ecn.connectivity.works"),
            ("", ""),
        ] {
            assert_eq!(harmless(text), expected);
        }
    }

    #[test]
    fn times_are_those_of_records() {
        assert_eq!(time(1_795_312_817_500_000), "2026-11-22T02:00:17.500000Z");
    }
}
