//! Which local ports a connection over TCP tries, toward endpoints that have many of them already.
//!
//! The kernel looks at one port after the other, and those of closed connections are taken for a
//! minute (TIME-WAIT, RFC 9293, section 3.3.2). So toward one endpoint it soon looks at thousands for
//! each connection. Here ports have turns: the next ones are those that were taken longest ago. The
//! kernel is given a few of them to choose from, and says as ever which are free and which are kept
//! back.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::SetStruct;
use socket2::Socket;

use crate::engine::ephemeral::Ephemeral;

/// How many ports the kernel is given first, and how many times as many when all of them are taken.
const FIRST: u32 = 16;
const GROWTH: u32 = 4;

/// How long nobody looks again after all ports were taken: to learn that takes a look at each.
const REST: Duration = Duration::from_millis(250);

/// Endpoints that have turns, at the most.
const MOST: usize = 1024;

/// The ports that a socket may leave from: the first in the lower half, the last in the upper one
/// (ip(7), since Linux 6.3).
const IP_LOCAL_PORT_RANGE: libc::c_int = 51;

#[derive(Clone)]
struct LocalPorts;

nix::setsockopt_impl!(LocalPorts, libc::IPPROTO_IP, IP_LOCAL_PORT_RANGE, u32, SetStruct<'_, u32>);

/// The endpoints toward which ports have turns.
pub(in crate::engine) struct Turns {
    /// The first port that the kernel chooses from.
    first: u16,
    busy: RefCell<HashMap<SocketAddr, Turn, RandomState>>,
}

impl Turns {
    /// Nobody has taken ports so far.
    pub(super) fn new() -> Turns {
        Turns { first: *Ephemeral::read().range().start(), busy: RefCell::default() }
    }

    /// Connects a TCP socket that may leave from any port, by a function that gives the local end and
    /// something more.
    ///
    /// # Errors
    ///
    /// Nothing was sent.
    pub(super) fn connect<T>(
        &self,
        socket: &Socket,
        remote: SocketAddr,
        connect: impl Fn(&Socket, SocketAddr) -> io::Result<(SocketAddr, T)>,
    ) -> io::Result<(SocketAddr, T)> {
        let mut busy = self.busy.borrow_mut();
        let turn = if busy.is_empty() { None } else { busy.get_mut(&remote) };
        let Some(turn) = turn else {
            let connected = connect(socket, remote)?;
            if self.is_of_second_half(connected.0.port()) && busy.len() < MOST {
                busy.insert(remote, Turn::new(Ephemeral::read().range()));
            }
            return Ok(connected);
        };
        turn.connect(Instant::now(), |ports| {
            let both = u32::from(*ports.end()) << 16 | u32::from(*ports.start());
            // An older kernel goes on choosing from all.
            let _ = setsockopt(socket, LocalPorts, &both);
            connect(socket, remote)
        })
    }

    /// Whether the kernel has given a port because half of them are taken: it looks at every other one
    /// first, from the first one on.
    fn is_of_second_half(&self, port: u16) -> bool {
        port.wrapping_sub(self.first) % 2 == 1
    }
}

/// Whose turn it is toward an endpoint.
struct Turn {
    ports: RangeInclusive<u16>,
    next: u16,
    /// When all were taken.
    exhausted: Option<Instant>,
}

impl Turn {
    fn new(ports: RangeInclusive<u16>) -> Turn {
        Turn { next: *ports.start(), ports, exhausted: None }
    }

    /// Connects from one of some ports, until one of them is free.
    fn connect<T>(
        &mut self,
        now: Instant,
        mut connect: impl FnMut(&RangeInclusive<u16>) -> io::Result<T>,
    ) -> io::Result<T> {
        let taken = || io::Error::from_raw_os_error(libc::EADDRNOTAVAIL);
        if self.exhausted.is_some_and(|since| now.saturating_duration_since(since) < REST) {
            return Err(taken());
        }
        self.exhausted = None;
        for some in self.some() {
            match connect(&some) {
                Err(error) if error.raw_os_error() == Some(libc::EADDRNOTAVAIL) => {}
                connected => {
                    self.next = *some.start();
                    return connected;
                }
            }
        }
        self.exhausted = Some(now);
        Err(taken())
    }

    /// All ports, a few at first and then more and more of them, from the next one on.
    fn some(&self) -> impl Iterator<Item = RangeInclusive<u16>> + use<> {
        let (first, last) = (*self.ports.start(), *self.ports.end());
        let (mut from, mut left, mut size) = (self.next, self.ports.len() as u32, FIRST);
        std::iter::from_fn(move || {
            if left == 0 {
                return None;
            }
            let count = size.min(left).min(u32::from(last - from) + 1);
            let to = from + (count - 1) as u16;
            let some = from..=to;
            (left, size) = (left - count, size.saturating_mul(GROWTH));
            from = if to == last { first } else { to + 1 };
            Some(some)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::net::TcpListener;

    use socket2::{Domain, Type};

    use super::*;

    #[test]
    fn every_port_is_tried_once() {
        for (ports, next) in [(40_000..=40_019, 40_003), (32_768..=60_999, 60_990), (7..=7, 7)] {
            let turn = Turn { next, ..Turn::new(ports.clone()) };
            let tried: Vec<u16> = turn.some().flatten().collect();
            assert_eq!(tried[0], next);
            let all: HashSet<u16> = tried.iter().copied().collect();
            assert_eq!((tried.len(), all.len()), (ports.len(), ports.len()));
            assert!(turn.some().count() < 12);
        }
    }

    #[test]
    fn ports_have_turns() {
        let (mut turn, now) = (Turn::new(100..=163), Instant::now());
        let mut free: HashSet<u16> = (100..=163).collect();
        let mut tries = 0;
        let mut take = |turn: &mut Turn, free: &mut HashSet<u16>, now| {
            turn.connect(now, |some| {
                tries += 1;
                let port = some.clone().find(|port| free.remove(port));
                port.ok_or_else(|| io::Error::from_raw_os_error(libc::EADDRNOTAVAIL))
            })
        };
        for port in 100..=163 {
            assert_eq!(take(&mut turn, &mut free, now).unwrap(), port);
        }
        assert!(take(&mut turn, &mut free, now).is_err());
        free.extend([100, 101]);
        assert!(take(&mut turn, &mut free, now + REST / 2).is_err(), "nobody looks");
        assert_eq!(take(&mut turn, &mut free, now + REST).unwrap(), 100);
        assert_eq!(take(&mut turn, &mut free, now + REST).unwrap(), 101);
        assert!(tries < 80, "{tries}");
        let refused = turn.connect(now + REST * 2, |_| -> io::Result<()> {
            Err(io::Error::from_raw_os_error(libc::ENETUNREACH))
        });
        assert_eq!(refused.unwrap_err().raw_os_error(), Some(libc::ENETUNREACH));
    }

    #[test]
    fn a_connection_leaves_from_a_port_whose_turn_it_is() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let remote = listener.local_addr().unwrap();
        let turns = Turns::new();
        let all = Ephemeral::read().range();
        let next = all.start() + (all.len() / 2) as u16;
        turns.busy.borrow_mut().insert(remote, Turn { next, ..Turn::new(all) });
        let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None).unwrap();
        let connect = |socket: &Socket, remote: SocketAddr| {
            // It is under way on return, which is an error.
            let _ = socket.connect(&remote.into());
            Ok((socket.local_addr()?.as_socket().unwrap(), ()))
        };
        let (local, ()) = turns.connect(&socket, remote, connect).unwrap();
        let next = turns.busy.borrow()[&remote].next;
        // A kernel that knows no such setting chooses from all.
        let chooses = setsockopt(&socket, LocalPorts, &0).is_err();
        assert!(chooses || local.port() >= next, "{local} {next}");
    }
}
