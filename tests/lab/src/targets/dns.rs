//! Owns the DNS server: it knows every name but those below `invalid` (RFC 6761). A name that
//! begins with an IPv4 address, as in `10-64-0-1.lab.example`, has that one. What any other has is
//! the [`Zone`]'s to say.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{TcpListener, UdpSocket};
use tokio::time::sleep;

use super::sockets::{answer, receive};
use super::web::accept;

/// Set aside for documentation (RFC 5737), so that nobody measures them by mistake.
const IPV4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The same for IPv6 (RFC 3849).
const IPV6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// Who translates to IPv4 tells its prefix by addresses of IPv6 for a name that has none (RFC 7050).
/// Here it is that of the first scenario's targets.
const TRANSLATED: &[u8] = b"\x08ipv4only\x04arpa";
const PREFIXED: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x64, 0, 0, 0, 0, 0xc000, 0xaa);

/// Which addresses names have.
#[derive(Clone, Debug)]
pub(super) enum Zone {
    /// All the same documentation addresses.
    Documentation,
    /// Those of the lab's targets.
    Lab(Arc<Targets>),
}

/// The targets of a lab, by the names of their paths.
#[derive(Debug)]
pub struct Targets(pub Vec<(String, Vec<IpAddr>)>);

impl Targets {
    /// The addresses of a name, without regard to its version: `PATH.lab` is the first target of that path,
    /// `N.PATH.lab` the one with this number, and any other name always the same one of all.
    fn of(&self, name: &str, is_wanted: impl Fn(&IpAddr) -> bool) -> Option<IpAddr> {
        let labels: Vec<&str> = name.split('.').collect();
        let (number, path) = match labels[..] {
            [path, "lab"] => (Some(1), Some(path)),
            [number, path, "lab"] => (number.parse().ok(), Some(path)),
            _ => (None, None),
        };
        let of_path = self.0.iter().find(|(own, _)| Some(own.as_str()) == path);
        if let (Some((_, targets)), Some(number)) = (of_path, number) {
            let mut wanted = targets.iter().copied().filter(is_wanted);
            return wanted.nth(usize::checked_sub(number, 1)?);
        }
        let all = || self.0.iter().flat_map(|(_, targets)| targets).copied().filter(&is_wanted);
        let count = all().count();
        all().nth((fnv_1a(name) as usize).checked_rem(count)?)
    }
}

/// A number by which the same name is the same target in each run.
fn fnv_1a(name: &str) -> u32 {
    const BASIS: u32 = 0x811c_9dc5;
    const PRIME: u32 = 0x0100_0193;
    name.bytes().fold(BASIS, |sum, octet| (sum ^ u32::from(octet)).wrapping_mul(PRIME))
}

impl Zone {
    /// The octets of the address that a name has in records of this type; none where it has none.
    fn octets(&self, kind: u16, name: &[u8], spelt: Option<Ipv4Addr>) -> Vec<u8> {
        match (self, kind, spelt) {
            (_, TYPE_A, Some(spelt)) => spelt.octets().to_vec(),
            (_, _, Some(_)) => Vec::new(),
            (Zone::Documentation, TYPE_A, None) => IPV4.octets().to_vec(),
            (Zone::Documentation, TYPE_AAAA, None) if name == TRANSLATED => {
                PREFIXED.octets().to_vec()
            }
            (Zone::Documentation, TYPE_AAAA, None) => IPV6.octets().to_vec(),
            (Zone::Lab(targets), TYPE_A | TYPE_AAAA, None) if name != TRANSLATED => {
                let is_wanted = |address: &IpAddr| address.is_ipv6() == (kind == TYPE_AAAA);
                match targets.of(&dotted(name), is_wanted) {
                    Some(IpAddr::V4(address)) => address.octets().to_vec(),
                    Some(IpAddr::V6(address)) => address.octets().to_vec(),
                    None => Vec::new(),
                }
            }
            _ => Vec::new(),
        }
    }
}

