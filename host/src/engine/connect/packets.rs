//! Sends the packets that a plugin made, and sees what comes back.
//!
//! There is no socket that would tell: the observer tells of a flow's first answer. The kernel
//! knows nothing of these connections either, and would break them off by itself; `ports` keeps it
//! from that.

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
use pathspider_plugin_api::{ConfigId, Connect, Job, Outcome, State, forge};
use pathspider_plugins::asked;
use tokio::sync::oneshot;

use self::pace::Pace;
pub use self::ports::RESERVED_SOCKETS;
use self::ports::{Pair, Ports, PortsError};
use self::raw::Raw;
use super::failure::Failure;
use super::{Attempt, BeginError, Flow, destination};
use crate::engine::{DEFAULT_TIMEOUT, stamp};
use crate::job::Courtesy;
use crate::route::{Routes, Way};
use pathspider_observer::{Answer, Await, Endpoint, Notice};

/// What a run sends forged packets with. All of it is opened before the first of them.
pub struct Forger {
    raw: Raw,
    routes: Rc<Routes>,
    courtesy: Arc<Courtesy>,
    ports: RefCell<Ports>,
    pace: RefCell<Pace>,
}

/// Forged packets that were sent, and whose answer is waited for.
pub(in crate::engine) struct Forged {
    forger: Rc<Forger>,
    flow: Flow,
    pair: Option<Pair>,
    wait: Duration,
    answer: oneshot::Receiver<Answer>,
    /// What frees the target, and the way there.
    reset: Option<Vec<u8>>,
    way: Way,
}

/// How sending began.
pub(in crate::engine) enum Sent {
    /// All packets are out.
    Out(Box<Forged>),
    /// It is over already.
    Over(Attempt),
    /// None is, for the first one goes to this address, and the pace gave leave for another one.
    Elsewhere(SocketAddr),
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

    /// Sends the packets that the plugin made for this configuration. The first one goes to no other
    /// address than this one, for which it has leave.
    ///
    /// # Errors
    ///
    /// The packets are such that they cannot be sent as they are.
    pub(in crate::engine) fn begin(
        self: &Rc<Self>,
        job: &Job,
        connect: &Connect,
        config: ConfigId,
        leave: IpAddr,
        notices: &Sender<Notice>,
    ) -> Result<Sent, BeginError> {
        let headers = asked::packets(connect)?;
        let mut packets: Vec<Vec<u8>> = connect.packet_bytes().map(<[u8]>::to_vec).collect();
        let first = headers[0];
        let remote = SocketAddr::new(first.destination, first.ports.map_or(0, |ports| ports.1));
        let started = SystemTime::now();
        let end = |failure: Failure, address: IpAddr| {
            let outcome = failure.outcome().with("dip", address).with("dp", remote.port());
            Attempt { outcome: stamp(outcome, started), flow: None }
        };
        if let Some((address, refusal)) = destination::refused(job, connect, &self.courtesy) {
            return Ok(Sent::Over(end(refusal.into(), address)));
        }
        if remote.ip() != leave {
            return Ok(Sent::Elsewhere(remote));
        }
        let fail = |error: &io::Error| Ok(Sent::Over(end(error.into(), remote.ip())));

        // What only the host knows.
        let ways = headers.iter().map(|header| self.routes.way(header.destination));
        let ways: Vec<Way> = match ways.collect() {
            Ok(ways) => ways,
            Err(error) => return fail(&error),
        };
        let way = ways[0];
        let source = way.source;
        let mut pair = None;
        if headers.iter().any(|header| header.ports.is_some_and(|ports| ports.0 == 0)) {
            match self.ports.borrow_mut().take(first.protocol, remote, config.index()) {
                Some(taken) => pair = Some(taken),
                None => {
                    let attempt = Box::new(end(Failure::NoLocalPort, remote.ip()));
                    return Err(BeginError::NoPort(remote, attempt));
                }
            }
        }
        let port = pair.map(|pair| pair.port);
        for (packet, header) in packets.iter_mut().zip(&headers) {
            fill::fill(packet, header, source, port.unwrap_or(0));
        }
        let own = if first.source.is_unspecified() { source } else { first.source };
        let own_port = first.ports.map_or(0, |ports| match ports.0 {
            0 => port.unwrap_or(0),
            set => set,
        });
        let local = SocketAddr::new(own, own_port);
        let flow = Flow { protocol: first.protocol, local: Some(local), remote, started };

        let endpoint =
            Endpoint { protocol: flow.protocol, address: remote.ip(), port: remote.port() };
        let answer = expect(endpoint, local, notices)?;
        for (at, (packet, header)) in packets.iter().zip(&headers).enumerate() {
            let sent = self.raw.send(packet, header.destination, ways[at]);
            self.pace.borrow_mut().sent();
            if let Err(error) = sent {
                self.release(pair);
                if at > 0 {
                    return Ok(Sent::Over(flow.end(Failure::from(&error).outcome())));
                }
                notices.send(Notice::Withdraw(endpoint)).map_err(|_| BeginError::Gone)?;
                return fail(&error);
            }
        }
        let reset = reset(endpoint, local, &packets);
        let wait = connect.timeout_set().unwrap_or(DEFAULT_TIMEOUT);
        let forger = Rc::clone(self);
        Ok(Sent::Out(Box::new(Forged { forger, flow, pair, wait, answer, reset, way })))
    }

