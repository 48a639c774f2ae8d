//! Makes one connection of any kind: `begin` sends its first packet, `complete` sees it through.

mod failure;
mod http;
mod packets;
mod socket;
mod tcp;

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use crossbeam::channel::Sender;
use pathspider_plugin_api::packet::protocol;
use pathspider_plugin_api::{Connect, ConnectKind, Error, Job, Outcome, State};

use super::{DEFAULT_TIMEOUT, stamp};
use crate::observer::{Claim, Endpoint, Notice};

pub use http::user_agent;
pub(super) use packets::Sent;
pub use packets::{Forger, RESERVED_SOCKETS};
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
    kind: ConnectKind,
    socket: socket2::Socket,
    flow: Flow,
    timeout: Duration,
    request: Option<http::Request>,
}

impl Connection {
    /// Sees the connection through to its end or its time-out. Calls `shaken` when the handshake
    /// is over; not where it never is.
    pub(super) async fn complete(self: Box<Self>, shaken: &dyn Fn()) -> Attempt {
        let Connection { kind, socket, flow, timeout, request } = *self;
        let outcome = match (kind, request) {
            (ConnectKind::Http, Some(request)) => {
                tcp::within(timeout, async {
                    let stream = tcp::established(socket).await?;
                    shaken();
                    http::get(stream, request).await
                })
                .await
            }
            _ => {
                tcp::within(timeout, async {
                    tcp::established(socket).await?;
                    Ok(Outcome::new(State::Ok))
                })
                .await
            }
        };
        flow.end(outcome)
    }
}

/// The flow of a connection whose first packet was sent.
pub(super) struct Flow {
    protocol: u8,
    local: SocketAddr,
    remote: SocketAddr,
    started: SystemTime,
}

impl Flow {
    /// The target's end of it.
    pub(super) fn endpoint(&self) -> Endpoint {
        Endpoint { protocol: self.protocol, address: self.remote.ip(), port: self.remote.port() }
    }

    /// Asks the observer for this flow, which ends now.
    pub(super) fn into_claim(self, id: u64) -> Claim {
        Claim {
            id,
            protocol: self.protocol,
            local: self.local,
            remote: self.remote,
            started_ns: since_epoch(self.started),
            ended_ns: since_epoch(SystemTime::now()),
        }
    }

    /// The attempt's end, with the keys that tell which flow it was.
    pub(super) fn end(self, outcome: Outcome) -> Attempt {
        let outcome = stamp(
            outcome
                .with("sip", self.local.ip())
                .with("sp", self.local.port())
                .with("dip", self.remote.ip())
                .with("dp", self.remote.port()),
            self.started,
        );
        Attempt { outcome, flow: Some(self) }
    }
}

fn since_epoch(time: SystemTime) -> i64 {
    let nanos = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_nanos());
    i64::try_from(nanos).unwrap_or(i64::MAX)
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
            ConnectKind::Tcp | ConnectKind::Http => {}
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
        let request = match kind {
            ConnectKind::Http => Some(http::Request::new(self, job, &connect, remote)?),
            _ => None,
        };
        let fail = |error: &std::io::Error| {
            let outcome =
                failure::outcome(error).with("dip", remote.ip()).with("dp", remote.port());
            Ok(Begun::Over(Attempt { outcome: stamp(outcome, started), flow: None }))
        };
        let socket = match self.socket(protocol::TCP, remote, connect.settings())? {
            Ok(socket) => socket,
            Err(error) => return fail(&error),
        };
        let endpoint =
            Endpoint { protocol: protocol::TCP, address: remote.ip(), port: remote.port() };
        notices.send(Notice::Expect(endpoint)).map_err(|_| BeginError::Gone)?;
        match socket::connect(&socket, remote) {
            Ok(local) => {
                let flow = Flow { protocol: protocol::TCP, local, remote, started };
                let connection = Connection { kind, socket, flow, timeout, request };
                Ok(Begun::Under(Box::new(connection)))
            }
            Err(error) => {
                notices.send(Notice::Withdraw(endpoint)).map_err(|_| BeginError::Gone)?;
                fail(&error)
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

/// Where a plugin that connects by itself could connect to.
pub(super) fn possible_endpoints(job: &Job) -> [Endpoint; 2] {
    [protocol::TCP, protocol::UDP].map(|protocol| Endpoint {
        protocol,
        address: job.target(),
        port: job.port(),
    })
}

/// The flow that a plugin made by itself, where it tells which one it was.
pub(super) fn own_flow(job: &Job, connect: &Connect, started: SystemTime) -> Option<Flow> {
    if connect.kind() != ConnectKind::Done {
        return None;
    }
    let settings = connect.settings();
    let address: IpAddr = settings.str("sip")?.parse().ok()?;
    let port = u16::try_from(settings.u64("sp")?).ok()?;
    Some(Flow {
        protocol: settings.u64("proto").and_then(|p| u8::try_from(p).ok()).unwrap_or(protocol::TCP),
        local: SocketAddr::new(address, port),
        remote: SocketAddr::new(job.target(), job.port()),
        started,
    })
}

/// The outcome of a plugin that reported none.
pub(super) fn no_outcome() -> Outcome {
    Outcome::new(State::Failed).with("spdr_error", "plugin: no outcome")
}
