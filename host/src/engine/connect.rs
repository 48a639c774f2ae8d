//! Makes one connection of any kind: `begin` sends its first packet, `complete` sees it through.

mod closing;
mod conversation;
mod destination;
mod dns;
mod dnstcp;
mod dnsudp;
mod failure;
mod flow;
mod http;
mod https;
mod kind;
mod kinds;
mod packets;
mod progress;
mod quic;
mod recent;
mod socket;
mod tcp;
mod tls;
mod turns;
mod wire;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use crossbeam::channel::Sender;
use pathspider_plugin_api::{Connect, ConnectKind, Error, Job, Outcome, State, Value, carriage};

use super::{Account, DEFAULT_TIMEOUT};
use failure::Failure;
pub(super) use flow::Flow;
use kind::{Asked, Exchange, Opened};
use pathspider_observer::{Endpoint, Notice};
use pathspider_plugins::asked::Settings;
use recent::Recent;
use socket2::Socket;

pub use closing::CLOSING;
pub(super) use conversation::{Conversing, Pool, begin as converse};
pub(super) use flow::{own_flow, possible_endpoints};
pub use http::Requests;
pub(super) use packets::{Came, Forged};
pub use packets::{Forger, RESERVED_SOCKETS};
pub(crate) use packets::{Held, PortsError, Raw};
pub(super) use progress::Progress;
pub use socket::Dialer;

/// The end of a connection, and its flow where one was sent.
pub(super) struct Attempt {
    /// It goes through many hands until its record is written.
    pub(super) account: Box<Account>,
    pub(super) flow: Option<Flow>,
}

impl Attempt {
    /// The end of a connection of which nothing was sent.
    pub(super) fn unsent(outcome: Outcome, started: SystemTime) -> Attempt {
        Attempt { account: Box::new(Account::new(outcome, started)), flow: None }
    }
}

/// What came of a connection that was to begin.
pub(super) enum Begun {
    /// Its first packet is out, or will be when it sends data.
    Under(Box<Connection>),
    /// All its packets, which the plugin made, are out.
    Forged(Box<Forged>),
    /// A conversation of the plugin's is ready to begin.
    Conversing(Box<Conversing>),
    /// It is over already; nothing need have been sent.
    Over(Attempt),
    /// Nothing was sent, for it goes to this address, and the pace gave leave for another one. It
    /// comes again with the same [`Connect`] when it has leave.
    Elsewhere(SocketAddr, Box<Connect>),
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
    kind: ConnectKind,
    exchange: Box<dyn Exchange>,
    opened: Opened,
    flow: Flow,
    timeout: Duration,
    recent: Rc<Recent>,
}

impl Connection {
    /// The target's end.
    pub(super) fn remote(&self) -> SocketAddr {
        self.flow.remote
    }

    /// Whether its first packet is yet to be sent, when it sends data.
    pub(super) fn is_deferred(&self) -> bool {
        self.opened.is_deferred
    }

    /// Sees the connection through to its end or its time-out.
    pub(super) async fn complete(self: Box<Self>, progress: &Rc<Progress>) -> Attempt {
        let Connection { kind, exchange, opened, flow, timeout, recent } = *self;
        let end = tokio::time::timeout(timeout, exchange.run(opened, progress)).await;
        recent.note(&flow, Instant::now());
        let outcome = progress.outcome(end.unwrap_or(Err(Failure::Timeout)));
        let outcome = outcome.with(carriage::KIND, Value::text(kind.name()));
        flow.end(match kind.proof().word(progress.met()) {
            Some(carried) => outcome.with(carriage::CARRIED, carried),
            None => outcome,
        })
    }
}

