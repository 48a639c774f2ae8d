//! Sends the packets that a plugin made, and sees what comes back.
//!
//! There is no socket that would tell: the observer tells of a flow's answer. The kernel knows nothing
//! of these connections either, and would break them off by itself; `ports` keeps it from that.

mod answer;
mod fill;
mod forged;
mod pace;
mod ports;
mod raw;

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crossbeam::channel::Sender;
use pathspider_plugin_api::packet::protocol;
use pathspider_plugin_api::{ConfigId, Connect, ConnectKind, Job, Outcome, forge};
use pathspider_plugins::asked::{self, Header, Waiting};

pub(super) use self::fill::fill;
use self::fill::opens;
use self::forged::of_kind;
pub(super) use self::forged::reset_at;
pub(in crate::engine) use self::forged::{Came, Forged};
use self::pace::Pace;
pub(super) use self::ports::Pair;
use self::ports::Ports;
pub use self::ports::RESERVED_SOCKETS;
pub(crate) use self::ports::{Held, PortsError};
pub(crate) use self::raw::Raw;
use super::failure::Failure;
use super::{Attempt, BeginError, Begun, Flow, destination};
use crate::engine::DEFAULT_TIMEOUT;
use crate::job::Courtesy;
use crate::route::{Routes, Way};
use pathspider_observer::{Await, ConnectionId, Endpoint, Notice, Wanted};

/// What a run sends forged packets with. All of it is opened before the first of them.
pub struct Forger {
    raw: Raw,
    routes: Rc<Routes>,
    courtesy: Arc<Courtesy>,
    /// At which the kernel says nothing.
    ports: RefCell<Ports>,
    /// At which the kernel resets what it does not know; `None` where too few are free.
    resetting: RefCell<Option<Ports>>,
    pace: RefCell<Pace>,
    mtu: u32,
}

/// Where packets go, and the kind of their connection.
struct To {
    kind: ConnectKind,
    remote: SocketAddr,
    started: SystemTime,
}

impl To {
    /// The end of the connection where nothing was sent, because of this address.
    fn over(&self, failure: Failure, address: IpAddr) -> Attempt {
        let outcome = failure.outcome().with("dip", address).with("dp", self.remote.port());
        Attempt::unsent(self.kept(outcome), self.started)
    }

    /// An outcome with what says how it is to be read.
    fn kept(&self, outcome: Outcome) -> Outcome {
        of_kind(outcome, self.kind)
    }
}

/// Why packets are not sent.
enum Kept {
    /// They go to another address than the one that they have leave for.
    Elsewhere,
    /// They must not be, or cannot.
    Over(Box<Attempt>),
}

/// Packets that have all that they need, and how they are waited for.
struct Sending {
    protocol: u8,
    local: SocketAddr,
    pair: Option<Pair>,
    way: Way,
    packets: Vec<Vec<u8>>,
    waiting: Waiting,
    /// The sequence number after them, where they half open a connection.
    next: Option<u32>,
    wait: Duration,
}

/// How often a SYN is sent again, and after how long each time: as Linux does since 6.5.
const AS_LINUX: Waiting = Waiting { after: Duration::from_secs(1), times: 5, until_done: false };

impl Forger {
    /// Opens what is needed on this interface, for this many configurations. `routes` are those by the
    /// same interface. Nothing is sent to whom `courtesy` refuses.
    ///
    /// # Errors
    ///
    /// The privilege (`CAP_NET_RAW`) is missing, or too few ports are free.
    pub(crate) fn open(
        interface: Option<&str>,
        configurations: usize,
        routes: Rc<Routes>,
        courtesy: Arc<Courtesy>,
    ) -> Result<Forger, PortsError> {
        Ok(Forger {
            raw: Raw::open(interface)?,
            routes,
            courtesy,
            ports: RefCell::new(Ports::reserve(configurations, interface)?),
            resetting: RefCell::new(Ports::resetting(configurations, interface)),
            pace: RefCell::new(Pace::new(Box::new(|| 0), Instant::now())),
            mtu: mtu(interface),
        })
    }

    /// Slows down when the capture loses packets; `lost` counts them.
    pub fn slowed_by(self, lost: impl Fn() -> u64 + 'static) -> Rc<Forger> {
        let pace = RefCell::new(Pace::new(Box::new(lost), Instant::now()));
        Rc::new(Forger { pace, ..self })
    }

    /// How long to wait before more is sent, where the machine cannot keep up.
    pub(in crate::engine) fn pause(&self, now: Instant) -> Option<Duration> {
        self.pace.borrow_mut().pause(now)
    }

    /// Waits until more may be sent.
    pub(super) async fn paused(&self) {
        while let Some(pause) = self.pause(Instant::now()) {
            tokio::time::sleep(pause).await;
        }
    }

