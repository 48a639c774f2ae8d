//! Owns the small words of scenarios: flags, marks, protocols and ranges, and how they are written.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use crate::packet::flag;

/// TCP flags that must be set and must be clear, written `"SYN !ACK ECE"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Those that must be set.
    pub set: u16,
    /// Those that must be clear.
    pub clear: u16,
}

const FLAGS: [(&str, u16); 9] = [
    ("FIN", flag::FIN),
    ("SYN", flag::SYN),
    ("RST", flag::RST),
    ("PSH", flag::PSH),
    ("ACK", flag::ACK),
    ("URG", flag::URG),
    ("ECE", flag::ECE),
    ("CWR", flag::CWR),
    ("AE", flag::AE),
];

impl Flags {
    /// Reads the written form.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut flags = Flags::default();
        for word in text.split_whitespace() {
            let (name, clear) = word.strip_prefix('!').map_or((word, false), |name| (name, true));
            let known = FLAGS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            let Some((_, bit)) = known else {
                return Err(format!(
                    "{name:?} is not a TCP flag (FIN SYN RST PSH ACK URG ECE CWR AE)"
                ));
            };
            if clear { flags.clear |= bit } else { flags.set |= bit }
        }
        Ok(flags)
    }

    /// Whether a segment's flags are so.
    pub fn matches(self, flags: u16) -> bool {
        flags & self.set == self.set && flags & self.clear == 0
    }
}

impl<'de> Deserialize<'de> for Flags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Flags::parse(&text).map_err(D::Error::custom)
    }
}

/// The ECN field (RFC 3168).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ecn {
    /// 00.
    NotEct,
    /// 01.
    Ect1,
    /// 10.
    Ect0,
    /// 11.
    Ce,
}

impl Ecn {
    /// The two bits.
    pub fn bits(self) -> u8 {
        match self {
            Ecn::NotEct => 0,
            Ecn::Ect1 => 1,
            Ecn::Ect0 => 2,
            Ecn::Ce => 3,
        }
    }
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP, or ICMPv6 in IPv6.
    Icmp,
}

/// A range of numbers, both ends in it, written `"100..200"`, `"..200"`, `"100.."` or `100`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span(pub RangeInclusive<u32>);

impl Span {
    /// Whether `number` is in it.
    pub fn contains(&self, number: u32) -> bool {
        self.0.contains(&number)
    }

    fn parse(text: &str) -> Option<Self> {
        let end = |text: &str, open: u32| {
            if text.is_empty() { Some(open) } else { text.trim().parse().ok() }
        };
        let (low, high) = text.split_once("..").unwrap_or((text, text));
        Some(Self(end(low, 0)?..=end(high, u32::MAX)?))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            One(u32),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::One(number) => Ok(Span(number..=number)),
            Written::Text(text) => Span::parse(&text).ok_or_else(|| {
                D::Error::custom(format!("{text:?} is not a range such as \"100..200\""))
            }),
        }
    }
}

/// A network, written `"10.64.0.0/28"`, or an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

impl Prefix {
    /// Whether `address` is in it.
    pub fn contains(self, address: IpAddr) -> bool {
        let (own, width) = bits(self.address);
        let (other, other_width) = bits(address);
        let beyond = u32::from(width - self.length);
        width == other_width && own.checked_shr(beyond) == other.checked_shr(beyond)
    }

    fn parse(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/').unzip();
        let address: IpAddr = address.unwrap_or(text).parse().ok()?;
        let (_, width) = bits(address);
        let length = length.map_or(Some(width), |length| length.parse().ok())?;
        (length <= width).then_some(Self { address, length })
    }
}

/// An address as a number, and how many bits it has.
fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(address) => (u32::from(address).into(), 32),
        IpAddr::V6(address) => (address.into(), 128),
    }
}

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let parsed = Prefix::parse(&text);
        parsed.ok_or_else(|| D::Error::custom(format!("{text:?} is no address, and no network")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_has_the_addresses_of_its_version() {
        let has = |prefix: &str, address: &str| {
            Prefix::parse(prefix).unwrap().contains(address.parse().unwrap())
        };
        assert!(has("10.64.0.0/28", "10.64.0.15") && !has("10.64.0.0/28", "10.64.0.16"));
        assert!(has("10.64.0.3", "10.64.0.3") && !has("10.64.0.3", "10.64.0.2"));
        assert!(has("fd00:64::/64", "fd00:64::9") && !has("fd00:64::/64", "fd00:65::9"));
        assert!(has("::/0", "fd00::1") && !has("::/0", "10.0.0.1"));
        for wrong in ["10.64.0.0/33", "10.64.0", "x", "10.64.0.0/"] {
            assert_eq!(Prefix::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn flags_are_set_and_clear() {
        let flags = Flags::parse("syn !ACK ECE").unwrap();
        assert!(flags.matches(flag::SYN | flag::ECE | flag::CWR));
        assert!(!flags.matches(flag::SYN | flag::ECE | flag::ACK));
        assert!(!flags.matches(flag::SYN));
        assert!(Flags::parse("SYM").unwrap_err().contains("\"SYM\" is not a TCP flag"));
    }

    #[test]
    fn spans() {
        assert_eq!(Span::parse("100..200"), Some(Span(100..=200)));
        assert_eq!(Span::parse("..200"), Some(Span(0..=200)));
        assert_eq!(Span::parse("100.."), Some(Span(100..=u32::MAX)));
        assert_eq!(Span::parse("a.."), None);
    }
}
