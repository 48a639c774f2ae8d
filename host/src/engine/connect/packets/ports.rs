//! Source ports of forged packets: nobody else on this machine has them, and the kernel does not
//! answer at them.
//!
//! For a SYN/ACK to a connection that it does not know the kernel sends RST, and for a datagram to
//! no socket an ICMP error. So each port has a UDP socket and a TCP socket that *listens*, both
//! with a socket filter that drops all: the kernel gives what arrives to the socket, whose filter
//! drops it, and says nothing. A TCP socket that is only bound would not do, for what does not
//! belong to a connection is given to listeners alone. It takes no privilege and no firewall rule,
//! and ends with the process, however that ends. Captures see the packets before.
//!
//! A connection that is only half opened is to be reset when it is answered, so that the target need not
//! repeat its SYN/ACK for a minute. For those there are ports with a socket that is bound and does not
//! listen: the kernel resets at once what comes there, for less than it takes to send a RST.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use pathspider_runtime::text::of;
use socket2::{Domain, Protocol, SockAddr, SockFilter, Socket, Type};

use crate::engine::ephemeral::Ephemeral;

/// Ports of a run at the most, shared out to the configurations. Of a small range it takes half, so
/// that others on this machine have some.
const PORTS: usize = 128;

/// Sockets that hold them, at the most.
pub const RESERVED_SOCKETS: usize = 3 * PORTS;

/// For how long a port is not used again with the same target if others are free: late packets of
/// the connection before would be taken for its own.
const REST: Duration = Duration::from_secs(1);

/// A port of ours with a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::engine::connect) struct Pair {
    pub(in crate::engine::connect) port: u16,
    protocol: u8,
    remote: SocketAddr,
    /// Whether the kernel resets what comes from the target.
    pub(super) is_reset: bool,
}

/// Why there are no ports.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PortsError {
    /// The system refuses a socket.
    #[error(transparent)]
    System(#[from] io::Error),
    /// There are fewer ports than configurations, and each configuration needs one of its own.
    #[error(
        "it needs {needed} local {noun}, one for each configuration, and {found} {verb} free: {ports}",
        noun = of(*.needed as u64, "port", "ports"),
        verb = of(*.found as u64, "is", "are")
    )]
    TooFew {
        /// How many are needed.
        needed: usize,
        /// How many are free.
        found: usize,
        /// The settings that say how many there are.
        ports: Ephemeral,
    },
}

/// The ports of a run.
pub(super) struct Ports {
    numbers: Vec<u16>,
    /// Whether the kernel resets what comes there.
    is_reset: bool,
    /// Where the search begins next, for each configuration.
    next: Vec<usize>,
    /// Pairs in use, and since when those are free that were used a moment ago.
    used: HashMap<Pair, Option<Instant>, foldhash::fast::RandomState>,
    resting: VecDeque<(Instant, Pair)>,
    _sockets: Vec<Socket>,
}

impl Ports {
    /// Takes ports for this many configurations. On the interface that packets leave by, they are
    /// kept silent: answers come in there, and sockets that are bound to none get nothing of an
    /// interface in a VRF (`tcp_l3mdev_accept`).
    pub(super) fn reserve(
        configurations: usize,
        interface: Option<&str>,
    ) -> Result<Ports, PortsError> {
        let needed = configurations.clamp(1, PORTS);
        let wanted = (Ephemeral::read().count() / 2).clamp(needed, PORTS);
        let Held { numbers, sockets } = Held::take(wanted, needed, interface)?;
        Ok(Ports::of(numbers, configurations, sockets))
    }

