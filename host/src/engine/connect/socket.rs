//! Opens sockets with the settings that the plugin asked for, bound to the run's interface.

use std::io;
use std::net::SocketAddr;

use pathspider_plugin_api::packet::protocol;
use pathspider_plugin_api::{Error, Record, Value};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// Opens sockets for the engine.
#[derive(Debug, Clone)]
pub struct Dialer {
    /// The interface that all packets leave by; `None` leaves it to the routes.
    pub interface: Option<String>,
    /// The `User-Agent` of HTTP requests.
    pub user_agent: String,
    /// Octets of a response's body that are kept.
    pub body_limit: usize,
}

/// Settings of a `Connect` that are not its socket's.
const NOT_A_SOCKETS: [&str; 5] = ["timeout_ms", "target", "port", "headers", "query"];

impl Dialer {
    /// Opens a socket for a connection to `remote` and applies its settings.
    ///
    /// # Errors
    ///
    /// Outside: the plugin asked for a setting that does not exist. Inside: the system refused.
    pub(super) fn socket(
        &self,
        protocol: u8,
        remote: SocketAddr,
        settings: &Record,
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
        for (name, value) in settings.iter().filter(|(name, _)| !NOT_A_SOCKETS.contains(name)) {
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

    fn open(&self, domain: Domain, kind: Type, protocol: Protocol) -> io::Result<Socket> {
        let socket = Socket::new(domain, kind.nonblocking().cloexec(), Some(protocol))?;
        if let Some(interface) = &self.interface {
            socket.bind_device(Some(interface.as_bytes()))?;
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
    let octet = || value.as_u64().and_then(|n| u8::try_from(n).ok()).map(u32::from);
    Some(match name {
        "dscp" => {
            let code_point = octet().filter(|&n| n < 64)?;
            change_traffic_class(socket, remote, |class| code_point << 2 | class & 3)
        }
        // TCP's own field is the kernel's, which would drop ours without a word.
        "ecn" if protocol != protocol::TCP => {
            let field = octet().filter(|&n| n < 4)?;
            change_traffic_class(socket, remote, |class| class & !3 | field)
        }
        "ttl" if remote.is_ipv4() => socket.set_ttl_v4(octet()?),
        "ttl" => socket.set_unicast_hops_v6(octet()?),
        "mss" => socket.set_tcp_mss(u32::try_from(value.as_u64()?).ok()?),
        "congestion_control" => socket.set_tcp_congestion(value.as_str()?.as_bytes()),
        "mptcp" => value.as_bool().map(|_| Ok(()))?,
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

/// Connects without waiting: on return the first packet is out. Gives the local end, whose port
/// the kernel has chosen by now, for connections that will fail too.
///
/// The socket is not bound before, because `bind` takes ports from one small pool, while
/// `connect` chooses them per pair of ends.
///
/// # Errors
///
/// Nothing was sent.
pub(super) fn connect(socket: &Socket, remote: SocketAddr) -> io::Result<SocketAddr> {
    match socket.connect(&SockAddr::from(remote)) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        Err(error) => return Err(error),
    }
    socket.local_addr()?.as_socket().ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}
