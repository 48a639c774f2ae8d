//! Why a line of input is no target, and what to write instead.

use std::fmt;
use std::mem::{Discriminant, discriminant};
use std::net::IpAddr;

use pathspider_runtime::text::visible;

use super::lines::LONGEST_LINE;

/// Characters of the input that a message repeats at most.
const SHOWN: usize = 80;

/// A piece of the input, short enough for a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece(String);

impl Piece {
    pub(super) fn of(text: &str) -> Piece {
        Piece(visible(text.trim(), SHOWN))
    }
}

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

/// Why a line is no target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// It is longer than any target.
    TooLong,
    /// It is in another encoding of characters.
    NotUtf8,
    /// It has octets of zero, as UTF-16 has.
    Zeros,
    /// It is not JSON.
    Json {
        /// What the parser says.
        reason: String,
        /// Where.
        column: usize,
    },
    /// It is a part of an object of several lines.
    PartOfObject,
    /// It is a list of objects.
    ListOfObjects,
    /// It is XML.
    Xml,
    /// It names no target.
    Nothing,
    /// A key has a value of another type.
    NoText {
        /// The key.
        key: &'static str,
        /// The value.
        value: Piece,
    },
    /// A key has a value that is neither true nor false.
    NoTruth {
        /// The key.
        key: &'static str,
        /// The value.
        value: Piece,
    },
    /// Two values are given for one thing.
    Twice {
        /// What.
        what: &'static str,
        /// The one.
        one: Piece,
        /// The other.
        other: Piece,
    },
    /// A port is none.
    Port {
        /// The key or column.
        key: &'static str,
        /// What stands there.
        value: Piece,
    },
    /// It names several ports.
    Ports,
    /// No host has the address.
    Unspecified(IpAddr),
    /// It is many addresses.
    Prefix(Piece),
    /// It is an address with a zone.
    Zone(Piece),
    /// It is a URL.
    Url(Piece),
    /// It is an IPv6 address, and its last part may be a port.
    Brackets(Piece),
    /// It is neither an address nor a name.
    NoName {
        /// What stands there.
        text: Piece,
        /// Why.
        why: &'static str,
    },
    /// It is a name, and names are not looked up.
    Name(Piece),
    /// A name has no address.
    Unresolved {
        /// The name.
        name: Piece,
        /// Why.
        reason: String,
    },
    /// A name has addresses that there is no route to.
    NoRoute {
        /// The name.
        name: Piece,
        /// The addresses.
        kinds: &'static str,
        /// One of them.
        address: IpAddr,
    },
    /// A quoted field goes on to the input's end.
    OpenQuote,
    /// A row has more or fewer fields than the header.
    Fields {
        /// So many.
        fields: usize,
        /// Those of the header.
        header: usize,
    },
    /// A header names two columns for one thing.
    Columns(String),
    /// Without a header, the row may mean several things.
    Ambiguous,
    /// Of a list of a scan, the line says of no port that it is open.
    Scan,
}

/// What makes two lines wrong in the same way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Sort(Discriminant<Wrong>, Option<String>);

impl Wrong {
    /// The same for all that are wrong in the same way.
    pub(super) fn sort(&self) -> Sort {
        let reason = match self {
            Wrong::Unresolved { reason, .. } => Some(reason.clone()),
            Wrong::NoName { why, .. } => Some((*why).to_owned()),
            _ => None,
        };
        Sort(discriminant(self), reason)
    }

    pub(super) fn no_name(text: &str, why: &'static str) -> Wrong {
        Wrong::NoName { text: Piece::of(text), why }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::TooLong => write!(f, "the line is longer than {LONGEST_LINE} octets"),
            Wrong::NotUtf8 => f.write_str("the line is not UTF-8: convert the file (iconv -t UTF-8)"),
            Wrong::Zeros => f.write_str(
                "the line has octets of zero, as UTF-16 has: convert the file (iconv -f UTF-16 -t \
                 UTF-8)",
            ),
            Wrong::Json { reason, column } => write!(f, "{reason}, at column {column}"),
            Wrong::PartOfObject => f.write_str(
                "the line is a part of a JSON object: write each object on one line (jq -c .)",
            ),
            Wrong::ListOfObjects => f.write_str(
                "the line is a list of JSON objects: write each object on a line of its own (jq -c \
                 '.[]')",
            ),
            Wrong::Xml => f.write_str(
                "the line is XML: write targets as JSON objects or rows (of masscan -oJ, of nmap -oG)",
            ),
            Wrong::Nothing => f.write_str(
                "it has neither dip (the target's address) nor domain: write \
                 {\"dip\":\"192.0.2.1\",\"dp\":443}, or a row 192.0.2.1,443",
            ),
            Wrong::NoText { key, value } => {
                write!(f, "{key} is {value}, not a text: write an address or a name in quotes")
            }
            Wrong::NoTruth { key, value } => {
                write!(f, "{key} is {value}: write true or false")
            }
            Wrong::Twice { what, one, other } => {
                write!(f, "it gives {what} twice, {one} and {other}: leave one out")
            }
            Wrong::Port { key, value } => {
                write!(f, "{key} is {value}, which is not a port (1 to 65535)")
            }
            Wrong::Ports => f.write_str("it has several ports: write a line for each"),
            Wrong::Unspecified(address) => {
                write!(f, "{address} is the unspecified address, which no host has")
            }
            Wrong::Prefix(text) => {
                write!(f, "{text} stands for many addresses: write each on a line of its own")
            }
            Wrong::Zone(text) => write!(
                f,
                "{text} has a zone: write the address without it, and name the interface with -i"
            ),
            Wrong::Url(text) => {
                write!(f, "{text} is a URL: write its host and port, such as example.org:443")
            }
            Wrong::Brackets(text) => write!(
                f,
                "{text} is not an IPv6 address: write one with a port as [2001:db8::1]:443"
            ),
            Wrong::NoName { text, why } => {
                write!(f, "{text} is neither an IP address nor a name: {why}")
            }
            Wrong::Name(text) => {
                write!(f, "{text} is not an IP address; with --resolve names are looked up")
            }
            Wrong::Unresolved { name, reason } => write!(f, "{name} {reason}"),
            Wrong::NoRoute { name, kinds, address } => {
                write!(f, "{name} has {kinds}, and there is no route to them (such as {address})")
            }
            Wrong::OpenQuote => f.write_str("a quoted field has no end"),
            Wrong::Fields { fields, header } => {
                write!(f, "the row has {fields} fields, the header {header}")
            }
            Wrong::Columns(what) => write!(f, "two columns of the header mean {what:?}"),
            Wrong::Ambiguous => f.write_str(
                "the row may mean several things: write an address alone, ip,port, ip,domain, \
                 rank,domain, ip,port,host or ip,port,host,rank, or a first row that names the \
                 columns, such as ip,port,note",
            ),
            Wrong::Scan => f.write_str("the line of the scan has no address and port"),
        }
    }
}
