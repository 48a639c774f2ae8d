//! DNS queries (RFC 1035, section 4).

use crate::error::{Error, Result};

/// A query for the IPv4 addresses of a name, with the wish for recursion; `id` comes back in the
/// response. The empty name, or `.`, is the root.
///
/// # Errors
///
/// A label is empty or longer than 63 octets, or the whole name than 255 (section 2.3.4).
pub fn dns_query(name: &str, id: u16) -> Result<Vec<u8>> {
    const RECURSION_DESIRED: u16 = 0x0100;
    const TYPE_A: u16 = 1;
    const CLASS_IN: u16 = 1;
    let mut query = Vec::with_capacity(18 + name.len());
    for word in [id, RECURSION_DESIRED, 1, 0, 0, 0] {
        query.extend(word.to_be_bytes());
    }
    let start = query.len();
    let labels = name.strip_suffix('.').unwrap_or(name);
    for label in labels.split('.').filter(|_| !labels.is_empty()) {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..64).contains(length));
        let length = length.ok_or_else(|| {
            Error::new(format!("{name:?} is no domain name: a label has 1 to 63 octets"))
        })?;
        query.push(length);
        query.extend(label.as_bytes());
    }
    query.push(0);
    if query.len() - start > 255 {
        return Err(Error::new(format!("{name:?} is no domain name: it has more than 255 octets")));
    }
    query.extend(TYPE_A.to_be_bytes());
    query.extend(CLASS_IN.to_be_bytes());
    Ok(query)
}

/// A [`dns_query`] that is filled up to this many octets with the padding of EDNS(0) (RFC 6891, RFC 7830),
/// which servers ignore.
///
/// # Errors
///
/// As for [`dns_query`]; and where the query with an empty padding is longer already.
pub fn padded_dns_query(name: &str, id: u16, octets: usize) -> Result<Vec<u8>> {
    /// Where a message says how many additional records it has (RFC 1035, section 4.1.1).
    const ADDITIONAL: usize = 10;
    const OPT: u16 = 41;
    const PADDING: u16 = 12;
    /// What a server may send back at once: what everybody carries.
    const LARGEST: u16 = 1232;
    /// The record's octets before its data, and those of the option before its padding.
    const HEAD: usize = 11;
    const OPTION: usize = 4;
    let mut query = dns_query(name, id)?;
    let before = query.len() + HEAD + OPTION;
    let padding = octets
        .checked_sub(before)
        .and_then(|padding| u16::try_from(padding).ok())
        .filter(|padding| *padding <= u16::MAX - OPTION as u16)
        .ok_or_else(|| Error::new(format!("a query for {name:?} cannot have {octets} octets")))?;
    // One additional record, of the root. Its number is in two octets.
    query[ADDITIONAL + 1] = 1;
    query.push(0);
    for word in [OPT, LARGEST, 0, 0, padding + OPTION as u16, PADDING, padding] {
        query.extend(word.to_be_bytes());
    }
    query.resize(octets, 0);
    Ok(query)
}
