//! What an output has already, when a run goes on with it: which targets, and up to where it is
//! good.
//!
//! The output itself says which targets are done: there is no other state that could disagree with
//! it. What a kill tore is cut: half a line, half a frame; and the last job's records where it has
//! several, for some may be missing. Anything else that is no record is damage, or somebody else's,
//! and is refused.

mod frames;

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead};
use std::net::IpAddr;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::codec::Codec;
use super::job_id::ReadJobId;
use crate::job::{Done, Identity};
use frames::frames;
use pathspider_runtime::files::{TORN, read_through};
use pathspider_runtime::stop::Asked;

/// What an output has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Good {
    /// Octets that are good.
    pub(crate) length: u64,
    /// Octets after them, which are not.
    pub(crate) torn: u64,
}

/// What of a record tells its target. The input and the plugin may have other kinds of values there.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "jobId", borrow)]
    job_id: Cow<'a, str>,
    #[serde(borrow)]
    dip: Option<Key<'a>>,
    dp: Option<Key<'a>>,
    #[serde(borrow)]
    domain: Option<Key<'a>>,
    round: Option<Key<'a>>,
    /// Read where the rounds of a target are to be known.
    #[serde(borrow)]
    conditions: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Key<'a> {
    Number(u16),
    Text(#[serde(borrow)] Cow<'a, str>),
    Other(IgnoredAny),
}

impl Key<'_> {
    fn text(&self) -> Option<&str> {
        match self {
            Key::Text(text) => Some(text),
            Key::Number(_) | Key::Other(_) => None,
        }
    }

    fn number(&self) -> Option<u16> {
        match self {
            Key::Number(number) => Some(*number),
            Key::Text(text) => text.trim().parse().ok(),
            Key::Other(_) => None,
        }
    }
}

impl<'a> Head<'a> {
    /// With the job's number, and whether it is one of several records of that job.
    fn numbered(self) -> Option<(Head<'a>, u64, bool)> {
        let ReadJobId { number, is_row, .. } = ReadJobId::parse(&self.job_id)?;
        Some((self, number, is_row))
    }
}

/// Reads an output, and adds its targets to `done`.
///
/// # Errors
///
/// It cannot be read, or has something that is neither a record nor torn; `Interrupted` where it was
/// told to stop meanwhile.
pub(crate) fn scan(
    file: &File,
    codec: Codec,
    done: &mut Done,
    is_asked: Asked<'_>,
) -> io::Result<Good> {
    let size = file.metadata()?.len();
    let length = read_through(file, is_asked, |reader| match codec {
        Codec::Plain => {
            let mut lines = Lines::new(done);
            lines.read(reader)?;
            let torn = size - lines.whole;
            match lines.bad {
                Some(bad) if lines.count > bad || torn > TORN => Err(no_record(bad)),
                _ => Ok(lines.end(false)),
            }
        }
        Codec::Frames(compression) => frames(reader, compression, done),
    })?;
    Ok(Good { length, torn: size - length })
}

/// A target's address, as targets are known by: an IPv4-mapped one is IPv4.
fn address(text: &str) -> Option<IpAddr> {
    text.trim().parse().ok().map(|address: IpAddr| address.to_canonical())
}

fn no_record(line: u64) -> io::Error {
    io::Error::other(format!("line {line} is no record of a measurement"))
}

/// Takes lines, and knows up to where they are good.
struct Lines<'d> {
    done: &'d mut Done,
    /// Octets of lines that were read.
    read: u64,
    /// Octets up to the first line that is no record.
    whole: u64,
    /// How many lines.
    count: u64,
    /// The job whose records are being read.
    last: Option<Last>,
    /// The first line that is no record.
    bad: Option<u64>,
}

/// A job whose records were read, all of them or all but some of several.
struct Last {
    id: String,
    several: bool,
    begins: u64,
    ends: u64,
    target: Identity,
    round: u16,
    conditions: Vec<String>,
}

impl Last {
    fn add_to(&self, done: &mut Done) {
        done.add_round(&self.target, self.round, &self.conditions);
    }
}

impl<'d> Lines<'d> {
    fn new(done: &'d mut Done) -> Lines<'d> {
        Lines { done, read: 0, whole: 0, count: 0, last: None, bad: None }
    }

    fn read(&mut self, mut reader: impl BufRead) -> io::Result<()> {
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            self.line(&line)?;
            line.clear();
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        let begins = self.read;
        self.read += line.len() as u64;
        self.count += 1;
        let whole = line.ends_with(b"\n");
        let head = serde_json::from_slice::<Head<'_>>(line).ok().filter(|_| whole);
        let Some((head, number, several)) = head.and_then(Head::numbered) else {
            // A tear, unless a record follows it.
            self.bad.get_or_insert(self.count);
            return Ok(());
        };
        if let Some(bad) = self.bad {
            return Err(no_record(bad));
        }
        self.whole = self.read;
        let id = if several {
            head.job_id.rsplit_once('.').map_or(&*head.job_id, |(id, _)| id)
        } else {
            &head.job_id
        };
        match &mut self.last {
            Some(last) if last.id == id => last.ends = self.read,
            _ => {
                let target = Identity {
                    line: number + 1,
                    address: head.dip.and_then(|dip| address(dip.text()?)),
                    port: head.dp.and_then(|port| port.number()),
                    domain: head.domain.and_then(|domain| domain.text().map(str::to_owned)),
                };
                let (id, ends) = (id.to_owned(), self.read);
                let round = head.round.and_then(|round| round.number()).unwrap_or_default();
                let conditions = match head.conditions.filter(|_| self.done.is_in_rounds()) {
                    Some(list) => serde_json::from_str(list.get()).unwrap_or_default(),
                    None => Vec::new(),
                };
                let last = Last { id, several, begins, ends, target, round, conditions };
                let last = self.last.replace(last);
                last.iter().for_each(|last| last.add_to(self.done));
            }
        }
        Ok(())
    }

    /// Ends it; gives the octets that are good. Of a last job with several records some may be
    /// missing, unless they were written as a `whole`.
    fn end(self, whole: bool) -> u64 {
        match self.last {
            None => 0,
            Some(last) if last.several && !whole => last.begins,
            Some(last) => {
                last.add_to(self.done);
                last.ends
            }
        }
    }
}

#[cfg(test)]
mod tests;
