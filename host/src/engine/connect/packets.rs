//! Sends the packets that a plugin made, and sees what comes back.
//!
//! There is no socket that would tell: the observer tells of a flow's answer. The kernel knows nothing
//! of these connections either, and would break them off by itself; `ports` keeps it from that.

mod answer;
mod fill;
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
use pathspider_plugin_api::packet::{TcpFlags, protocol};
use pathspider_plugin_api::{ConfigId, Connect, Job, forge};
use pathspider_plugins::asked::{self, Waiting};
use tokio::sync::oneshot;

pub(super) use self::fill::fill;
use self::fill::opens;
use self::pace::Pace;
pub use self::ports::RESERVED_SOCKETS;
pub(crate) use self::ports::{Held, Pair, Ports, PortsError};
pub(crate) use self::raw::Raw;
use super::failure::Failure;
use super::{Attempt, BeginError, Begun, Flow, destination};
use crate::engine::{DEFAULT_TIMEOUT, stamp};
use crate::job::Courtesy;
use crate::route::{Routes, Way};
use pathspider_observer::{Answer, Await, Endpoint, Notice, Wanted};

/// What a run sends forged packets with. All of it is opened before the first of them.
pub struct Forger {
    raw: Raw,
    routes: Rc<Routes>,
    courtesy: Arc<Courtesy>,
    ports: RefCell<Ports>,
    pace: RefCell<Pace>,
    mtu: u32,
}

/// Forged packets that were sent, and whose answer is waited for.
pub(in crate::engine) struct Forged {
    forger: Rc<Forger>,
    flow: Flow,
    pair: Option<Pair>,
    wait: Duration,
    answer: oneshot::Receiver<Answer>,
    /// What is sent again while there is no answer.
    packets: Vec<Vec<u8>>,
    waiting: Waiting,
    /// What frees the target, and the way there.
    reset: Option<Vec<u8>>,
    way: Way,
}

impl Forger {
    /// Opens what is needed on this interface, for so many configurations. `routes` are those by the
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
    pub(in crate::engine) fn pause(&self) -> Option<Duration> {
        self.pace.borrow_mut().pause(Instant::now())
    }

    /// Waits until more may be sent.
    pub(super) async fn paused(&self) {
        while let Some(pause) = self.pause() {
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
        config: ConfigId,
        leave: IpAddr,
        notices: &Sender<Notice>,
    ) -> Result<Begun, BeginError> {
        let waiting = asked::waiting(&connect)?;
        let headers = asked::packets(&connect)?;
        let mut packets: Vec<Vec<u8>> = connect.packet_bytes().map(<[u8]>::to_vec).collect();
        let first = headers[0];
        let remote = SocketAddr::new(first.destination, first.ports.map_or(0, |ports| ports.1));
        let started = SystemTime::now();
        let end = |failure: Failure, address: IpAddr| {
            let outcome = failure.outcome().with("dip", address).with("dp", remote.port());
            Attempt { outcome: stamp(outcome, started), flow: None }
        };
        if let Some((address, refusal)) = destination::refused(job, &connect, &self.courtesy) {
            return Ok(Begun::Over(end(refusal.into(), address)));
        }
        if remote.ip() != leave {
            return Ok(Begun::Elsewhere(remote, Box::new(connect)));
        }
        let fail = |error: &io::Error| Ok(Begun::Over(end(error.into(), remote.ip())));

        // What only the host knows.
        let way = match self.way(remote.ip()) {
            Ok(way) => way,
            Err(error) => return fail(&error),
        };
        let mut pair = None;
        if headers.iter().any(|header| header.ports.is_some_and(|ports| ports.0 == 0)) {
            match self.take_port(first.protocol, remote, config) {
                Some(taken) => pair = Some(taken),
                None => {
                    let attempt = Box::new(end(Failure::NoLocalPort, remote.ip()));
                    return Err(BeginError::NoPort(remote, attempt));
                }
            }
        }
        let port = pair.map_or(0, |pair| pair.port);
        for (packet, header) in packets.iter_mut().zip(&headers) {
            fill(packet, header, way.source, port);
        }
        let own = if first.source.is_unspecified() { way.source } else { first.source };
        let own_port = first.ports.map_or(0, |ports| if ports.0 == 0 { port } else { ports.0 });
        let local = SocketAddr::new(own, own_port);
        let flow = Flow { protocol: first.protocol, local: Some(local), remote, started };

        let endpoint =
            Endpoint { protocol: flow.protocol, address: remote.ip(), port: remote.port() };
        let (tell, answer) = oneshot::channel();
        let wanted = if waiting.until_done { Wanted::Done(tell) } else { Wanted::First(tell) };
        expect(endpoint, local, wanted, notices)?;
        for (at, packet) in packets.iter().enumerate() {
            if let Err(error) = self.send(packet, remote.ip(), way) {
                self.release(pair);
                if at > 0 {
                    return Ok(Begun::Over(flow.end(Failure::from(&error).outcome())));
                }
                notices.send(Notice::Withdraw(endpoint)).map_err(|_| BeginError::Gone)?;
                return fail(&error);
            }
        }
        let reset = reset(endpoint, local, &packets);
        let wait = connect.timeout_set().unwrap_or(DEFAULT_TIMEOUT);
        let forger = Rc::clone(self);
        let forged = Forged { forger, flow, pair, wait, answer, packets, waiting, reset, way };
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
        if let Some(pair) = pair {
            self.ports.borrow_mut().release(pair, Instant::now());
        }
    }
}

/// Octets of the largest packet that is sent by an interface, which is no larger than what the
/// Internet carries.
fn mtu(interface: Option<&str>) -> u32 {
    const MOST: u32 = 1500;
    let path = interface.map(|name| format!("/sys/class/net/{name}/mtu"));
    let text = path.and_then(|path| std::fs::read_to_string(path).ok());
    text.and_then(|text| text.trim().parse().ok()).map_or(MOST, |octets: u32| octets.min(MOST))
}

/// Tells the observer what is about to be sent, and what is wanted of it.
pub(super) fn expect(
    endpoint: Endpoint,
    local: SocketAddr,
    wanted: Wanted,
    notices: &Sender<Notice>,
) -> Result<(), BeginError> {
    let Endpoint { protocol, address, port } = endpoint;
    let remote = SocketAddr::new(address, port);
    notices.send(Notice::Expect(endpoint)).map_err(|_| BeginError::Gone)?;
    notices
        .send(Notice::Await(Await { protocol, local, remote, wanted }))
        .map_err(|_| BeginError::Gone)
}

impl Forged {
    /// The target's end.
    pub(in crate::engine) fn remote(&self) -> SocketAddr {
        self.flow.remote
    }

