//! Owns the DNS server: it knows every name but those below `invalid` (RFC 6761). A name that
//! begins with an IPv4 address, as in `10-64-0-1.lab.example`, has that one; any other the same
//! documentation addresses.

use std::net::{Ipv4Addr, Ipv6Addr};
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

const HEADER: usize = 12;
const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;

/// Serves DNS over UDP, each answer `slow` late.
pub(super) async fn over_udp(socket: UdpSocket, slow: Duration) {
    let socket = Arc::new(socket);
    let mut buffer = [0; 4096];
    loop {
        let received = socket.async_io(Interest::READABLE, || receive(&*socket, &mut buffer)).await;
        // An error is an ICMP error about an earlier answer.
        let Ok(Some((length, ends))) = received else { continue };
        let Some(reply) = respond(&buffer[..length]) else { continue };
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
                let Some(reply) = respond(&query) else { return };
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
fn respond(query: &[u8]) -> Option<Vec<u8>> {
    let word = |at: usize| Some(u16::from_be_bytes([*query.get(at)?, *query.get(at + 1)?]));
    let (flags, questions) = (word(2)?, word(4)?);
    if flags & 0x8000 != 0 || questions != 1 {
        return None;
    }
    let mut end = HEADER;
    while *query.get(end)? != 0 {
        // A length of 64 or more would be a pointer, which a question has nothing to point to.
        end += usize::from(Some(query[end]).filter(|length| *length < 64)?) + 1;
    }
    let kind = word(end + 1)?;
    let question = query.get(HEADER..end + 5)?;
    let name = query[HEADER..end].to_ascii_lowercase();
    let unknown = name.ends_with(b"\x07invalid");
    let address = match (kind, spelt(query)) {
        _ if unknown => Vec::new(),
        (TYPE_A, spelt) => spelt.unwrap_or(IPV4).octets().to_vec(),
        (TYPE_AAAA, None) if name == TRANSLATED => PREFIXED.octets().to_vec(),
        (TYPE_AAAA, None) => IPV6.octets().to_vec(),
        _ => Vec::new(),
    };
    let answers = u16::from(!address.is_empty());
    // A response, with authority, recursion as desired and available; code 3 for no such name.
    let flags = 0x8480 | (flags & 0x0100) | if unknown { 3 } else { 0 };
    let mut reply = query[..2].to_vec();
    for value in [flags, 1, answers, 0, 0] {
        reply.extend(value.to_be_bytes());
    }
    reply.extend(question);
    if answers > 0 {
        // The name is that of the question, the class IN, to be kept for a minute.
        reply.extend([0xc0, HEADER as u8]);
        reply.extend(kind.to_be_bytes());
        reply.extend([0, 1, 0, 0, 0, 60]);
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

    const QUERY: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03lab\x07example\0\0\x01\0\x01";

    #[test]
    fn a_query_for_an_address_is_answered() {
        let reply = respond(QUERY).unwrap();
        assert_eq!(reply[..12], *b"\x12\x34\x85\x80\0\x01\0\x01\0\0\0\0");
        assert_eq!(reply[12..QUERY.len()], QUERY[12..]);
        assert!(reply.ends_with(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01"));
    }

    #[test]
    fn names_that_spell_an_address_or_are_invalid() {
        let query = |name: &[u8]| [&QUERY[..HEADER], name, b"\0\0\x01\0\x01"].concat();
        let reply = respond(&query(b"\x0910-64-0-1\x03lab")).unwrap();
        assert!(reply.ends_with(&[10, 64, 0, 1]));
        let reply = respond(&query(b"\x01a\x07Invalid")).unwrap();
        assert_eq!(reply[2..8], [0x85, 0x83, 0, 1, 0, 0]);
        let query = [&QUERY[..HEADER], b"\x08ipv4only\x04ARPA\0\0\x1c\0\x01"].concat();
        assert!(respond(&query).unwrap().ends_with(&PREFIXED.octets()));
    }

    #[test]
    fn what_is_no_query_is_not_answered() {
        assert_eq!(respond(&QUERY[..20]), None);
        assert_eq!(respond(&respond(QUERY).unwrap()), None);
        assert_eq!(respond(b""), None);
    }
}
