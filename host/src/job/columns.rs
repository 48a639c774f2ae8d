//! The columns that a header row names, and the targets of the rows below it.

use std::net::IpAddr;

use pathspider_plugin_api::{Record, Value};

use super::meaning::Meaning;
use super::place::port_of;
use super::target::{Said, Target};
use super::wrong::Wrong;

/// The columns of rows.
pub(super) struct Columns {
    columns: Vec<Column>,
    separator: u8,
}

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
    fn key(&self) -> &str {
        match self {
            Column::Address => "dip",
            Column::Port => "dp",
            Column::Domain => "domain",
            Column::Rank => "rank",
            Column::Other(name) => name,
        }
    }
}

impl Columns {
    /// Whether a row names columns: one of them says where the target is, and none is a number or an
    /// address. Below other rows, a word that stands alone is a name.
    pub(super) fn are_named(fields: &[&str], is_first: bool) -> bool {
        let is_name = |field: &&str| {
            !field.is_empty() && field.parse::<f64>().is_err() && field.parse::<IpAddr>().is_err()
        };
        let fields = without_trailing(fields);
        let mut meanings = fields.iter().filter_map(|field| Meaning::of(field));
        (is_first || fields.len() > 1)
            && meanings.any(|meaning| meaning.is_address() || meaning.is_domain())
            && fields.iter().all(is_name)
    }

    /// The columns of a header.
    ///
    /// # Errors
    ///
    /// Two of them mean the same.
    pub(super) fn of(names: &[&str], separator: u8) -> Result<Columns, Wrong> {
        let names = without_trailing(names);
        let address = names.iter().filter_map(|name| Meaning::of(name));
        let address = address.filter(|meaning| meaning.is_address()).min();
        let column = |name: &&str| match Meaning::of(name) {
            Some(meaning) if meaning.is_address() => Column::Address,
            Some(meaning) if meaning.is_domain() => Column::Domain,
            Some(Meaning::Rank) => Column::Rank,
            Some(meaning @ (Meaning::Dp | Meaning::Port | Meaning::Dport | Meaning::Sport))
                if meaning.is_port_of(address) =>
            {
                Column::Port
            }
            _ => Column::Other((*name).to_owned()),
        };
        let columns: Vec<Column> = names.iter().map(column).collect();
        for (at, column) in columns.iter().enumerate() {
            if columns[..at].iter().any(|other| other.key() == column.key()) {
                return Err(Wrong::Columns(column.key().to_owned()));
            }
        }
        Ok(Columns { columns, separator })
    }

    /// What separates their fields.
    pub(super) fn separator(&self) -> u8 {
        self.separator
    }

    /// Whether a row names the same columns once more.
    pub(super) fn is_again(&self, fields: &[&str]) -> bool {
        Columns::are_named(fields, false)
            && Columns::of(fields, self.separator).is_ok_and(|other| other.columns == self.columns)
    }

    /// The target of a row; empty fields are left out.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(super) fn target(&self, fields: &[&str]) -> Result<Target, Wrong> {
        let (count, header) = (fields.len(), self.columns.len());
        let beyond = fields.iter().skip(header).any(|field| !field.is_empty());
        if count < header || beyond {
            return Err(Wrong::Fields { fields: count, header });
        }
        let mut record = Record::with_capacity(header + 4);
        let mut said = Said { is_dip: true, ..Said::default() };
        let given = self.columns.iter().zip(fields).filter(|(_, field)| !field.is_empty());
        for (column, &field) in given {
            match column {
                Column::Other(name) => record.push(name.clone(), field),
                // The quote was a slip.
                _ if field.contains('\n') => return Err(Wrong::OpenQuote),
                Column::Address => {
                    said.address = Some(field);
                    record.push("dip", field);
                }
                Column::Port => {
                    let number = port_of("the port", field)?;
                    said.port = Some(number);
                    record.push("dp", number);
                }
                Column::Domain => {
                    said.domain = Some(field);
                    record.push("domain", field);
                }
                Column::Rank => record.push("rank", rank(field)),
            }
        }
        Target::new(said, record, None)
    }
}

/// The fields without the empty ones at the end, which spreadsheets add.
pub(super) fn without_trailing<'f, 'a>(fields: &'f [&'a str]) -> &'f [&'a str] {
    let end = fields.iter().rposition(|field| !field.is_empty()).map_or(0, |at| at + 1);
    &fields[..end]
}

/// A number where a text is one that is written so.
pub(super) fn rank(text: &str) -> Value {
    let is_padded = text.len() > 1 && text.starts_with(['0', '+']);
    let number = text.parse::<u64>().ok().filter(|_| !is_padded);
    number.map_or_else(|| Value::from(text), Value::from)
}