    /// Waits for the answer, or for as long as the plugin asked to.
    pub(in crate::engine) async fn complete(mut self: Box<Self>) -> Attempt {
        let came = match tokio::time::timeout(self.wait, self.answered()).await {
            Ok(Ok(answer)) => Ok(answer),
            // The observer answers nobody any more: the capture has failed, or the run is over.
            Ok(Err(_)) => Err(Failure::Other),
            Err(_) => Err(Failure::Timeout),
        };
        let Forged { forger, flow, pair, reset, way, .. } = *self;
        if came.as_ref().is_ok_and(|answer| *answer == Answer::Packet)
            && let Some(reset) = &reset
        {
            // Where it cannot be sent, the target gives up by itself.
            let _ = forger.send(reset, flow.remote.ip(), way);
        }
        forger.release(pair);
        let outcome = match came {
            Ok(answer) => answer::outcome(answer, flow.protocol),
            Err(failure) => failure.outcome(),
        };
        flow.end(outcome)
    }

    /// Waits for the answer, and sends the packets again as often as the plugin asked to.
    async fn answered(&mut self) -> Result<Answer, oneshot::error::RecvError> {
        for _ in 0..self.waiting.times {
            if let Ok(answer) = tokio::time::timeout(self.waiting.after, &mut self.answer).await {
                return answer;
            }
            self.forger.paused().await;
            for packet in &self.packets {
                // Where one cannot be sent again, those before may still be answered.
                let _ = self.forger.send(packet, self.flow.remote.ip(), self.way);
            }
        }
        (&mut self.answer).await
    }
}

/// The RST that frees the target of a connection that a forged SYN half opened (RFC 9293, section
/// 3.5.3): nobody will go on with it, and the target would repeat its SYN/ACK for a minute.
fn reset(endpoint: Endpoint, local: SocketAddr, packets: &[Vec<u8>]) -> Option<Vec<u8>> {
    if endpoint.protocol != protocol::TCP || !opens(packets.first()?) {
        return None;
    }
    let next = packets.iter().filter_map(|packet| fill::sequence_end(packet)).next_back()?;
    reset_at(endpoint, local, next)
}

/// A RST with this sequence number.
pub(super) fn reset_at(endpoint: Endpoint, local: SocketAddr, sequence: u32) -> Option<Vec<u8>> {
    let packet = forge::Packet::to(endpoint.address).source(local.ip());
    let segment = packet.tcp(endpoint.port).source_port(local.port());
    segment.flags(TcpFlags::RST).sequence(sequence).window(0).bytes().ok()
}
