//! Addresses of IPv6 that stand for ones of IPv4: a translator on the way answers in the target's place
//! (RFC 6052). Its prefix is well known, or the network's own, which a name tells (RFC 7050).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// The name that has addresses of IPv4 alone, unless a resolver makes some of IPv6 of them.
const NAME: &str = "ipv4only.arpa";

/// Its addresses.
const KNOWN: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 0, 170), Ipv4Addr::new(192, 0, 0, 171)];

/// How long after the question records wait for the answer: a run whose resolver does not answer takes so much longer.
const PATIENCE: Duration = Duration::from_secs(1);

/// The lengths of prefixes (RFC 6052, section 2.2), the longest first.
const LENGTHS: [u8; 6] = [96, 64, 56, 48, 40, 32];

/// A prefix behind which addresses stand for ones of IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Prefix {
    address: Ipv6Addr,
    length: u8,
}

/// That of RFC 6052, and those for use within a network (RFC 8215).
const WELL_KNOWN: [Prefix; 2] = [
    Prefix { address: Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), length: 96 },
    Prefix { address: Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), length: 48 },
];

/// What is known of translators.
#[derive(Default)]
pub(super) struct Translators {
    found: Vec<Prefix>,
    asked: Option<Asked>,
}

/// The question to the resolver.
struct Asked {
    answers: Receiver<Vec<Prefix>>,
    /// Until when a record waits for the answer.
    until: Instant,
}

impl Translators {
    /// Notes that there will be a record of this target. With the first that may be translated, the
    /// resolver is asked; it answers while the target's packets are still waited for.
    pub(super) fn expect(&mut self, target: IpAddr) {
        if self.asked.is_none() && may_be_translated(target).is_some() {
            let answers = begin();
            self.asked = Some(Asked { answers, until: Instant::now() + PATIENCE });
        }
    }

    /// The prefix that has this address translated, as a text; `None` where none is known to. Records
    /// that are made before the resolver has answered lack it.
    pub(super) fn of(&mut self, address: IpAddr) -> Option<String> {
        let IpAddr::V6(own) = address else { return None };
        if let Some(prefix) = among(&WELL_KNOWN, own) {
            return Some(prefix);
        }
        let own = may_be_translated(address)?;
        if let Some(asked) = &self.asked {
            let patience = asked.until.saturating_duration_since(Instant::now());
            if let Ok(found) = asked.answers.recv_timeout(patience) {
                self.found = found;
            }
        }
        among(&self.found, own)
    }
}

/// Asks on a thread of its own: the system's resolver has its own time-outs.
fn begin() -> Receiver<Vec<Prefix>> {
    let (answer, answers) = channel();
    let ask = move || {
        let found = (NAME, 0).to_socket_addrs().into_iter().flatten();
        let found = found.filter_map(|found| match found.ip() {
            IpAddr::V6(address) => prefix_of(address),
            IpAddr::V4(_) => None,
        });
        // Whoever asked may be gone.
        let _ = answer.send(found.collect());
    };
    // Where there is no thread for it, nobody answers.
    let _ = std::thread::Builder::new().name("nat64".into()).spawn(ask);
    answers
}

/// The address, where it may be behind a prefix of the network's own: one of the link or of this machine
/// cannot, and the well-known prefixes need no question.
fn may_be_translated(address: IpAddr) -> Option<Ipv6Addr> {
    let IpAddr::V6(address) = address else { return None };
    let is_elsewhere = address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || address.is_unicast_link_local()
        || address.to_ipv4_mapped().is_some()
        || among(&WELL_KNOWN, address).is_some();
    (!is_elsewhere).then_some(address)
}

fn among(prefixes: &[Prefix], address: Ipv6Addr) -> Option<String> {
    let found = prefixes.iter().find(|prefix| cut(address, prefix.length) == prefix.address)?;
    Some(format!("{}/{}", found.address, found.length))
}

/// The prefix of an address that stands for one of the name's.
fn prefix_of(address: Ipv6Addr) -> Option<Prefix> {
    let is_known = |length: &u8| KNOWN.contains(&translated(address, *length));
    let length = LENGTHS.into_iter().find(is_known)?;
    Some(Prefix { address: cut(address, length), length })
}

/// The address of IPv4 that one of IPv6 stands for behind a prefix of this length. The octet after the
/// first 64 bits is none of it (RFC 6052, section 2.2).
fn translated(address: Ipv6Addr, length: u8) -> Ipv4Addr {
    const NOT_USED: usize = 8;
    let octets = address.octets();
    let after = (usize::from(length) / 8..).filter(|&at| at != NOT_USED);
    let mut four = [0; 4];
    for (octet, at) in four.iter_mut().zip(after) {
        *octet = octets[at];
    }
    Ipv4Addr::from(four)
}

fn cut(address: Ipv6Addr, length: u8) -> Ipv6Addr {
    let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
    Ipv6Addr::from(u128::from(address) & mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    #[test]
    fn the_prefix_is_read_from_the_names_addresses() {
        // The examples of RFC 6052, section 2.4, with the name's first address.
        let examples = [
            ("2001:db8:c000:aa::", "2001:db8::/32"),
            ("2001:db8:1c0:0:aa::", "2001:db8:100::/40"),
            ("2001:db8:122:c000:0:aa00::", "2001:db8:122::/48"),
            ("2001:db8:122:3c0:0:aa::", "2001:db8:122:300::/56"),
            ("2001:db8:122:344:c0:0:aa00:0", "2001:db8:122:344::/64"),
            ("2001:db8:122:344::c000:aa", "2001:db8:122:344::/96"),
            ("64:ff9b::192.0.0.171", "64:ff9b::/96"),
        ];
        for (found, expected) in examples {
            let prefix = prefix_of(address(found)).unwrap();
            assert_eq!(format!("{}/{}", prefix.address, prefix.length), expected, "{found}");
        }
        assert_eq!(prefix_of(address("2001:db8::1")), None);
    }

    #[test]
    fn well_known_prefixes_need_no_name() {
        let mut translators = Translators::default();
        let mut of = |text: &str| translators.of(text.parse().unwrap());
        assert_eq!(of("64:ff9b::198.51.100.7").as_deref(), Some("64:ff9b::/96"));
        assert_eq!(of("64:ff9b:1:2::1").as_deref(), Some("64:ff9b:1::/48"));
        assert_eq!(of("198.51.100.7"), None);
        for address in ["64:ff9b::1", "198.51.100.7", "fe80::1", "::1"] {
            translators.expect(address.parse().unwrap());
        }
        assert!(translators.asked.is_none());
    }

    #[test]
    fn what_was_found_holds_for_the_rest_of_the_run() {
        let found = prefix_of(address("2001:db8:122:344::c000:aa"));
        let (answer, answers) = channel();
        let asked = Some(Asked { answers, until: Instant::now() });
        let mut translators = Translators { asked, ..Translators::default() };
        let target = "2001:db8:122:344::198.51.100.7".parse().unwrap();
        assert_eq!(translators.of(target), None);
        answer.send(found.into_iter().collect()).unwrap();
        assert_eq!(translators.of(target).as_deref(), Some("2001:db8:122:344::/96"));
        assert_eq!(translators.of("2001:db8::1".parse().unwrap()), None);
    }
}
