//! Makes one connection of any kind: `begin` sends its first packet, `complete` sees it through.

mod dns;
mod failure;
mod flow;
mod http;
mod packets;
mod progress;
mod socket;
mod tcp;
mod tls;

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use crossbeam::channel::Sender;
use pathspider_plugin_api::packet::protocol;
use pathspider_plugin_api::{Connect, ConnectKind, Error, Job, Outcome, State};

use super::{DEFAULT_TIMEOUT, stamp};
use failure::Failure;
use flow::Flow;
use pathspider_observer::{Endpoint, Notice};

pub(super) use flow::{own_flow, possible_endpoints};
pub(super) use packets::Sent;
pub use packets::{Forger, RESERVED_SOCKETS};
pub(super) use progress::Progress;
pub use socket::Dialer;

/// The end of a connection, and its flow where one was sent.
pub(super) struct Attempt {
    pub(super) outcome: Outcome,
    pub(super) flow: Option<Flow>,
}

/// A connection after its first packet.
pub(super) enum Begun {
    /// It is under way.
    Under(Box<Connection>),
    /// It is over already.
    Over(Attempt),
}

/// Why a connection cannot begin.
pub(super) enum BeginError {
    /// The plugin failed, or asked for something that this host does not have.
    Plugin(Error),
    /// Every local port toward this endpoint is taken; how the connection ends if that stays so.
    NoPort(SocketAddr, Box<Attempt>),
    /// The observer is gone.
    Gone,
}

impl From<Error> for BeginError {
    fn from(error: Error) -> BeginError {
        BeginError::Plugin(error)
    }
}

/// A connection under way.
pub(super) struct Connection {
    exchange: Exchange,
    socket: socket2::Socket,
    flow: Flow,
    timeout: Duration,
    is_deferred: bool,
    is_teacher: bool,
}

/// What follows on the socket, by the kind of connection.
enum Exchange {
    Tcp,
    Http(http::Request),
    Https(tls::Hello, http::Request),
    DnsTcp(dns::Query),
    DnsUdp(dns::Query),
}

impl Exchange {
    fn new(
        dialer: &Dialer,
        job: &Job,
        connect: &Connect,
        remote: SocketAddr,
    ) -> Result<Exchange, Error> {
        let request = || http::Request::new(dialer, job, connect, remote);
        Ok(match connect.kind() {
            ConnectKind::Http => Exchange::Http(request()?),
            ConnectKind::Https => {
                Exchange::Https(dialer.tls.hello(job, connect, remote.ip())?, request()?)
            }
            ConnectKind::DnsTcp => Exchange::DnsTcp(dns::Query::new(job, connect)?),
            ConnectKind::DnsUdp => Exchange::DnsUdp(dns::Query::new(job, connect)?),
            _ if connect.settings().bool("fast_open") == Some(true) => {
                return Err(Error::contract(
                    "connect: fast_open needs data to send, which the kind tcp has not",
                ));
            }
            _ => Exchange::Tcp,
        })
    }

    fn protocol(&self) -> u8 {
        if matches!(self, Exchange::DnsUdp(_)) { protocol::UDP } else { protocol::TCP }
    }

    /// The settings that only this kind has.
    fn settings(&self) -> &'static [&'static str] {
        match self {
            Exchange::Tcp => &[],
            Exchange::Http(_) => &["headers"],
            Exchange::Https(..) => &["headers", "alpn"],
            Exchange::DnsTcp(_) | Exchange::DnsUdp(_) => &["query"],
        }
    }

    /// Sends the first packet; gives the local end.
    fn start(
        &self,
        socket: &socket2::Socket,
        remote: SocketAddr,
    ) -> std::io::Result<socket::Opened> {
        let opened = socket::connect(socket, remote)?;
        match self {
            Exchange::DnsUdp(query) => {
                socket.send(query.datagram())?;
                Ok(socket::Opened { is_deferred: false, ..opened })
            }
            _ => Ok(opened),
        }
    }

    async fn run(
        self,
        socket: socket2::Socket,
        is_deferred: bool,
        progress: &Rc<Progress>,
    ) -> Result<(), Failure> {
        if let Exchange::DnsUdp(query) = self {
            return Box::pin(dns::over_udp(socket, &query, progress)).await;
        }
        let stream = tcp::established(socket, is_deferred, progress).await?;
        // What only some kinds need is boxed, so that a bare handshake's state stays small: it is
        // moved several times.
        match self {
            Exchange::Http(request) => Box::pin(http::get(stream, request, progress)).await,
            Exchange::Https(hello, request) => {
                Box::pin(tls::get(stream, hello, request, progress)).await
            }
            Exchange::DnsTcp(query) => Box::pin(dns::over_tcp(stream, &query, progress)).await,
            Exchange::Tcp | Exchange::DnsUdp(_) => Ok(()),
        }
    }
}

