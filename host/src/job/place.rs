//! Where a target is: an address or a name, perhaps with a port after a colon.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};

use super::wrong::{Piece, Wrong};

/// Where a target is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Address(IpAddr),
    /// A name that has to be looked up, as the DNS has it: in ASCII.
    Name(String),
}

/// The address that a text is, and nothing but that. The IPv4 address within an IPv4-mapped one is
/// what packets would go to.
pub(super) fn address(text: &str) -> Option<Result<IpAddr, Wrong>> {
    let address = text.trim().parse::<IpAddr>().ok()?.to_canonical();
    // It is also what stands for the address of a job that has a name only.
    Some(if address.is_unspecified() { Err(Wrong::Unspecified(address)) } else { Ok(address) })
}

/// What a text says of a place: `192.0.2.1`, `192.0.2.1:443`, `[2001:db8::1]:443`, `a.example:443`.
pub(super) fn place(text: &str) -> Result<(Place, Option<u16>), Wrong> {
    let text = text.trim();
    if let Some(address) = address(text) {
        return Ok((Place::Address(address?), None));
    }
    let (host, port) = split(text)?;
    let place = match address(host) {
        Some(address) => Place::Address(address?),
        None => Place::Name(name(host)?),
    };
    Ok((place, port.map(|text| port_of("the port", text)).transpose()?))
}

/// Host and port.
fn split(text: &str) -> Result<(&str, Option<&str>), Wrong> {
    if let Some((inner, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return match (inner.parse::<Ipv6Addr>(), rest.strip_prefix(':')) {
            (Ok(_), Some(port)) => Ok((inner, Some(port))),
            (Ok(_), None) if rest.is_empty() => Ok((inner, None)),
            _ if inner.contains('%') => Err(Wrong::Zone(Piece::of(text))),
            _ => Err(Wrong::Brackets(Piece::of(text))),
        };
    }
    if text.contains("://") {
        return Err(Wrong::Url(Piece::of(text)));
    }
    match text.split_once(':') {
        None => Ok((text, None)),
        Some((_, rest)) if rest.contains(':') => Err(if text.contains('%') {
            Wrong::Zone(Piece::of(text))
        } else if text.contains('/') {
            Wrong::Prefix(Piece::of(text))
        } else {
            Wrong::Brackets(Piece::of(text))
        }),
        Some((host, port)) => Ok((host, Some(port))),
    }
}

/// A name that can be looked up, as the DNS has it. What ends in a number is meant as an address, and
/// the system's resolver would take it for one: `10.1` for 10.0.0.1.
pub(super) fn name(text: &str) -> Result<String, Wrong> {
    let wrong = |why| Err(Wrong::no_name(text, why));
    let Some(name) = in_ascii(text) else {
        return wrong("it cannot be written as the DNS has names (RFC 5890)");
    };
    if name.len() > 253 {
        return wrong("a name is no longer than 253 octets");
    }
    if name.is_empty() || name.split('.').any(str::is_empty) && !name.ends_with('.') {
        return wrong("a part of it is empty");
    }
    if name.contains('/') {
        let before = name.split('/').next().unwrap_or_default();
        return match address(before) {
            Some(_) => Err(Wrong::Prefix(Piece::of(text))),
            None => wrong("no name has such characters"),
        };
    }
    if name.contains([' ', '\t']) {
        return wrong("fields are written with commas between them");
    }
    if name.chars().any(|c| c.is_whitespace() || c.is_control() || ":@[]%\"'<>(),;\\".contains(c)) {
        return wrong("no name has such characters");
    }
    if name.contains('-') && name.bytes().all(|b| b.is_ascii_digit() || b".-".contains(&b)) {
        return Err(Wrong::Prefix(Piece::of(text)));
    }
    let last = name.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    if last.starts_with(|c: char| c.is_ascii_digit())
        && (last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x"))
    {
        return wrong(if is_padded(&name) {
            "its numbers begin with zeros; write them without"
        } else {
            "it ends in a number"
        });
    }
    Ok(name.into_owned())
}

/// Whether a text would be an IPv4 address if its numbers did not begin with zeros.
fn is_padded(text: &str) -> bool {
    let bare = |part: &str| part.trim_start_matches('0').parse::<u8>().is_ok() || is_zero(part);
    fn is_zero(part: &str) -> bool {
        !part.is_empty() && part.bytes().all(|b| b == b'0')
    }
    text.split('.').count() == 4 && text.split('.').all(bare)
}

/// A name in ASCII, as it is looked up and sent: names in other scripts as A-labels (RFC 5890), as
/// UTS 46 maps them. `None` where there is no such name.
pub(crate) fn in_ascii(name: &str) -> Option<Cow<'_, str>> {
    if name.is_ascii() {
        return Some(name.into());
    }
    let denied = AsciiDenyList::EMPTY;
    let mapped =
        Uts46::new().to_ascii(name.as_bytes(), denied, Hyphens::Allow, DnsLength::Ignore).ok()?;
    Some(mapped.into_owned().into())
}

/// A port, as digits. Programs that take an empty cell for a fraction write `80.0`.
pub(super) fn port(text: &str) -> Option<u16> {
    let text = text.trim();
    let digits = text.strip_suffix(".0").unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|&port| is_number && port != 0)
}