    /// Sends the packets that the plugin made for this configuration. The first one goes to no other
    /// address than this one, for which it has leave.
    ///
    /// # Errors
    ///
    /// The packets are such that they cannot be sent as they are.
    pub(in crate::engine) fn begin(
        self: &Rc<Self>,
        job: &Job,
        connect: Connect,
        id: ConnectionId,
        leave: IpAddr,
        notices: &Sender<Notice>,
    ) -> Result<Begun, BeginError> {
        let waiting = asked::waiting(&connect)?;
        let headers = asked::packets(&connect)?;
        let mut packets: Vec<Vec<u8>> = connect.packet_bytes().map(<[u8]>::to_vec).collect();
        let first = headers[0];
        let remote = SocketAddr::new(first.destination, first.ports.map_or(0, |ports| ports.1));
        let to = To { kind: ConnectKind::Packets, remote, started: SystemTime::now() };
        let way = match self.leave(&to, job, &connect, leave) {
            Ok(way) => way,
            Err(Kept::Elsewhere) => return Ok(Begun::Elsewhere(remote, Box::new(connect))),
            Err(Kept::Over(attempt)) => return Ok(Begun::Over(*attempt)),
        };

        // What only the host knows.
        let is_open = |header: &Header| header.ports.is_some_and(|ports| ports.0 == 0);
        let half_opens = first.opening.is_some() && !waiting.until_done;
        let pair = if headers.iter().any(is_open) {
            Some(self.port(&to, (first.protocol, half_opens), id.config())?)
        } else {
            None
        };
        let port = pair.map_or(0, |pair| pair.port);
        for (packet, header) in packets.iter_mut().zip(&headers) {
            fill(packet, header, way.source, port);
        }
        let own = if first.source.is_unspecified() { way.source } else { first.source };
        let own_port = first.ports.map_or(0, |ports| if ports.0 == 0 { port } else { ports.0 });
        let sending = Sending {
            protocol: first.protocol,
            local: SocketAddr::new(own, own_port),
            pair,
            way,
            next: needs_reset(pair).then(|| next_sequence(first.protocol, &packets)).flatten(),
            packets,
            waiting,
            wait: connect.timeout_set().unwrap_or(DEFAULT_TIMEOUT),
        };
        self.send_all(id, to, sending, notices)
    }

    /// Sends the SYN that the plugin asked for in this configuration, to no other address than this one,
    /// for which it has leave.
    ///
    /// # Errors
    ///
    /// The plugin asked for what a SYN does not have.
    pub(in crate::engine) fn open_with(
        self: &Rc<Self>,
        job: &Job,
        connect: Connect,
        id: ConnectionId,
        leave: IpAddr,
        notices: &Sender<Notice>,
    ) -> Result<Begun, BeginError> {
        let settings = asked::Settings::read(&connect)?;
        let address = settings.target.unwrap_or(job.target()).to_canonical();
        let remote = SocketAddr::new(address, settings.port.unwrap_or(job.port()));
        let to = To { kind: ConnectKind::Syn, remote, started: SystemTime::now() };
        let way = match self.leave(&to, job, &connect, leave.to_canonical()) {
            Ok(way) => way,
            Err(Kept::Elsewhere) => return Ok(Begun::Elsewhere(remote, Box::new(connect))),
            Err(Kept::Over(attempt)) => return Ok(Begun::Over(*attempt)),
        };
        let pair = match settings.source_port.filter(|port| *port != 0) {
            Some(_) => None,
            None => Some(self.port(&to, (protocol::TCP, true), id.config())?),
        };
        let port = pair.map_or(settings.source_port.unwrap_or(0), |pair| pair.port);
        let local = SocketAddr::new(way.source, port);
        let opening = asked::Opening { local, remote, sequence: forge::random(), mtu: self.mtu };
        let syn = match opening.syn(&settings) {
            Ok(syn) => syn,
            Err(error) => {
                self.release(pair);
                return Err(error.into());
            }
        };
        let sending = Sending {
            protocol: protocol::TCP,
            local,
            pair,
            way,
            packets: vec![syn],
            waiting: AS_LINUX,
            next: Some(opening.sequence.wrapping_add(1)).filter(|_| needs_reset(pair)),
            wait: settings.timeout.unwrap_or(DEFAULT_TIMEOUT),
        };
        self.send_all(id, to, sending, notices)
    }

    /// The way of packets that may be sent there; else what becomes of the connection.
    fn leave(&self, to: &To, job: &Job, connect: &Connect, leave: IpAddr) -> Result<Way, Kept> {
        let over = |failure: Failure, address| Kept::Over(Box::new(to.over(failure, address)));
        if let Some((address, refusal)) = destination::refused(job, connect, &self.courtesy) {
            return Err(over(refusal.into(), address));
        }
        if to.remote.ip() != leave {
            return Err(Kept::Elsewhere);
        }
        self.way(to.remote.ip()).map_err(|error| over((&error).into(), to.remote.ip()))
    }