impl Connection {
    /// The target's end.
    pub(super) fn remote(&self) -> SocketAddr {
        self.flow.remote
    }

    /// Whether its first packet is yet to be sent, when it sends data.
    pub(super) fn is_deferred(&self) -> bool {
        self.is_deferred
    }

    /// Whether the next connections rely on what the kernel learns from this one: a cookie of TCP
    /// Fast Open (RFC 7413).
    pub(super) fn is_teacher(&self) -> bool {
        self.is_teacher
    }

    /// Sees the connection through to its end or its time-out.
    pub(super) async fn complete(self: Box<Self>, progress: &Rc<Progress>) -> Attempt {
        let Connection { exchange, socket, flow, timeout, is_deferred, .. } = *self;
        let exchange = exchange.run(socket, is_deferred, progress);
        let end = tokio::time::timeout(timeout, exchange).await;
        flow.end(progress.outcome(end.unwrap_or(Err(Failure::Timeout))))
    }
}

impl Dialer {
    /// Opens the connection that the plugin asked for, and sends its first packet.
    ///
    /// The observer is told to expect the target before that, so that it cannot miss the packet.
    ///
    /// # Errors
    ///
    /// The plugin asked for something that this host does not have.
    pub(super) fn begin(
        &self,
        job: &Job,
        connect: Connect,
        notices: &Sender<Notice>,
    ) -> Result<Begun, BeginError> {
        let kind = connect.kind();
        match kind {
            ConnectKind::Tcp
            | ConnectKind::Http
            | ConnectKind::Https
            | ConnectKind::DnsTcp
            | ConnectKind::DnsUdp => {}
            ConnectKind::Done | ConnectKind::Skip => {
                let outcome = connect.into_outcome().unwrap_or_else(no_outcome);
                let outcome = stamp(outcome, SystemTime::now());
                return Ok(Begun::Over(Attempt { outcome, flow: None }));
            }
            other => {
                return Err(BeginError::Plugin(Error::contract(format!(
                    "connect: this host makes no connections of kind {}",
                    other.name()
                ))));
            }
        }
        let remote = target(job, &connect)?;
        let timeout = connect.timeout_set().unwrap_or(DEFAULT_TIMEOUT);
        let started = SystemTime::now();
        let exchange = Exchange::new(self, job, &connect, remote)?;
        let protocol = exchange.protocol();
        let fail = |failure: Failure| {
            let outcome = Progress::new(None, |_| {}).outcome(Err(failure));
            let outcome = outcome.with("dip", remote.ip()).with("dp", remote.port());
            Attempt { outcome: stamp(outcome, started), flow: None }
        };
        let settings = connect.settings();
        let socket = match self.socket(protocol, remote, settings, exchange.settings())? {
            Ok(socket) => socket,
            // An ICMP error, of which a connection says the same, has not come yet.
            Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => {
                return Ok(Begun::Over(fail(Failure::NotSupported)));
            }
            Err(error) => return Ok(Begun::Over(fail((&error).into()))),
        };
        let endpoint = Endpoint { protocol, address: remote.ip(), port: remote.port() };
        notices.send(Notice::Expect(endpoint)).map_err(|_| BeginError::Gone)?;
        match exchange.start(&socket, remote) {
            Ok(socket::Opened { local, is_deferred }) => {
                let flow = Flow { protocol, local, remote, started };
                let is_teacher = settings.bool("fast_open") == Some(true);
                let connection =
                    Connection { exchange, socket, flow, timeout, is_deferred, is_teacher };
                Ok(Begun::Under(Box::new(connection)))
            }
            Err(error) => {
                notices.send(Notice::Withdraw(endpoint)).map_err(|_| BeginError::Gone)?;
                // Of a port that the plugin chose, waiting would free none.
                let may_be_short = protocol == protocol::TCP
                    && error.kind() == std::io::ErrorKind::AddrNotAvailable
                    && settings.get("source_port").is_none();
                match may_be_short && self.has_source(remote) {
                    true => Err(BeginError::NoPort(remote, Box::new(fail((&error).into())))),
                    false => Ok(Begun::Over(fail((&error).into()))),
                }
            }
        }
    }
}

/// The address and port to connect to: the job's, unless the plugin set others.
fn target(job: &Job, connect: &Connect) -> Result<SocketAddr, Error> {
    let settings = connect.settings();
    let address: IpAddr = match settings.str("target") {
        Some(text) => {
            text.parse().map_err(|_| Error::contract(format!("connect: no target {text:?}")))?
        }
        None => job.target(),
    };
    let port = settings.u64("port").and_then(|port| u16::try_from(port).ok());
    Ok(SocketAddr::new(address, port.unwrap_or(job.port())))
}

/// The outcome of a plugin that reported none.
pub(super) fn no_outcome() -> Outcome {
    Outcome::new(State::Failed).with("spdr_error", "plugin: no outcome")
}