/// The same, or what is wrong with what stands under `key`.
pub(super) fn port_of(key: &'static str, text: &str) -> Result<u16, Wrong> {
    port(text).ok_or_else(|| Wrong::Port { key, value: Piece::of(text) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address_of(text: &str) -> (Place, Option<u16>) {
        (Place::Address(text.parse().unwrap()), None)
    }

    fn reason(text: &str) -> String {
        place(text).unwrap_err().to_string()
    }

    #[test]
    fn names_and_addresses() {
        assert_eq!(place(" 192.0.2.1 "), Ok(address_of("192.0.2.1")));
        assert_eq!(place("2001:DB8::A"), Ok(address_of("2001:db8::a")));
        assert_eq!(place("::FFFF:192.0.2.1"), Ok(address_of("192.0.2.1")), "where packets go");
        for text in ["www.example.org", "example.org.", "a-b_c.example", "lan", "1and1.example"] {
            assert_eq!(place(text), Ok((Place::Name(text.into()), None)));
        }
        for text in ["192.0.2.256", "10.1", "1", "0x7f.0x1", "a..b", "", "a b", "a@b", "a\"b"] {
            assert!(reason(text).contains("neither an IP address nor a name"), "{text}");
        }
        for text in ["0.0.0.0", "::", " 0:0::0 ", "::ffff:0.0.0.0", "[::]:80", "0.0.0.0:80"] {
            assert!(reason(text).contains("which no host has"), "{text}");
        }
    }

    #[test]
    fn a_port_may_follow_a_colon() {
        let with = |text: &str, port| (address_of(text).0, Some(port));
        assert_eq!(place("192.0.2.1:443"), Ok(with("192.0.2.1", 443)));
        assert_eq!(place("[2001:db8::1]:8443"), Ok(with("2001:db8::1", 8443)));
        assert_eq!(place("[2001:db8::1]"), Ok(address_of("2001:db8::1")));
        assert_eq!(place("a.example:80"), Ok((Place::Name("a.example".into()), Some(80))));
        for text in ["192.0.2.1:0", "192.0.2.1:65536", "a.example:http", "a.example:", "[::1]:x"] {
            assert!(reason(text).contains("is not a port"), "{text}");
        }
    }

    #[test]
    fn what_to_write_instead_is_said() {
        for (text, word) in [
            ("192.0.2.0/24", "many addresses"),
            ("2001:db8::/64", "many addresses"),
            ("192.0.2.1-9", "many addresses"),
            ("192.0.2.1-192.0.2.9", "many addresses"),
            ("fe80::1%eth0", "-i"),
            ("[fe80::1%eth0]:80", "-i"),
            ("https://example.org/", "example.org:443"),
            ("::g", "[2001:db8::1]:443"),
            ("2001:db8:0:0:0:0:0:1:443", "[2001:db8::1]:443"),
            ("[192.0.2.1]:80", "[2001:db8::1]:443"),
            ("192.000.002.001", "without"),
        ] {
            assert!(reason(text).contains(word), "{text}: {}", reason(text));
        }
    }

    #[test]
    fn names_in_other_scripts_are_looked_up_as_the_dns_has_them() {
        let name_of = |text: &str| match place(text) {
            Ok((Place::Name(name), _)) => name,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(name_of("münchen.example"), "xn--mnchen-3ya.example");
        assert_eq!(name_of("MÜNCHEN.example:80"), "xn--mnchen-3ya.example");
        assert_eq!(name_of("mu\u{308}nchen.example"), "xn--mnchen-3ya.example", "decomposed");
        assert_eq!(name_of("例え。テスト"), "xn--r8jz45g.xn--zckzah", "with its own full stop");
        assert_eq!(name_of("faß.example"), "xn--fa-hia.example");
        assert_eq!(name_of("XN--mnchen-3ya.example"), "XN--mnchen-3ya.example", "left as it is");
        // Digits of other scripts are digits.
        assert!(reason("１０.１").contains("ends in a number"));
        assert!(reason("a\u{200b}\u{301}..é").contains("nor a name"));
    }

    #[test]
    fn ports_are_digits() {
        assert_eq!((port(" 443 "), port("0080"), port("80.0")), (Some(443), Some(80), Some(80)));
        for text in ["", "0", "65536", "+80", "-1", "8e1", "80.5", "http", "0x50", ".0"] {
            assert_eq!(port(text), None, "{text}");
        }
    }
}
