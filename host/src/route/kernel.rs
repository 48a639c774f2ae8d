//! Questions to the kernel's routing (rtnetlink(7), `RTM_GETROUTE`): which way would a packet go?

use std::cell::Cell;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use socket2::{Domain, Socket, Type};

use super::Whither;

/// Octets of a message's header (`nlmsghdr`), and of a route's (`rtmsg`).
pub(super) const MESSAGE: usize = 16;
const ROUTE: usize = 12;

/// Octets of an attribute's header (`rtattr`).
const ATTRIBUTE: usize = 4;

/// Two headers and five attributes; two of these are addresses.
const LONGEST: usize = MESSAGE + ROUTE + 2 * (ATTRIBUTE + 16) + 3 * (ATTRIBUTE + 4);

/// Octets of a part of a list.
const LIST: usize = 32 << 10;

/// Attributes that name a protocol and its port (Linux's `rtnetlink.h`). Kernels that have no rules for
/// these pass them over.
const PROTOCOL: u16 = 27;
const PORT: u16 = 29;

/// A socket to ask.
pub(super) struct Routing {
    socket: Socket,
    /// Tells an answer from one to an earlier question.
    serial: Cell<u32>,
}

/// Which way would packets go?
#[derive(Debug, Clone, Copy)]
pub(super) struct Question {
    pub(super) to: Whither,
    /// From this address alone.
    pub(super) from: Option<IpAddr>,
    /// Out of the interface with this number.
    pub(super) interface: Option<u32>,
}

/// The way that they would go.
#[derive(Debug)]
pub(super) struct Answer {
    /// The source address; an error where there is none.
    pub(super) source: io::Result<IpAddr>,
    /// Whether there is no route, and the target is only taken for a neighbour.
    pub(super) is_guess: bool,
    interface: Option<u32>,
}

impl Answer {
    /// Whether packets leave by the interface with this number.
    pub(super) fn leaves_by(&self, index: u32) -> bool {
        self.interface == Some(index)
    }
}

impl Routing {
    pub(super) fn open() -> io::Result<Routing> {
        let kind = Type::RAW.nonblocking().cloexec();
        // The protocol is NETLINK_ROUTE.
        let socket = Socket::new(Domain::from(libc::AF_NETLINK), kind, Some(0.into()))?;
        Ok(Routing { socket, serial: Cell::new(0) })
    }

    /// Asks; the kernel answers before this returns.
    ///
    /// # Errors
    ///
    /// There is no route, or the kernel takes no such questions.
    pub(super) fn ask(&self, question: Question) -> io::Result<Answer> {
        self.serial.set(self.serial.get().wrapping_add(1));
        let serial = self.serial.get();
        self.socket.send(&question.message(serial))?;
        let mut buffer = [0; 1024];
        loop {
            let length = (&self.socket).read(&mut buffer)?;
            if let Some(answer) = read(&buffer[..length], serial, question) {
                return answer;
            }
        }
    }
}

impl Routing {
    /// Gives the prefixes that the kernel's routes of a version lead to, in all tables, and those that its rules are for,
    /// each with its length in bits; `None` is the prefix of all addresses. It ends early where `take` says so; whether it
    /// gave all. After that, nothing more may be asked here.
    ///
    /// # Errors
    ///
    /// The kernel takes no such questions.
    pub(super) fn prefixes(
        &self,
        family: i32,
        take: &mut impl FnMut(Option<IpAddr>, u8) -> bool,
    ) -> io::Result<bool> {
        let mut buffer = vec![0; LIST];
        for kind in [libc::RTM_GETROUTE, libc::RTM_GETRULE] {
            self.socket.send(&list(kind, family as u8))?;
            let mut is_done = false;
            while !is_done {
                let length = (&self.socket).read(&mut buffer)?;
                let mut rest = &buffer[..length];
                while let Some((kind, flags, body, after)) = message(rest) {
                    rest = after;
                    // They changed meanwhile, and some may be lacking.
                    if i32::from(flags) & libc::NLM_F_DUMP_INTR != 0 {
                        return Err(io::ErrorKind::Interrupted.into());
                    }
                    match i32::from(kind) {
                        libc::NLMSG_DONE => is_done = true,
                        libc::NLMSG_ERROR => return Err(io::ErrorKind::Unsupported.into()),
                        _ => {
                            let prefix = prefix(body).ok_or(io::ErrorKind::InvalidData)?;
                            if !take(prefix.0, prefix.1) {
                                return Ok(false);
                            }
                        }
                    }
                }
            }
        }
        Ok(true)
    }
}

/// Asks for all routes or rules of a version.
fn list(kind: u16, family: u8) -> [u8; MESSAGE + ROUTE] {
    let mut message = [0; MESSAGE + ROUTE];
    message[..4].copy_from_slice(&((MESSAGE + ROUTE) as u32).to_ne_bytes());
    message[4..6].copy_from_slice(&kind.to_ne_bytes());
    message[6..8].copy_from_slice(&((libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16).to_ne_bytes());
    message[MESSAGE] = family;
    message
}

/// The first of several messages: its type, flags and body; and what follows it.
fn message(bytes: &[u8]) -> Option<(u16, u16, &[u8], &[u8])> {
    let length = word(bytes, 0)? as usize;
    let number = |at| Some(u16::from_ne_bytes(octets(bytes, at)?));
    let after = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((number(4)?, number(6)?, bytes.get(MESSAGE..length)?, after))
}

/// The prefix of a route, or of a rule: the header of either has its length in the second octet, and the attribute
/// the same number (`RTA_DST`, `FRA_DST`).
fn prefix(body: &[u8]) -> Option<(Option<IpAddr>, u8)> {
    let length = *body.get(1)?;
    let found = attributes(body.get(ROUTE..)?).find(|(kind, _)| *kind == libc::RTA_DST);
    match found {
        Some((_, value)) => Some((Some(address(value)?), length)),
        None => Some((None, 0)),
    }
}

/// Attributes, by their numbers.
fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(octets(rest, 0)?));
        let value = rest.get(ATTRIBUTE..length)?;
        let kind = u16::from_ne_bytes(octets(rest, 2)?);
        // They begin at multiples of four octets.
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