    fn release(&self, pair: Option<Pair>) {
        if let Some(pair) = pair {
            self.ports.borrow_mut().release(pair, Instant::now());
        }
    }
}

/// Tells the observer what is about to be sent, and asks it for the first answer.
fn expect(
    endpoint: Endpoint,
    local: SocketAddr,
    notices: &Sender<Notice>,
) -> Result<oneshot::Receiver<Answer>, BeginError> {
    let (answer, answered) = oneshot::channel();
    let Endpoint { protocol, address, port } = endpoint;
    let remote = SocketAddr::new(address, port);
    notices.send(Notice::Expect(endpoint)).map_err(|_| BeginError::Gone)?;
    notices
        .send(Notice::Await(Await { protocol, local, remote, answer }))
        .map_err(|_| BeginError::Gone)?;
    Ok(answered)
}

impl Forged {
    /// The target's end.
    pub(in crate::engine) fn remote(&self) -> SocketAddr {
        self.flow.remote
    }

    /// Waits for the first answer, or for as long as the plugin asked to.
    pub(in crate::engine) async fn complete(self: Box<Self>) -> Attempt {
        let Forged { forger, flow, pair, wait, answer, reset, way } = *self;
        let came = match tokio::time::timeout(wait, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            // The observer answers nobody any more: the capture has failed, or the run is over.
            Ok(Err(_)) => Err(Failure::Other),
            Err(_) => Err(Failure::Timeout),
        };
        if came.as_ref().is_ok_and(|answer| *answer == Answer::Packet)
            && let Some(reset) = &reset
        {
            // Where it cannot be sent, the target gives up by itself.
            let _ = forger.raw.send(reset, flow.remote.ip(), way);
            forger.pace.borrow_mut().sent();
        }
        forger.release(pair);
        let outcome = match came {
            Ok(answer) => answer::outcome(answer, flow.protocol),
            Err(failure) => failure.outcome(),
        };
        flow.end(outcome)
    }
}

/// The RST that frees the target of a connection that a forged SYN half opened (RFC 9293, section
/// 3.5.3): nobody will go on with it, and the target would repeat its SYN/ACK for a minute.
fn reset(endpoint: Endpoint, local: SocketAddr, packets: &[Vec<u8>]) -> Option<Vec<u8>> {
    if endpoint.protocol != protocol::TCP || !fill::opens(packets.first()?) {
        return None;
    }
    let next = packets.iter().filter_map(|packet| fill::sequence_end(packet)).next_back()?;
    let packet = forge::Packet::to(endpoint.address).source(local.ip());
    let segment = packet.tcp(endpoint.port).source_port(local.port());
    segment.flags(TcpFlags::RST).sequence(next).window(0).bytes().ok()
}

/// The outcome of a flow that was answered as it was meant to be.
fn answered() -> Outcome {
    Outcome::new(State::Ok)
}