/// A name's labels, with dots between them.
fn dotted(mut name: &[u8]) -> String {
    let mut labels = Vec::new();
    while let Some((&length, rest)) = name.split_first() {
        let (label, rest) = rest.split_at(usize::from(length).min(rest.len()));
        labels.push(String::from_utf8_lossy(label).into_owned());
        name = rest;
    }
    labels.join(".")
}

/// Octets of a message's header (RFC 1035, section 4.1.1).
const HEADER: usize = 12;
/// Where the flags and the number of questions are in it.
const FLAGS: usize = 2;
const QUESTIONS: usize = 4;
const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
const CLASS_IN: u16 = 1;
/// Octets of a question behind its name: the end of the name, type and class.
const BEHIND_NAME: usize = 1 + 2 + 2;
/// The flags of messages: it is a response, has authority, recursion is desired, and available.
const RESPONSE: u16 = 0x8000;
const AUTHORITATIVE: u16 = 0x0400;
const DESIRED: u16 = 0x0100;
const AVAILABLE: u16 = 0x0080;
/// The code of a response about a name that is not there.
const NO_NAME: u16 = 3;
/// From here on a label's length is a pointer to a name that is there already (section 4.1.4).
const FIRST_POINTER: u8 = 64;
const POINTER: u16 = 0xc000;
/// Seconds for which an answer may be kept.
const LIFETIME: u32 = 60;

/// Serves DNS over UDP, each answer `slow` late.
pub(super) async fn over_udp(socket: UdpSocket, slow: Duration, zone: Zone) {
    let socket = Arc::new(socket);
    let mut buffer = [0; 4096];
    loop {
        let received = socket.async_io(Interest::READABLE, || receive(&*socket, &mut buffer)).await;
        // An error is an ICMP error about an earlier answer.
        let Ok(Some((length, ends))) = received else { continue };
        let Some(reply) = respond(&buffer[..length], &zone) else { continue };
        let socket = Arc::clone(&socket);
        tokio::spawn(async move {
            sleep(slow).await;
            // A client that cannot be reached any more loses its answer, as with any UDP.
            let _ = answer(&*socket, &ends, &reply);
        });
    }
}

