//! What is known of an address.

use std::fmt;

use ipnet::IpNet;

/// What is known of an address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Network {
    /// Its autonomous system. Of a prefix that several announce, the first that the file names.
    pub asn: Option<u32>,
    /// The prefix that the file has the system for. In prefix2as it is the announced one; a MaxMind
    /// DB may split or join those.
    pub prefix: Option<IpNet>,
    /// Its country.
    pub country: Option<Country>,
}

/// A country, by its two letters (ISO 3166-1).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Country([u8; 2]);

impl Country {
    /// The country of these two letters; `None` for other texts.
    pub fn new(text: &str) -> Option<Country> {
        match text.as_bytes() {
            &[a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Some(Country([a.to_ascii_uppercase(), b.to_ascii_uppercase()]))
            }
            _ => None,
        }
    }

    /// The two letters, in upper case.
    pub fn as_str(&self) -> &str {
        // They are ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
