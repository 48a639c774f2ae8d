//! Opens sockets with the settings that the plugin asked for, bound to the run's interface.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use nix::sys::socket::{setsockopt, sockopt};
use pathspider_plugin_api::packet::protocol;
use pathspider_plugins::asked::Settings;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::closing::Closer;
use super::http::Requests;
use super::kind::Opened;
use super::quic::Shared;
use super::recent::Recent;
use super::tls::Tls;
use super::turns::Turns;
use crate::job::Courtesy;
use crate::route::{Routes, Whither};

/// Opens sockets for the engine.
pub struct Dialer {
    interface: Option<String>,
    routes: Rc<Routes>,
    pub(super) courtesy: Arc<Courtesy>,
    pub(super) user_agent: String,
    pub(super) body_limit: usize,
    pub(super) tls: Tls,
    pub(super) quic: Rc<Shared>,
    pub(super) recent: Rc<Recent>,
    turns: Turns,
    closer: Rc<Closer>,
}

impl Dialer {
    /// Opens sockets whose packets leave by `interface`; `None` leaves that to the kernel. `routes`
    /// are those by the same interface. Nothing is sent to whom `courtesy` refuses.
    ///
    /// # Errors
    ///
    /// TLS cannot be set up.
    pub(crate) fn new(
        interface: Option<String>,
        routes: Rc<Routes>,
        courtesy: Arc<Courtesy>,
        requests: &Requests,
    ) -> Result<Dialer, rustls::Error> {
        let (user_agent, body_limit) = (requests.caller().user_agent, requests.body_limit);
        let (tls, recent) = (Tls::new()?, Rc::new(Recent::new(Instant::now())));
        let turns = Turns::new();
        let quic = Rc::new(Shared::new(tls.initial_suite()?));
        let closer = Rc::default();
        Ok(Dialer {
            interface,
            routes,
            courtesy,
            user_agent,
            body_limit,
            tls,
            quic,
            recent,
            turns,
            closer,
        })
    }

    /// Opens a socket for a connection to `remote`, with its settings.
    ///
    /// # Errors
    ///
    /// The system refused.
    pub(super) fn socket(
        &self,
        protocol: u8,
        remote: SocketAddr,
        settings: &Settings<'_>,
    ) -> io::Result<Socket> {
        let (kind, number) = match protocol {
            protocol::TCP if settings.mptcp => (Type::STREAM, Protocol::MPTCP),
            protocol::TCP => (Type::STREAM, Protocol::TCP),
            _ => (Type::DGRAM, Protocol::UDP),
        };
        let socket = self.open(Domain::for_address(remote), kind, number)?;
        let source = self.source(protocol, remote)?;
        apply(&socket, remote, settings)?;
        match (settings.source_port, source) {
            (Some(port), _) => bind_port(&socket, source.unwrap_or(any(remote)), port)?,
            (None, Some(source)) => bind(&socket, source)?,
            (None, None) => {}
        }
        Ok(socket)
    }

    /// Connects a TCP socket without waiting, from any port where it may choose; gives it and its local
    /// end (see [`connect`]).
    ///
    /// # Errors
    ///
    /// Nothing was sent.
    pub(super) fn connect(
        &self,
        socket: Socket,
        remote: SocketAddr,
        chooses: bool,
    ) -> io::Result<(Opened, SocketAddr)> {
        let (local, is_deferred) = if chooses {
            self.turns.connect(&socket, remote, connect)?
        } else {
            connect(&socket, remote)?
        };
        // Its port may be wanted at once where the plugin chose it.
        let closer = chooses.then(|| Rc::clone(&self.closer));
        Ok((Opened { socket, is_deferred, closer }, local))
    }

    /// The address that a socket has to be bound to, so that there is a route to a target. Without an
    /// interface, the kernel says by itself when there is none.
    fn source(&self, protocol: u8, remote: SocketAddr) -> io::Result<Option<IpAddr>> {
        if self.interface.is_none() {
            return Ok(None);
        }
        let way = self.routes.way(Whither::service(protocol, remote))?;
        Ok(way.is_by_source.then_some(way.source))
    }