/// Serves DNS over TCP, each answer `slow` late.
pub(super) async fn over_tcp(listener: TcpListener, slow: Duration) {
    loop {
        let mut stream = accept(&listener).await;
        tokio::spawn(async move {
            while let Ok(length) = stream.read_u16().await {
                let mut query = vec![0; usize::from(length)];
                if stream.read_exact(&mut query).await.is_err() {
                    return;
                }
                let Some(reply) = respond(&query, &Zone::Documentation) else { return };
                sleep(slow).await;
                let framed = [&(reply.len() as u16).to_be_bytes()[..], &reply].concat();
                if stream.write_all(&framed).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// The answer to a query (RFC 1035, section 4); `None` for what is not one.
fn respond(query: &[u8], zone: &Zone) -> Option<Vec<u8>> {
    let word = |at: usize| Some(u16::from_be_bytes([*query.get(at)?, *query.get(at + 1)?]));
    let (flags, questions) = (word(FLAGS)?, word(QUESTIONS)?);
    if flags & RESPONSE != 0 || questions != 1 {
        return None;
    }
    let mut end = HEADER;
    while *query.get(end)? != 0 {
        // A question has nothing that a pointer could point to.
        end += usize::from(Some(query[end]).filter(|length| *length < FIRST_POINTER)?) + 1;
    }
    let kind = word(end + 1)?;
    let question = query.get(HEADER..end + BEHIND_NAME)?;
    let name = query[HEADER..end].to_ascii_lowercase();
    let unknown = name.ends_with(b"\x07invalid");
    let address = if unknown { Vec::new() } else { zone.octets(kind, &name, spelt(query)) };
    let answers = u16::from(!address.is_empty());
    let code = if unknown { NO_NAME } else { 0 };
    let flags = RESPONSE | AUTHORITATIVE | flags & DESIRED | AVAILABLE | code;
    let mut reply = query[..2].to_vec();
    for value in [flags, 1, answers, 0, 0] {
        reply.extend(value.to_be_bytes());
    }
    reply.extend(question);
    if answers > 0 {
        // The name is that of the question.
        for word in [POINTER | HEADER as u16, kind, CLASS_IN] {
            reply.extend(word.to_be_bytes());
        }
        reply.extend(LIFETIME.to_be_bytes());
        reply.extend((address.len() as u16).to_be_bytes());
        reply.extend(address);
    }
    Some(reply)
}

/// The address that the first label of a query's name spells.
fn spelt(query: &[u8]) -> Option<Ipv4Addr> {
    let length = usize::from(*query.get(HEADER)?);
    let label = std::str::from_utf8(query.get(HEADER + 1..HEADER + 1 + length)?).ok()?;
    label.replace('-', ".").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: &Zone = &Zone::Documentation;
    const QUERY: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03lab\x07example\0\0\x01\0\x01";

    #[test]
    fn a_query_for_an_address_is_answered() {
        let reply = respond(QUERY, ANY).unwrap();
        assert_eq!(reply[..12], *b"\x12\x34\x85\x80\0\x01\0\x01\0\0\0\0");
        assert_eq!(reply[12..QUERY.len()], QUERY[12..]);
        assert!(reply.ends_with(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01"));
    }

    #[test]
    fn names_that_spell_an_address_or_are_invalid() {
        let query = |name: &[u8]| [&QUERY[..HEADER], name, b"\0\0\x01\0\x01"].concat();
        let reply = respond(&query(b"\x0910-64-0-1\x03lab"), ANY).unwrap();
        assert!(reply.ends_with(&[10, 64, 0, 1]));
        let reply = respond(&query(b"\x01a\x07Invalid"), ANY).unwrap();
        assert_eq!(reply[2..8], [0x85, 0x83, 0, 1, 0, 0]);
        let query = [&QUERY[..HEADER], b"\x08ipv4only\x04ARPA\0\0\x1c\0\x01"].concat();
        assert!(respond(&query, ANY).unwrap().ends_with(&PREFIXED.octets()));
    }

    #[test]
    fn what_is_no_query_is_not_answered() {
        assert_eq!(respond(&QUERY[..20], ANY), None);
        assert_eq!(respond(&respond(QUERY, ANY).unwrap(), ANY), None);
        assert_eq!(respond(b"", ANY), None);
    }

    #[test]
    fn in_a_lab_each_name_is_a_target() {
        let addresses = |all: &[&str]| all.iter().map(|one| one.parse().unwrap()).collect();
        let targets = Targets(vec![
            ("well".into(), addresses(&["10.64.0.1", "10.64.0.2", "fd00:64::1"])),
            ("ill".into(), addresses(&["10.64.16.1"])),
        ]);
        let of = |name: &str, is_ipv6: bool| {
            let found = targets.of(name, |address| address.is_ipv6() == is_ipv6);
            found.map(|address| address.to_string())
        };
        assert_eq!(of("well.lab", false).as_deref(), Some("10.64.0.1"));
        assert_eq!(of("2.well.lab", false).as_deref(), Some("10.64.0.2"));
        assert_eq!(of("well.lab", true).as_deref(), Some("fd00:64::1"));
        assert_eq!(
            [of("ill.lab", true), of("3.well.lab", false), of("0.ill.lab", false)],
            [None, None, None]
        );
        let other = of("www.example.org", false);
        assert!(other.is_some() && other == of("www.example.org", false));
        let zone = Zone::Lab(Arc::new(targets));
        let query = [&QUERY[..HEADER], b"\x03ill\x03LAB\0\0\x01\0\x01"].concat();
        assert!(respond(&query, &zone).unwrap().ends_with(&[10, 64, 16, 1]));
        let none =
            respond(&[&QUERY[..HEADER], b"\x03ill\x03lab\0\0\x1c\0\x01"].concat(), &zone).unwrap();
        assert_eq!(none[2..8], [0x85, 0x80, 0, 1, 0, 0], "it exists, and has no such address");
    }
}
