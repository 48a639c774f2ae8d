//! What a row means that no header explains. Its fields tell, and where they may mean two things, the
//! row is refused: another address or port than was meant must never be measured.

use pathspider_plugin_api::Record;

use super::columns::{rank, without_trailing};
use super::place::{self, Place, place, port_of};
use super::target::{Said, Target};
use super::wrong::Wrong;

/// What a field can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Empty,
    /// Digits: a rank or a port.
    Number,
    /// An address, perhaps with a port.
    Address,
    /// A name of several parts, perhaps with a port.
    Name,
    /// A name of one part, which may be a tag or the name of a service.
    Word,
    Other,
}

impl Field {
    fn of(text: &str) -> Field {
        if text.is_empty() {
            Field::Empty
        } else if text.bytes().all(|b| b.is_ascii_digit()) {
            Field::Number
        } else {
            match place(text) {
                Ok((Place::Address(_), _)) => Field::Address,
                Ok((Place::Name(name), _)) if name.contains('.') => Field::Name,
                Ok((Place::Name(_), _)) => Field::Word,
                Err(_) if place::address(text).is_some() => Field::Address,
                Err(_) => Field::Other,
            }
        }
    }
}

/// The target of a row:
///
/// - `ip`, `ip:port`, `[ip]:port`, `domain`: a list of addresses or names;
/// - `ip,port`, `ip,domain` (zgrab2), `domain,ip`, `rank,domain`;
/// - `ip,port,host` (PATHspider 0.9), `ip,port,host,rank` (1.0);
/// - `ip,domain,tag` and `ip,domain,tag,port` (zgrab2), also without the address.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn target(fields: &[&str]) -> Result<Target, Wrong> {
    if fields.iter().any(|field| field.contains('\n')) {
        // The quote was a slip.
        return Err(Wrong::OpenQuote);
    }
    let mut row = Built::default();
    // A row that ends in commas has the columns that are empty in it.
    let ends_in_commas = fields.len() > 2;
    match *without_trailing(fields) {
        [] => return Err(Wrong::Nothing),
        [only] => row.address(without_comment(only)),
        [first, second] => match (Field::of(first), Field::of(second)) {
            (Field::Address, Field::Name) | (Field::Empty, Field::Name) => {
                row.address(first);
                row.domain(second);
            }
            (Field::Name, Field::Address) => {
                row.domain(first);
                row.address(second);
            }
            (Field::Number, Field::Name | Field::Word) => {
                row.record.push("rank", rank(first));
                row.domain(second);
            }
            (Field::Name | Field::Word, Field::Number) if ends_in_commas => {
                row.address(first);
                row.port(second)?;
            }
            (Field::Number, _) | (Field::Empty, _) => return Err(Wrong::Ambiguous),
            (Field::Other, _) => {
                place(first)?;
                return Err(Wrong::Ambiguous);
            }
            // `domain,rank` or `domain,port`.
            (Field::Name | Field::Word, _) => return Err(Wrong::Ambiguous),
            (Field::Address, _) => {
                row.address(first);
                row.port(second)?;
            }
        },
        [first, second, ref rest @ ..] if rest.len() <= 2 => match Field::of(second) {
            // zgrab2's.
            Field::Name if Field::of(first) != Field::Number => {
                row.address(first);
                row.domain(second);
                let [tag, port] = [rest.first(), rest.get(1)].map(|field| field.copied());
                row.push("tag", tag.unwrap_or_default());
                row.port(port.unwrap_or_default())?;
            }
            Field::Name | Field::Address => return Err(Wrong::Ambiguous),
            kind => {
                let host = rest[0];
                if kind == Field::Empty && !host.contains('.') && !host.is_empty() {
                    // It may be zgrab2's row with a tag.
                    return Err(Wrong::Ambiguous);
                }
                row.address(first);
                row.port(second)?;
                row.domain(host);
                if let Some(text) = rest.get(1).filter(|text| !text.is_empty()) {
                    row.record.push("rank", rank(text));
                }
            }
        },
        _ => return Err(Wrong::Ambiguous),
    }
    Target::new(row.said, row.record, None)
}

/// A target as its fields are understood.
#[derive(Default)]
struct Built<'a> {
    said: Said<'a>,
    record: Record,
}

impl<'a> Built<'a> {
    fn address(&mut self, text: &'a str) {
        if !text.is_empty() {
            (self.said.address, self.said.is_dip) = (Some(text), true);
            self.push("dip", text);
        }
    }

    fn domain(&mut self, text: &'a str) {
        if !text.is_empty() {
            self.said.domain = Some(text);
            self.push("domain", text);
        }
    }

    fn port(&mut self, text: &str) -> Result<(), Wrong> {
        if !text.is_empty() {
            let number = port_of("the port", text)?;
            self.said.port = Some(number);
            self.record.push("dp", number);
        }
        Ok(())
    }

    fn push(&mut self, key: &'static str, text: &str) {
        if !text.is_empty() {
            self.record.push(key, text);
        }
    }
}

/// What stands before a comment, in a list of one column.
fn without_comment(text: &str) -> &str {
    let begins = |(at, _): &(usize, &str)| text[..*at].ends_with([' ', '\t']);
    let comment = text.match_indices('#').find(begins);
    comment.map_or(text, |(at, _)| text[..at].trim_end())
}