    /// Takes ports of TCP at which the kernel resets what it does not know, of a small range a quarter.
    /// `None` where there are fewer than configurations.
    pub(super) fn resetting(configurations: usize, interface: Option<&str>) -> Option<Ports> {
        let needed = configurations.clamp(1, PORTS);
        let wanted = (Ephemeral::read().count() / 4).min(PORTS);
        let taken = (0..wanted).map_while(|_| {
            let socket = bound(Type::STREAM, Protocol::TCP, 0, interface).ok()?;
            Some((socket.local_addr().ok()?.as_socket()?.port(), socket))
        });
        let (numbers, sockets): (Vec<u16>, Vec<Socket>) = taken.unzip();
        let is_enough = numbers.len() >= needed;
        is_enough.then(|| Ports { is_reset: true, ..Ports::of(numbers, configurations, sockets) })
    }

    fn of(numbers: Vec<u16>, configurations: usize, sockets: Vec<Socket>) -> Ports {
        Ports {
            next: vec![0; configurations.clamp(1, numbers.len().max(1))],
            numbers,
            is_reset: false,
            used: HashMap::default(),
            resting: VecDeque::new(),
            _sockets: sockets,
        }
    }

    /// Takes a port for a connection in this configuration. Each configuration has ports of its
    /// own, so that what comes late for one connection of a job is not taken for the next one's.
    ///
    /// `None` when all are in use with this target.
    pub(super) fn take(&mut self, protocol: u8, remote: SocketAddr, config: usize) -> Option<Pair> {
        let (shares, is_reset) = (self.next.len(), self.is_reset);
        let share = config % shares;
        let size = (self.numbers.len() - share).div_ceil(shares);
        let mut longest_free: Option<(Instant, Pair)> = None;
        for step in 0..size {
            let at = (self.next[share] + step) % size;
            let port = self.numbers[share + at * shares];
            let pair = Pair { port, protocol, remote, is_reset };
            match self.used.entry(pair) {
                Entry::Vacant(free) => {
                    self.next[share] = at + 1;
                    free.insert(None);
                    return Some(pair);
                }
                Entry::Occupied(used) => {
                    if let Some(since) = *used.get()
                        && longest_free.is_none_or(|(before, _)| since < before)
                    {
                        longest_free = Some((since, pair));
                    }
                }
            }
        }
        let (_, pair) = longest_free?;
        self.used.insert(pair, None);
        Some(pair)
    }

    /// The connection has ended.
    pub(super) fn release(&mut self, pair: Pair, now: Instant) {
        self.used.insert(pair, Some(now));
        self.resting.push_back((now, pair));
        while let Some(&(since, pair)) = self.resting.front()
            && now.saturating_duration_since(since) > REST
        {
            self.resting.pop_front();
            // It may have been taken again meanwhile.
            if let Entry::Occupied(used) = self.used.entry(pair)
                && *used.get() == Some(since)
            {
                used.remove();
            }
        }
    }
}

/// Ports that nobody else on this machine has, and at which the kernel answers nothing.
pub(crate) struct Held {
    /// Which.
    pub(crate) numbers: Vec<u16>,
    sockets: Vec<Socket>,
}

impl Held {
    /// Takes as many as are wanted, or no fewer than are needed.
    pub(crate) fn take(
        wanted: usize,
        needed: usize,
        interface: Option<&str>,
    ) -> Result<Held, PortsError> {
        let mut sockets = Vec::with_capacity(2 * wanted);
        let mut numbers = Vec::with_capacity(wanted);
        // A port that is free in TCP may be in use in UDP.
        for _ in 0..8 * PORTS {
            if numbers.len() == wanted {
                break;
            }
            let tcp = match silent(Type::STREAM, Protocol::TCP, 0, interface) {
                Ok(socket) => socket,
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => break,
                Err(error) => return Err(error.into()),
            };
            let port = tcp.local_addr()?.as_socket().map_or(0, |address| address.port());
            if let Ok(udp) = silent(Type::DGRAM, Protocol::UDP, port, interface) {
                tcp.listen(0)?;
                numbers.push(port);
                sockets.extend([tcp, udp]);
            }
        }
        if numbers.len() < needed {
            let (found, ports) = (numbers.len(), Ephemeral::read());
            return Err(PortsError::TooFew { needed, found, ports });
        }
        Ok(Held { numbers, sockets })
    }
}