    /// A port for a connection in this configuration, of a protocol; of one that is only half opened, where
    /// the kernel resets what comes back.
    ///
    /// # Errors
    ///
    /// All are in use with this target.
    fn port(
        &self,
        to: &To,
        (protocol, half_opens): (u8, bool),
        config: ConfigId,
    ) -> Result<Pair, BeginError> {
        let mut resetting = self.resetting.borrow_mut();
        let resetting = resetting.as_mut().filter(|_| half_opens);
        let pair = resetting.and_then(|ports| ports.take(protocol, to.remote, config.index()));
        pair.or_else(|| self.take_port(protocol, to.remote, config)).ok_or_else(|| {
            let attempt = to.over(Failure::NoLocalPort, to.remote.ip());
            BeginError::NoPort(to.remote, Box::new(attempt))
        })
    }

    /// Sends packets that have all that they need. The observer hears of them first.
    fn send_all(
        self: &Rc<Self>,
        id: ConnectionId,
        to: To,
        sending: Sending,
        notices: &Sender<Notice>,
    ) -> Result<Begun, BeginError> {
        let Sending { protocol, local, pair, way, packets, waiting, next, wait } = sending;
        let To { kind, remote, started } = to;
        let flow = Flow { protocol, local: Some(local), remote, started };
        let wanted = if waiting.until_done { Wanted::Done(id) } else { Wanted::First(id) };
        await_answers(Await { protocol, local, remote, wanted }, notices)?;
        for (at, packet) in packets.iter().enumerate() {
            if let Err(error) = self.send(packet, remote.ip(), way) {
                self.release(pair);
                if at > 0 {
                    return Ok(Begun::Over(flow.end(to.kept(Failure::from(&error).outcome()))));
                }
                let notice = Notice::Forget { protocol, local, remote };
                notices.send(notice).map_err(|_| BeginError::Gone)?;
                let endpoint = Endpoint { protocol, address: remote.ip(), port: remote.port() };
                notices.send(Notice::Withdraw(endpoint)).map_err(|_| BeginError::Gone)?;
                return Ok(Begun::Over(to.over((&error).into(), remote.ip())));
            }
        }
        let forger = Rc::clone(self);
        let forged = Forged { kind, forger, flow, pair, wait, packets, waiting, next, way };
        Ok(Begun::Forged(Box::new(forged)))
    }

    /// Whom nothing is sent to.
    pub(super) fn courtesy(&self) -> &Courtesy {
        &self.courtesy
    }

    /// Octets of the largest packet that is sent.
    pub(super) fn mtu(&self) -> u32 {
        self.mtu
    }

    /// The way to an address.
    ///
    /// # Errors
    ///
    /// There is none.
    pub(super) fn way(&self, target: IpAddr) -> io::Result<Way> {
        self.routes.way(target)
    }

    /// A port for a connection in this configuration; `None` when all are in use with this target.
    pub(super) fn take_port(
        &self,
        protocol: u8,
        remote: SocketAddr,
        config: ConfigId,
    ) -> Option<Pair> {
        self.ports.borrow_mut().take(protocol, remote, config.index())
    }

    /// Sends a packet that has all that it needs.
    ///
    /// # Errors
    ///
    /// The system refused.
    pub(super) fn send(&self, packet: &[u8], target: IpAddr, way: Way) -> io::Result<()> {
        self.pace.borrow_mut().sent();
        self.raw.send(packet, target, way)
    }

    /// The connection that had the port has ended.
    pub(super) fn release(&self, pair: Option<Pair>) {
        let Some(pair) = pair else { return };
        match (pair.is_reset, &mut *self.resetting.borrow_mut()) {
            (true, Some(resetting)) => resetting.release(pair, Instant::now()),
            _ => self.ports.borrow_mut().release(pair, Instant::now()),
        }
    }
}

/// Whether the host has to free the target of a connection from there.
fn needs_reset(pair: Option<Pair>) -> bool {
    pair.is_none_or(|pair| !pair.is_reset)
}

/// Octets of the largest packet that is sent by an interface, which is no larger than what the
/// Internet carries.
fn mtu(interface: Option<&str>) -> u32 {
    // Jumbo frames; what takes more, as the loopback interface does, leads to no path.
    const MOST: u32 = 9000;
    const USUAL: u32 = 1500;
    let path = interface.map(|name| format!("/sys/class/net/{name}/mtu"));
    let text = path.and_then(|path| std::fs::read_to_string(path).ok());
    text.and_then(|text| text.trim().parse().ok()).map_or(USUAL, |octets: u32| octets.min(MOST))
}

/// Tells the observer what is about to be sent, and what is wanted of it.
pub(super) fn await_answers(request: Await, notices: &Sender<Notice>) -> Result<(), BeginError> {
    notices.send(Notice::Await(request)).map_err(|_| BeginError::Gone)
}

/// The sequence number of the RST that frees the target of a connection that forged packets half open
/// (RFC 9293, section 3.5.3): nobody will go on with it, and the target would repeat its SYN/ACK for a
/// minute. `None` where they open none.
fn next_sequence(protocol: u8, packets: &[Vec<u8>]) -> Option<u32> {
    if protocol != protocol::TCP || !opens(packets.first()?) {
        return None;
    }
    packets.iter().filter_map(|packet| fill::sequence_end(packet)).next_back()
}