/// Opens the connection that the plugin asked for, and sends its first packet. It sends to no other
/// address than this one, for the pace has given leave for this one alone.
///
/// Before that, it asks the observer to expect the target, so that the packet cannot be missed.
///
/// # Errors
///
/// The plugin asked for something that this host does not have.
pub(super) fn begin(
    dialer: &Dialer,
    job: &Job,
    connect: Connect,
    leave: IpAddr,
    notices: &Sender<Notice>,
) -> Result<Begun, BeginError> {
    let Some(kind) = kinds::find(connect.kind()) else {
        return without_socket(connect);
    };
    let settings = Settings::read(&connect)?;
    let remote = target(job, &settings);
    let timeout = settings.timeout.unwrap_or(DEFAULT_TIMEOUT);
    let started = SystemTime::now();
    let exchange = kind.prepare(&Asked { dialer, job, settings: &settings, remote })?;
    let protocol = kind.protocol();
    let fail = |failure: Failure| {
        let outcome = Progress::new(None, |_| {}).outcome(Err(failure));
        let outcome = outcome.with("dip", remote.ip()).with("dp", remote.port());
        Attempt::unsent(outcome, started)
    };
    if let Some((_, refusal)) = destination::refused(job, &connect, &dialer.courtesy) {
        return Ok(Begun::Over(fail(refusal.into())));
    }
    if remote.ip() != leave {
        return Ok(Begun::Elsewhere(remote, Box::new(connect)));
    }
    let socket = match dialer.socket(protocol, remote, &settings) {
        Ok(socket) => socket,
        // Nothing was sent yet, so this is no ICMP error, which would have the same number.
        Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => {
            return Ok(Begun::Over(fail(Failure::NotSupported)));
        }
        Err(error) => return Ok(Begun::Over(fail((&error).into()))),
    };
    let endpoint = Endpoint { protocol, address: remote.ip(), port: remote.port() };
    notices.send(Notice::Expect(endpoint)).map_err(|_| BeginError::Gone)?;
    let another = || dialer.socket(protocol, remote, &settings);
    let chooses = settings.source_port.is_none();
    let started_from = match exchange.datagram() {
        Some(datagram) => send_first(datagram, socket, remote, another, &dialer.recent),
        None => dialer.connect(socket, remote, chooses),
    };
    match started_from {
        Ok((opened, local)) => Ok(Begun::Under(Box::new(Connection {
            kind: kind.kind(),
            exchange,
            opened,
            flow: Flow { protocol, local: Some(local), remote, started },
            timeout,
            recent: Rc::clone(&dialer.recent),
        }))),
        Err(error) => {
            notices.send(Notice::Withdraw(endpoint)).map_err(|_| BeginError::Gone)?;
            let failure = Failure::from(&error);
            // Of a port that the plugin chose, waiting would free none.
            let may_be_short = failure == Failure::NoLocalPort && chooses;
            if may_be_short && dialer.has_way(remote.ip()) {
                Err(BeginError::NoPort(remote, Box::new(fail(failure))))
            } else {
                Ok(Begun::Over(fail(failure)))
            }
        }
    }
}

/// How many ports are tried for one that no flow to the same target had a moment ago.
const PORTS_TRIED: usize = 16;

/// Sends a datagram that begins a flow; gives the socket and its local end.
///
/// It leaves from a port that the last flow to this target did not have, for nothing in it shows where
/// a flow over UDP begins. `another` opens a further socket.
fn send_first(
    datagram: &[u8],
    mut socket: Socket,
    remote: SocketAddr,
    another: impl Fn() -> io::Result<Socket>,
    recent: &Recent,
) -> io::Result<(Opened, SocketAddr)> {
    let (mut local, _) = socket::connect(&socket, remote)?;
    // They keep their ports until another one is found.
    let mut taken = Vec::new();
    while recent.has((local, remote), Instant::now()) {
        if taken.len() == PORTS_TRIED {
            return Err(io::Error::from_raw_os_error(libc::EADDRNOTAVAIL));
        }
        taken.push(std::mem::replace(&mut socket, another()?));
        local = socket::connect(&socket, remote)?.0;
    }
    socket.send(datagram)?;
    Ok((Opened { socket, is_deferred: false, closer: None }, local))
}

/// The address and port to connect to: the job's, unless the plugin set others.
fn target(job: &Job, settings: &Settings<'_>) -> SocketAddr {
    let address = settings.target.unwrap_or(job.target());
    SocketAddr::new(address, settings.port.unwrap_or(job.port()))
}

/// The end of a connection that the plugin made, or that nobody makes.
fn without_socket(connect: Connect) -> Result<Begun, BeginError> {
    match connect.kind() {
        ConnectKind::Done | ConnectKind::Skip => {
            let outcome = connect.into_outcome().unwrap_or_else(no_outcome);
            Ok(Begun::Over(Attempt::unsent(outcome, SystemTime::now())))
        }
        other => Err(BeginError::Plugin(Error::contract(format!(
            "connect: this host makes no connections of kind {}",
            other.name()
        )))),
    }
}

/// The outcome of a plugin that reported none.
pub(super) fn no_outcome() -> Outcome {
    Outcome::new(State::Failed).with("spdr_error", "plugin: no outcome")
}
