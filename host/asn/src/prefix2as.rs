//! CAIDA's prefix2as: a line for each announced prefix, with its address, its length and the systems
//! that announce it, between tabs.

use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;
use prefix_trie::joint::JointPrefixMap;

use crate::error::AsnError;
use crate::network::Network;

/// Of a line that is none, so much is shown.
const SHOWN: usize = 60;

/// Prefixes and who announces them.
#[derive(Debug)]
pub(crate) struct Prefix2As(JointPrefixMap<IpNet, u32>);

impl Prefix2As {
    /// Reads the lines. The file is of another format where its first line is no prefix.
    pub(crate) fn read(path: &Path, octets: &[u8]) -> Result<Prefix2As, AsnError> {
        let format =
            |reason: &str| AsnError::Format { path: path.to_owned(), reason: reason.to_owned() };
        let text = std::str::from_utf8(octets).map_err(|_| format("it is no text"))?;
        let mut prefixes = JointPrefixMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match entry(line) {
                Some((prefix, asn)) => {
                    prefixes.insert(prefix, asn);
                }
                None if prefixes.is_empty() => return Err(format("its first line is no prefix")),
                None => {
                    let text = line.chars().take(SHOWN).collect();
                    return Err(AsnError::Line { path: path.to_owned(), line: number, text });
                }
            }
        }
        if prefixes.is_empty() { Err(format("it is empty")) } else { Ok(Prefix2As(prefixes)) }
    }

    pub(crate) fn find(&self, address: IpAddr) -> Network {
        match self.0.get_lpm(&IpNet::from(address)) {
            Some((prefix, &asn)) => {
                Network { asn: Some(asn), prefix: Some(prefix), ..Network::default() }
            }
            None => Network::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// A prefix and the system that announces it. Of several systems (`64500_64501`) and of sets
/// (`64500,64501`), the first.
fn entry(line: &str) -> Option<(IpNet, u32)> {
    let mut fields = line.split_ascii_whitespace();
    let address: IpAddr = fields.next()?.parse().ok()?;
    let length = fields.next()?.parse().ok()?;
    let asn = fields.next()?.split(['_', ',']).next()?;
    let asn = asn.trim_matches(['{', '}']).parse().ok()?;
    if fields.next().is_some() {
        return None;
    }
    Some((IpNet::new(address, length).ok()?.trunc(), asn))
}
