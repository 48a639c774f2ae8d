//! One job as a comma-separated row (RFC 4180): `ip,port,host` (PATHspider 0.9),
//! `ip,port,host,rank` (1.0), `rank,domain`, or the columns that a header row names.

use std::net::IpAddr;

use csv_core::{ReadRecordResult, Terminator};
use pathspider_plugin_api::Record;

use super::lines::{Lines, ReadError};
use super::target::{self, Target};

/// A row of several lines that is longer than this has a quote too many.
const LONGEST_ROW: usize = 1 << 16;

/// What a column says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Column {
    Address,
    Port,
    Domain,
    Rank,
    /// A key of this name.
    Other(String),
}

impl Column {
    /// The column of this name in a header row.
    fn of(name: &str) -> Column {
        match name.to_ascii_lowercase().as_str() {
            "dip" | "ip" | "address" | "addr" => Column::Address,
            "dp" | "port" => Column::Port,
            "domain" | "host" | "hostname" => Column::Domain,
            "rank" => Column::Rank,
            _ => Column::Other(name.to_owned()),
        }
    }

    fn key(self) -> String {
        match self {
            Column::Address => "dip".to_owned(),
            Column::Port => "dp".to_owned(),
            Column::Domain => "domain".to_owned(),
            Column::Rank => "rank".to_owned(),
            Column::Other(name) => name,
        }
    }
}

/// Reads rows, after the first of which its columns are known.
pub(super) struct Rows {
    reader: csv_core::Reader,
    /// The present row's fields, and where each ends.
    fields: Vec<u8>,
    ends: Vec<usize>,
    written: usize,
    ended: usize,
    header: Option<Vec<Column>>,
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
        let mut reader = csv_core::ReaderBuilder::new();
        Rows {
            reader: reader.terminator(Terminator::Any(b'\n')).build(),
            fields: vec![0; 1024],
            ends: vec![0; 16],
            written: 0,
            ended: 0,
            header: None,
            begun: false,
        }
    }

    /// Parses the row that begins with `line`, which was just read. Where a quoted field goes on
    /// in further lines, they are read too; should the row be wrong then, its first line alone is
    /// given up: a quote that was a slip must not cost the rows after it.
    pub(super) fn read(
        &mut self,
        line: &mut Vec<u8>,
        lines: &mut Lines,
    ) -> Result<Result<Row, String>, ReadError> {
        let first = line.len();
        let (mut from, mut further) = (0, 0);
        self.reader.reset();
        (self.written, self.ended) = (0, 0);
        let row = loop {
            if self.is_whole_with(&line[from..]) {
                break self.row();
            }
            from = line.len();
            let length = lines.read(line)?;
            further += u64::from(length > 0);
            if length == 0 || line.len() > LONGEST_ROW {
                break Err("a quoted field has no end".to_owned());
            }
        };
        if row.is_err() && further > 0 {
            lines.put_back(line.split_off(first), further);
        }
        Ok(row)
    }

    /// Takes one more line of a row; `false` where it ends within quotes.
    fn is_whole_with(&mut self, line: &[u8]) -> bool {
        let end: &[u8] = if line.ends_with(b"\n") { b"" } else { b"\n" };
        for mut part in [line, end] {
            while !part.is_empty() {
                let (fields, ends) =
                    (&mut self.fields[self.written..], &mut self.ends[self.ended..]);
                let (result, read, written, ended) = self.reader.read_record(part, fields, ends);
                part = &part[read..];
                self.written += written;
                self.ended += ended;
                match result {
                    ReadRecordResult::OutputFull => self.fields.resize(self.fields.len() * 2, 0),
                    ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                    ReadRecordResult::Record | ReadRecordResult::End => return true,
                    ReadRecordResult::InputEmpty => {}
                }
            }
        }
        false
    }

    fn row(&mut self) -> Result<Row, String> {
        let fields = fields(&self.fields, &self.ends[..self.ended])?;
        let first = !std::mem::replace(&mut self.begun, true);
        if first && is_header(&fields) {
            self.header = Some(header(&fields)?);
            return Ok(Row::Header);
        }
        self.target(&fields).map(Row::Target)
    }

    fn target(&self, fields: &[&str]) -> Result<Target, String> {
        use Column::{Address, Domain, Port, Rank};
        let count = fields.len();
        match &self.header {
            Some(header) if header.len() == count => target(header, fields),
            Some(header) => Err(format!("the row has {count} fields, the header {}", header.len())),
            None => match count {
                2 => target(&[Rank, Domain], fields),
                3 | 4 => target(&[Address, Port, Domain, Rank][..count], fields),
                _ => Err(format!(
                    "the row has {count} fields, not 2 (rank,domain), 3 (ip,port,host) or 4 \
                     (ip,port,host,rank), and the first row names no columns"
                )),
            },
        }
    }
}

fn fields<'a>(text: &'a [u8], ends: &[usize]) -> Result<Vec<&'a str>, String> {
    let starts = std::iter::once(&0).chain(ends);
    let field = |(&start, &end)| match std::str::from_utf8(&text[start..end]) {
        Ok(field) => Ok(field.trim()),
        Err(_) => Err("the row is not UTF-8".to_owned()),
    };
    starts.zip(ends).map(field).collect()
}

/// Whether a row names columns: one of them is a known one that says where the target is, and none
/// is a number or an address.
fn is_header(fields: &[&str]) -> bool {
    let is_name = |field: &&str| {
        !field.is_empty() && field.parse::<f64>().is_err() && field.parse::<IpAddr>().is_err()
    };
    let places = |field: &&str| matches!(Column::of(field), Column::Address | Column::Domain);
    fields.iter().all(is_name) && fields.iter().any(places)
}

fn header(names: &[&str]) -> Result<Vec<Column>, String> {
    let columns: Vec<Column> = names.iter().map(|name| Column::of(name)).collect();
    for (at, column) in columns.iter().enumerate() {
        if columns[..at].iter().any(|other| other.clone().key() == column.clone().key()) {
            return Err(format!("two columns of the header mean {:?}", column.clone().key()));
        }
    }
    Ok(columns)
}

/// The target of a row; empty fields are left out.
fn target(columns: &[Column], fields: &[&str]) -> Result<Target, String> {
    let mut record = Record::with_capacity(columns.len() + 4);
    let (mut dip, mut port) = (None, None);
    for (column, &field) in columns.iter().zip(fields).filter(|(_, field)| !field.is_empty()) {
        match column {
            Column::Other(name) => record.push(name.clone(), field),
            // The quote was a slip.
            _ if field.contains('\n') => return Err("a quoted field has no end".to_owned()),
            Column::Address => {
                dip = Some(field);
                record.push("dip", field);
            }
            Column::Port => {
                let number = target::port(field)
                    .ok_or_else(|| format!("{field:?} is not a port (1 to 65535)"))?;
                port = Some(number);
                record.push("dp", number);
            }
            Column::Domain => record.push("domain", field),
            Column::Rank => record.push("rank", target::number(field)),
        }
    }
    Target::new(dip, port, record)
}

#[cfg(test)]
mod tests;