impl Question {
    fn message(&self, serial: u32) -> Vec<u8> {
        let mut message = Vec::with_capacity(LONGEST);
        let Whither { address: target, service } = self.to;
        let bits = if target.is_ipv4() { 32 } else { 128 };
        let family = if target.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        message.extend(0u32.to_ne_bytes());
        message.extend(libc::RTM_GETROUTE.to_ne_bytes());
        message.extend((libc::NLM_F_REQUEST as u16).to_ne_bytes());
        message.extend(serial.to_ne_bytes());
        message.extend(0u32.to_ne_bytes());
        let source_bits = if self.from.is_some() { bits } else { 0 };
        // Type of service, table, protocol, scope and type are the kernel's to say.
        message.extend([family as u8, bits, source_bits, 0, 0, 0, 0, 0]);
        // The answer is to say which table the route is in: 0 where it is in none.
        message.extend(libc::RTM_F_LOOKUP_TABLE.to_ne_bytes());
        add_address(&mut message, libc::RTA_DST, target);
        if let Some(from) = self.from {
            add_address(&mut message, libc::RTA_SRC, from);
        }
        if let Some(interface) = self.interface {
            add(&mut message, libc::RTA_OIF, &interface.to_ne_bytes());
        }
        if let Some((protocol, port)) = service {
            add(&mut message, PROTOCOL, &[protocol]);
            add(&mut message, PORT, &port.to_be_bytes());
        }
        let length = message.len() as u32;
        message[..4].copy_from_slice(&length.to_ne_bytes());
        message
    }
}

fn add_address(message: &mut Vec<u8>, kind: u16, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => add(message, kind, &v4.octets()),
        IpAddr::V6(v6) => add(message, kind, &v6.octets()),
    }
}

pub(super) fn add(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    // Each begins at a multiple of four octets.
    message.resize(message.len().next_multiple_of(4), 0);
    message.extend(((ATTRIBUTE + value.len()) as u16).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(value);
}

/// Reads an answer; `None` for one to another question.
fn read(message: &[u8], serial: u32, question: Question) -> Option<io::Result<Answer>> {
    if word(message, 8)? != serial {
        return None;
    }
    let kind = u16::from_ne_bytes(octets(message, 4)?);
    let body = message.get(MESSAGE..)?;
    if i32::from(kind) == libc::NLMSG_ERROR {
        let number = i32::from_ne_bytes(octets(body, 0)?);
        return Some(Err(io::Error::from_raw_os_error(number.wrapping_neg())));
    }
    if kind != libc::RTM_NEWROUTE {
        return None;
    }
    let route_type = *body.get(7)?;
    let mut source = question.from;
    let (mut table, mut interface) = (None, None);
    for (kind, value) in attributes(body.get(ROUTE..)?) {
        match kind {
            libc::RTA_PREFSRC if source.is_none() => source = address(value),
            libc::RTA_TABLE => table = word(value, 0),
            libc::RTA_OIF => interface = word(value, 0),
            _ => {}
        }
    }
    let is_guess =
        question.to.address.is_ipv4() && table == Some(0) && route_type == libc::RTN_UNICAST;
    let source = source.ok_or_else(|| io::Error::from_raw_os_error(libc::EADDRNOTAVAIL));
    Some(Ok(Answer { source, is_guess, interface }))
}

pub(super) fn octets<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    octets(bytes, at).map(u32::from_ne_bytes)
}

fn address(value: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(value).map(|octets| Ipv4Addr::from(octets).into());
    v4.or_else(|_| <[u8; 16]>::try_from(value).map(|octets| Ipv6Addr::from(octets).into())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_understands_and_is_understood() {
        let routing = Routing::open().unwrap();
        for _ in 0..3 {
            let target = IpAddr::from(Ipv4Addr::LOCALHOST);
            let to = target.into();
            let answer = routing.ask(Question { to, from: None, interface: None }).unwrap();
            assert_eq!(answer.source.unwrap(), target);
            assert!(!answer.is_guess && answer.interface.is_some());
            let from = Some("127.9.9.9".parse().unwrap());
            let answer = routing.ask(Question { to, from, interface: None }).unwrap();
            assert_eq!(Some(answer.source.unwrap()), from);
        }
    }

    #[test]
    fn an_answer_that_is_cut_is_none() {
        let to = IpAddr::from(Ipv4Addr::LOCALHOST).into();
        let question = Question { to, from: None, interface: None };
        let mut answer = question.message(7);
        answer[4..6].copy_from_slice(&libc::RTM_NEWROUTE.to_ne_bytes());
        add(&mut answer, libc::RTA_TABLE, &0u32.to_ne_bytes());
        add(&mut answer, libc::RTA_PREFSRC, &[192, 0, 2, 1]);
        let source = |bytes: &[u8]| read(bytes, 7, question)?.ok()?.source.ok();
        assert_eq!(source(&answer), Some(Ipv4Addr::new(192, 0, 2, 1).into()));
        assert_eq!(read(&answer, 8, question).map(|_| ()), None, "to another question");
        for length in 0..answer.len() {
            assert_eq!(source(&answer[..length]), None, "{length} octets");
        }
    }
}