    /// Whether there is a way to a target, for the want of an address to send from has the same error
    /// as the want of a port.
    pub(in crate::engine) fn has_way(&self, target: IpAddr) -> bool {
        self.routes.way(target).is_ok()
    }

    fn open(&self, domain: Domain, kind: Type, protocol: Protocol) -> io::Result<Socket> {
        let socket = Socket::new(domain, kind.nonblocking().cloexec(), Some(protocol))?;
        if let Some(interface) = &self.interface {
            socket.bind_device(Some(interface.as_bytes()))?;
        }
        if protocol == Protocol::UDP {
            // Without it, the kernel keeps all ICMP errors but "port unreachable" to itself.
            match domain {
                Domain::IPV4 => setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?,
                _ => setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?,
            }
        }
        Ok(socket)
    }
}

/// Applies the settings that are the socket's; the others are the dialer's, or the kind's.
fn apply(socket: &Socket, remote: SocketAddr, settings: &Settings<'_>) -> io::Result<()> {
    let Settings { dscp, ecn, ttl, mss, congestion_control, fast_open, .. } = *settings;
    if let Some(code_point) = dscp {
        let code_point = u32::from(code_point);
        change_traffic_class(socket, remote, |class| code_point << 2 | class & 3)?;
    }
    // Of UDP only: TCP's own field is the kernel's, which would drop ours without a word.
    if let Some(field) = ecn {
        change_traffic_class(socket, remote, |class| class & !3 | u32::from(field))?;
    }
    match ttl {
        Some(hops) if remote.is_ipv4() => socket.set_ttl_v4(hops.into())?,
        Some(hops) => socket.set_unicast_hops_v6(hops.into())?,
        None => {}
    }
    if let Some(octets) = mss {
        socket.set_tcp_mss(octets)?;
    }
    if let Some(name) = congestion_control {
        socket.set_tcp_congestion(name.as_bytes())?;
    }
    if fast_open {
        setsockopt(socket, sockopt::TcpFastOpenConnect, &true)?;
    }
    Ok(())
}

fn change_traffic_class(
    socket: &Socket,
    remote: SocketAddr,
    change: impl Fn(u32) -> u32,
) -> io::Result<()> {
    match remote {
        SocketAddr::V4(_) => socket.set_tos_v4(change(socket.tos_v4()?)),
        SocketAddr::V6(_) => socket.set_tclass_v6(change(socket.tclass_v6()?)),
    }
}

/// Any address of the target's version.
fn any(remote: SocketAddr) -> IpAddr {
    match remote {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

fn bind_port(socket: &Socket, source: IpAddr, port: u16) -> io::Result<()> {
    socket.set_reuse_address(true)?;
    socket.bind(&SockAddr::from(SocketAddr::new(source, port)))
}

/// Binds a socket to an address, and leaves it to `connect` to choose the port (see [`connect`]).
fn bind(socket: &Socket, source: IpAddr) -> io::Result<()> {
    setsockopt(socket, sockopt::IpBindAddressNoPort, &true)?;
    socket.bind(&SockAddr::from(SocketAddr::new(source, 0)))
}

/// Connects without waiting: on return TCP's SYN is out, unless it is deferred
/// (`Opened::is_deferred` says so). Gives the local end. The kernel has chosen its port by now, even if
/// the connection fails later.
///
/// The socket is not bound before, because `bind` takes ports from one small pool, while
/// `connect` chooses them per pair of ends.
///
/// # Errors
///
/// Nothing was sent.
pub(super) fn connect(socket: &Socket, remote: SocketAddr) -> io::Result<(SocketAddr, bool)> {
    // An ordinary TCP socket that may not wait is never connected on return.
    let is_deferred = match socket.connect(&SockAddr::from(remote)) {
        Ok(()) => true,
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => false,
        Err(error) => return Err(error),
    };
    let local = socket.local_addr()?.as_socket();
    let local = local.ok_or_else(|| io::Error::from_raw_os_error(libc::EADDRNOTAVAIL))?;
    Ok((local, is_deferred))
}
