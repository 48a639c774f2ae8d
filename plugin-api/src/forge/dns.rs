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
