//! Which way packets to an address leave: by the run's interface, and from which of its addresses.
//!
//! The kernel is asked before anything is sent, for two reasons. Where a socket is bound to an
//! interface and no route of IPv4 leads out of it, the kernel takes the target for a neighbour
//! (`ip_route_output_key_hash_rcu`: "routing tables are wrong"), asks the link for it, and fails
//! three seconds later. And where rules choose the routes by the source address, as on many machines
//! with two uplinks, there is a route only for packets that have that address already.

mod cells;
mod kernel;
mod learned;

use std::cell::{Cell, RefCell};
use std::hash::BuildHasher;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use socket2::{Domain, Protocol, Socket, Type};

use cells::{Cell as Alike, Cells};
use kernel::{Question, Routing};
pub(crate) use learned::Learned;

/// How long an answer counts: a target's connections follow each other, and routes may change.
const FRESH: Duration = Duration::from_secs(1);

/// How long an answer counts for all addresses that are routed alike: routes may change between two targets.
const FRESH_FOR_ALL: Duration = Duration::from_millis(100);

/// Answers that are kept at the most, a power of two: more than there are jobs in flight.
const KEPT: usize = 4096;

/// Where packets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Whither {
    address: IpAddr,
    /// The protocol and port, where the kernel's rules are asked for them: for sockets. For packets that we
    /// forge, it looks at addresses alone.
    service: Option<(u8, u16)>,
}

impl Whither {
    /// To a port, by a socket of this protocol.
    pub(crate) fn service(protocol: u8, remote: SocketAddr) -> Whither {
        Whither { address: remote.ip(), service: Some((protocol, remote.port())) }
    }
}

impl From<IpAddr> for Whither {
    fn from(address: IpAddr) -> Whither {
        Whither { address, service: None }
    }
}

/// The way to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Way {
    /// The source address that packets have.
    pub(crate) source: IpAddr,
    /// Whether only packets from there have a route, so that a socket has to be bound to it.
    pub(crate) is_by_source: bool,
}

/// The routes of a run.
pub(crate) struct Routes {
    interface: Option<Interface>,
    /// `None` where the kernel does not let us ask.
    routing: Option<Routing>,
    /// Which addresses are routed alike, and until when that counts.
    cells: RefCell<(Cells, Instant)>,
    /// By the hash of where they lead; an error by its number.
    kept: RefCell<Vec<Option<Kept>>>,
    hasher: RandomState,
}

/// Where an answer leads: addresses that are routed alike, for a socket of this protocol and port.
type Place = (Alike, Option<(u8, u16)>);

/// An answer that is kept.
#[derive(Clone, Copy)]
struct Kept {
    to: Place,
    until: Instant,
    way: Result<Way, i32>,
}

/// The interface that packets leave by.
struct Interface {
    name: String,
    /// Found when it is first asked for, and again when it has gone.
    link: Cell<Option<Link>>,
}

/// What is known of an interface.
#[derive(Clone, Copy)]
struct Link {
    index: u32,
    /// Whether it has neighbours that are asked for (ARP), so that an address without a route is
    /// nobody's. What leaves by a tunnel comes to the other end.
    asks: bool,
}

impl Routes {
    /// The routes by an interface, or by any.
    pub(crate) fn new(interface: Option<&str>) -> Routes {
        let interface =
            interface.map(|name| Interface { name: name.to_owned(), link: Cell::default() });
        Routes {
            interface,
            routing: Routing::open().ok(),
            cells: RefCell::new((Cells::default(), Instant::now())),
            kept: RefCell::new(vec![None; KEPT]),
            hasher: RandomState::default(),
        }
    }

    /// The way to an address.
    ///
    /// # Errors
    ///
    /// There is none: no route, or no source address.
    pub(crate) fn way(&self, to: impl Into<Whither>) -> io::Result<Way> {
        let (to, now) = (to.into(), Instant::now());
        let place = self.place(to, now);
        let at = self.hasher.hash_one(place) as usize % KEPT;
        if let Some(kept) = self.kept.borrow()[at]
            && kept.to == place
            && now < kept.until
        {
            return kept.way.map_err(io::Error::from_raw_os_error);
        }
        let way = self.find(to);
        let number = |error: &io::Error| error.raw_os_error().unwrap_or(libc::ENETUNREACH);
        let until = now + if place.0.is_shared() { FRESH_FOR_ALL } else { FRESH };
        let kept = Kept { to: place, until, way: way.as_ref().copied().map_err(number) };
        self.kept.borrow_mut()[at] = Some(kept);
        way
    }