/// A socket at this port of all addresses, IPv4 and IPv6, that gets nothing.
fn silent(
    kind: Type,
    protocol: Protocol,
    port: u16,
    interface: Option<&str>,
) -> io::Result<Socket> {
    let socket = bound(kind, protocol, port, interface)?;
    // BPF_RET with 0 octets: the packet is dropped (socket(7), SO_ATTACH_FILTER).
    socket.attach_filter(&[SockFilter::new(0x06, 0, 0, 0)])?;
    Ok(socket)
}

/// A socket at this port of all addresses, IPv4 and IPv6. Port 0 is one that the kernel chooses.
fn bound(kind: Type, protocol: Protocol, port: u16, interface: Option<&str>) -> io::Result<Socket> {
    let both = |domain| -> io::Result<Socket> {
        let socket = Socket::new(domain, kind, Some(protocol))?;
        socket.bind_device(interface.map(str::as_bytes))?;
        let any: SocketAddr = match domain {
            Domain::IPV6 => {
                socket.set_only_v6(false)?;
                (Ipv6Addr::UNSPECIFIED, port).into()
            }
            _ => (Ipv4Addr::UNSPECIFIED, port).into(),
        };
        socket.bind(&SockAddr::from(any))?;
        Ok(socket)
    };
    match both(Domain::IPV6) {
        // A machine without IPv6.
        Err(error)
            if matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL)) =>
        {
            both(Domain::IPV4)
        }
        made => made,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    fn remote(host: u8) -> SocketAddr {
        ([192, 0, 2, host], 80).into()
    }

    #[test]
    fn no_pair_is_used_twice_at_once() {
        let mut ports = Ports::of((1..=7).collect(), 2, Vec::new());
        let taken = |ports: &mut Ports, config| -> Vec<u16> {
            std::iter::from_fn(|| ports.take(6, remote(1), config)).map(|pair| pair.port).collect()
        };
        assert_eq!(taken(&mut ports, 0), [1, 3, 5, 7]);
        assert_eq!(taken(&mut ports, 1), [2, 4, 6], "each configuration has its own");
        assert_eq!(ports.take(6, remote(2), 0).unwrap().port, 1, "another target");
        assert_eq!(ports.take(17, remote(1), 0).unwrap().port, 3, "another protocol");
    }

    #[test]
    fn what_was_used_a_moment_ago_comes_last() {
        let mut ports = Ports::of(vec![1, 2, 3], 1, Vec::new());
        let start = Instant::now();
        let pairs: Vec<Pair> = (0..3).filter_map(|_| ports.take(6, remote(1), 0)).collect();
        assert!(ports.take(6, remote(1), 0).is_none());
        ports.release(pairs[1], start);
        ports.release(pairs[0], start + REST / 2);
        assert_eq!(ports.take(6, remote(1), 0), Some(pairs[1]), "it has rested for longer");
        ports.release(pairs[1], start + REST);
        ports.release(pairs[2], start + REST * 3);
        assert_eq!(ports.used.len(), 1, "those that have rested are forgotten");
    }

    #[test]
    fn nobody_else_gets_a_reserved_port() {
        let ports = Ports::reserve(2, None).unwrap();
        assert_eq!(ports.numbers.len(), PORTS);
        for &port in &ports.numbers {
            assert!(TcpListener::bind(("127.0.0.1", port)).is_err());
            assert!(UdpSocket::bind(("127.0.0.1", port)).is_err());
            assert!(UdpSocket::bind(("::1", port)).is_err());
        }
        let resetting = Ports::resetting(2, None).unwrap();
        for &port in &resetting.numbers {
            assert!(TcpListener::bind(("127.0.0.1", port)).is_err());
            assert!(!ports.numbers.contains(&port));
        }
    }
}
