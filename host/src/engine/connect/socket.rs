//! Opens sockets with the settings that the plugin asked for, bound to the run's interface.

use std::io;
use std::net::SocketAddr;

use nix::sys::socket::{setsockopt, sockopt};
use pathspider_plugin_api::packet::protocol;
use pathspider_plugin_api::{Error, Record, Value};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::http::user_agent;
use super::tls::Tls;

/// Opens sockets for the engine.
#[derive(Debug, Clone)]
pub struct Dialer {
    interface: Option<String>,
    pub(super) user_agent: String,
    pub(super) body_limit: usize,
    pub(super) tls: Tls,
}

/// Settings of a `Connect` that are not its socket's, of every kind.
const EVERY_KINDS: [&str; 3] = ["timeout_ms", "target", "port"];

impl Dialer {
    /// Opens sockets whose packets leave by `interface`; `None` leaves that to the routes. HTTP
    /// requests say whom to ask about them (`contact`), and of a response's body `body_limit`
    /// octets are kept.
    ///
    /// # Errors
    ///
    /// TLS cannot be set up.
    pub fn new(
        interface: Option<String>,
        contact: Option<&str>,
        body_limit: usize,
    ) -> Result<Dialer, rustls::Error> {
        let user_agent = user_agent(contact);
        Ok(Dialer { interface, user_agent, body_limit, tls: Tls::new()? })
    }

    /// Opens a socket for a connection to `remote` and applies its settings; those of `others` are
    /// the kind's own.
    ///
    /// # Errors
    ///
    /// Outside: the plugin asked for a setting that does not exist. Inside: the system refused.
    pub(super) fn socket(
        &self,
        protocol: u8,
        remote: SocketAddr,
        settings: &Record,
        others: &[&str],
    ) -> Result<io::Result<Socket>, Error> {
        let is_mptcp = settings.bool("mptcp") == Some(true);
        let (kind, number) = match protocol {
            protocol::TCP if is_mptcp => (Type::STREAM, Protocol::MPTCP),
            protocol::TCP => (Type::STREAM, Protocol::TCP),
            _ => (Type::DGRAM, Protocol::UDP),
        };
        let socket = match self.open(Domain::for_address(remote), kind, number) {
            Ok(socket) => socket,
            Err(error) => return Ok(Err(error)),
        };
        let is_sockets = |name: &str| !EVERY_KINDS.contains(&name) && !others.contains(&name);
        for (name, value) in settings.iter().filter(|(name, _)| is_sockets(name)) {
            match apply(&socket, protocol, remote, name, value) {
                Some(Ok(())) => {}
                Some(Err(error)) => return Ok(Err(error)),
                None => {
                    return Err(Error::contract(format!(
                        "connect: this host has no setting {name:?} with the value {value:?}"
                    )));
                }
            }
        }
        Ok(Ok(socket))
    }

    /// Whether there is an address to connect to `remote` from, for the want of one has the same
    /// error as the want of a port.
    pub(super) fn has_source(&self, remote: SocketAddr) -> bool {
        let socket = self.open(Domain::for_address(remote), Type::DGRAM, Protocol::UDP);
        socket.is_ok_and(|socket| socket.connect(&SockAddr::from(remote)).is_ok())
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

/// Applies one setting; `None` for one that does not exist for this protocol, or has a value out
/// of range.
fn apply(
    socket: &Socket,
    protocol: u8,
    remote: SocketAddr,
    name: &str,
    value: &Value,
) -> Option<io::Result<()>> {
    let is_tcp = protocol == protocol::TCP;
    let octet = || value.as_u64().and_then(|n| u8::try_from(n).ok()).map(u32::from);
    Some(match name {
        "dscp" => {
            let code_point = octet().filter(|&n| n < 64)?;
            change_traffic_class(socket, remote, |class| code_point << 2 | class & 3)
        }
        // TCP's own field is the kernel's, which would drop ours without a word.
        "ecn" if !is_tcp => {
            let field = octet().filter(|&n| n < 4)?;
            change_traffic_class(socket, remote, |class| class & !3 | field)
        }
        "ttl" if remote.is_ipv4() => socket.set_ttl_v4(octet()?),
        "ttl" => socket.set_unicast_hops_v6(octet()?),
        "mss" if is_tcp => socket.set_tcp_mss(u32::try_from(value.as_u64()?).ok()?),
        "congestion_control" if is_tcp => socket.set_tcp_congestion(value.as_str()?.as_bytes()),
        "mptcp" if is_tcp => value.as_bool().map(|_| Ok(()))?,
        "fast_open" if is_tcp => {
            let is_on = value.as_bool()?;
            setsockopt(socket, sockopt::TcpFastOpenConnect, &is_on).map_err(io::Error::from)
        }
        "source_port" => bind_port(socket, remote, u16::try_from(value.as_u64()?).ok()?),
        _ => return None,
    })
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

fn bind_port(socket: &Socket, remote: SocketAddr, port: u16) -> io::Result<()> {
    let any: SocketAddr = match remote {
        SocketAddr::V4(_) => (std::net::Ipv4Addr::UNSPECIFIED, port).into(),
        SocketAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, port).into(),
    };
    socket.set_reuse_address(true)?;
    socket.bind(&SockAddr::from(any))
}

/// A socket that is connected, or on its way.
pub(super) struct Opened {
    /// Its end here.
    pub(super) local: SocketAddr,
    /// Nothing was sent yet: the SYN goes out with the first data, for the kernel has a cookie of
    /// TCP Fast Open (RFC 7413, section 4.2).
    pub(super) is_deferred: bool,
}

/// Connects without waiting: on return TCP's SYN is out, unless it is deferred. Gives the local
/// end, whose port the kernel has chosen by now, for connections that will fail too.
///
/// The socket is not bound before, because `bind` takes ports from one small pool, while
/// `connect` chooses them per pair of ends.
///
/// # Errors
///
/// Nothing was sent.
pub(super) fn connect(socket: &Socket, remote: SocketAddr) -> io::Result<Opened> {
    // An ordinary TCP socket that may not wait is never connected on return.
    let is_deferred = match socket.connect(&SockAddr::from(remote)) {
        Ok(()) => true,
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => false,
        Err(error) => return Err(error),
    };
    let local = socket.local_addr()?.as_socket();
    let local = local.ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))?;
    Ok(Opened { local, is_deferred })
}