    /// What the answer for an address is kept by: many addresses may have the same answer.
    fn place(&self, to: Whither, now: Instant) -> Place {
        // Of several ways with equal rank, the kernel chooses one by the address, perhaps on another interface. And the
        // source address of IPv6 is chosen by the target's; a socket has the kernel choose it once more.
        let is_alike = self.interface.is_some() && (to.address.is_ipv4() || to.service.is_some());
        if !is_alike || self.routing.is_none() {
            return (Alike::one(to.address), to.service);
        }
        let mut cells = self.cells.borrow_mut();
        if now >= cells.1 {
            *cells = (Cells::read(), now + FRESH_FOR_ALL);
        }
        (cells.0.of(to.address), to.service)
    }

    fn find(&self, to: Whither) -> io::Result<Way> {
        let plain = self.source(to, None);
        if let Ok(source) = plain {
            return Ok(Way { source, is_by_source: false });
        }
        let mut sources = self.interface.iter().flat_map(|interface| interface.sources(to.address));
        match sources.find(|&source| self.source(to, Some(source)).is_ok()) {
            Some(source) => Ok(Way { source, is_by_source: true }),
            None => plain.map(|source| Way { source, is_by_source: false }),
        }
    }

    /// The source address of packets to a target, where there is a route for them; perhaps for
    /// those from an address alone.
    fn source(&self, to: Whither, from: Option<IpAddr>) -> io::Result<IpAddr> {
        let Some(routing) = &self.routing else { return self.try_out(to.address, from) };
        let Some(interface) = &self.interface else {
            return routing.ask(Question { to, from, interface: None }).map(|a| a.source)?;
        };
        let link = interface.link()?;
        let answer = routing.ask(Question { to, from, interface: Some(link.index) });
        if answer.as_ref().is_err_and(|error| error.raw_os_error() == Some(libc::ENODEV)) {
            interface.link.set(None);
        }
        let answer = answer?;
        let is_unreachable = answer.is_guess && (link.asks || from.is_some());
        if is_unreachable || from.is_some() && !answer.leaves_by(link.index) {
            return Err(io::Error::from_raw_os_error(libc::ENETUNREACH));
        }
        answer.source
    }

    /// As a datagram socket finds it, where the kernel does not let us ask: it sends nothing when it
    /// is connected, and takes a neighbour that is none for one.
    fn try_out(&self, target: IpAddr, from: Option<IpAddr>) -> io::Result<IpAddr> {
        let remote = SocketAddr::new(target, 9);
        let socket = Socket::new(Domain::for_address(remote), Type::DGRAM, Some(Protocol::UDP))?;
        let name = self.interface.as_ref().map(|interface| interface.name.as_bytes());
        socket.bind_device(name)?;
        if let Some(from) = from {
            socket.bind(&SocketAddr::new(from, 0).into())?;
        }
        socket.connect(&remote.into())?;
        let local = socket.local_addr()?.as_socket().map(|local| local.ip());
        local.ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
    }
}

impl Interface {
    fn link(&self) -> io::Result<Link> {
        if let Some(link) = self.link.get() {
            return Ok(link);
        }
        let index = if_nametoindex(self.name.as_str())?;
        let silent = InterfaceFlags::IFF_NOARP
            | InterfaceFlags::IFF_POINTOPOINT
            | InterfaceFlags::IFF_LOOPBACK;
        let asks = self.entries().all(|entry| !entry.flags.intersects(silent));
        self.link.set(Some(Link { index, asks }));
        Ok(Link { index, asks })
    }

    /// Its addresses from which a target of this version may be reached.
    fn sources(&self, target: IpAddr) -> Vec<IpAddr> {
        let address = |entry: InterfaceAddress| {
            let address = entry.address?;
            let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
        };
        let fits = |source: &IpAddr| match source {
            IpAddr::V4(_) => target.is_ipv4(),
            IpAddr::V6(v6) => target.is_ipv6() && !v6.is_unicast_link_local(),
        };
        self.entries().filter_map(address).filter(fits).collect()
    }

    /// What the kernel lists of it: an entry for each address, and one for the interface.
    fn entries(&self) -> impl Iterator<Item = InterfaceAddress> {
        let all = getifaddrs().into_iter().flatten();
        all.filter(|entry| entry.interface_name == self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn this_machine_reaches_itself() {
        for text in ["127.0.0.1", "127.9.9.9"] {
            for interface in [None, Some("lo")] {
                let way = Routes::new(interface).way(address(text)).unwrap();
                assert!(way.source.is_loopback() && !way.is_by_source, "{way:?}");
            }
        }
    }

    #[test]
    fn an_interface_that_is_not_there_leads_nowhere() {
        let routes = Routes::new(Some("no-such-if0"));
        assert!(routes.way(address("127.0.0.1")).is_err());
    }

    #[test]
    fn without_the_kernels_word_a_socket_tries() {
        let routes = Routes { routing: None, ..Routes::new(Some("lo")) };
        assert!(routes.way(address("127.0.0.1")).unwrap().source.is_loopback());
    }
}
