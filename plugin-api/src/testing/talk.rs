//! A conversation in a test's own process, with a target and a path of the test's own, in a time of
//! their own: a minute of it takes no time.

use std::net::SocketAddr;
use std::time::Duration;

use super::run::End;
use super::wire::{observe_at, packet};
use crate::abi::{Asked, ChainHandle};
use crate::conversation::{Ending, Next, Scene};
use crate::{Connect, Error, FlowRecord, Outcome, Result, Setting};

/// Octets of the largest packet.
const MTU: u32 = 1500;

/// Calls after which a conversation is taken for one that never ends.
const CALLS: usize = 100_000;

/// The target and the path to it, as a test plays them. The time is that since the begin.
///
/// [`Server`](super::Server) is one, and shows how to play a path that harms something.
pub trait Peer {
    /// Takes a packet that was sent, and gives those that come back, each with how long it takes.
    fn take(&mut self, now: Duration, packet: &[u8]) -> Vec<(Duration, Vec<u8>)>;

    /// When it does something without a packet, if ever: then `wake` is called.
    fn due(&mut self, now: Duration) -> Option<Duration> {
        let _ = now;
        None
    }

    /// What it sends of its own accord.
    fn wake(&mut self, now: Duration) -> Vec<(Duration, Vec<u8>)> {
        let _ = now;
        Vec::new()
    }
}

/// What came of a conversation.
#[derive(Debug)]
pub struct Talked {
    /// All packets that it sent, each with its time.
    pub sent: Vec<(Duration, Vec<u8>)>,
    /// All packets as a capture at the plugin's end has them: those that it sent, and those that came
    /// to it, in their order, each with its time.
    pub wire: Vec<(Duration, Vec<u8>)>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why.
    pub ending: Ending,
    /// When.
    pub ended: Duration,
}

impl Talked {
    /// What a chain says of the flow.
    ///
    /// # Errors
    ///
    /// The chain fails, or nothing that is well-formed was sent.
    pub fn observe(&self, chain: ChainHandle) -> Result<FlowRecord> {
        let packets = self.wire.iter().map(|(at, packet)| (*at, packet.as_slice()));
        observe_at(chain, &packets.collect::<Vec<_>>())
    }

    /// The end of a connection, for [`measure`](super::measure): with this flow.
    pub fn end(self, flow: FlowRecord) -> End {
        End { outcome: self.outcome, flow: Some(flow) }
    }
}

/// Drives a conversation between these ends to its end, or to the connection's time-out (5 s unless it
/// has another one). It takes the conversation out of the connection.
///
/// With [`measure`](super::measure), whose connections it takes as they are lent, it is a whole job:
///
/// ```no_run
/// # use pathspider_plugin_api::abi::{ChainHandle, MeasurementHandle, MeasurementObject};
/// use pathspider_plugin_api::testing::{self, Server};
/// # use pathspider_plugin_api::{Job, Result};
///
/// # fn job(
/// #     measurement: MeasurementHandle,
/// #     object: &MeasurementObject,
/// #     chain: ChainHandle,
/// #     job: &Job,
/// # ) -> Result<()> {
/// let ends = ("192.0.2.1:40000".parse()?, "198.51.100.7:80".parse()?);
/// let concluded = testing::measure(measurement, object, job, |_, connect| {
///     let mut server = Server::new("HTTP/1.1 204 No Content\r\n\r\n");
///     let talked = testing::converse(connect, ends, &mut server).expect("a conversation");
///     let flow = talked.observe(chain).expect("a flow");
///     talked.end(flow)
/// })?;
/// # let _ = concluded;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// The conversation's, or it never ends, or the connection is of another kind.
pub fn converse(
    connect: &mut Connect,
    (local, remote): (SocketAddr, SocketAddr),
    peer: &mut impl Peer,
) -> Result<Talked> {
    let timeout = connect.settings().u64(Setting::Timeout.name()).unwrap_or(5_000);
    let deadline = Duration::from_millis(timeout);
    let conversation = connect.take_conversation();
    let mut conversation =
        conversation.ok_or_else(|| Error::new("the connection is no conversation"))?;
    let mut scene = Scene::new(local, remote, MTU, 0x5eed);
    let (mut sent, mut wire) = (Vec::new(), Vec::new());
    let (mut now, mut coming) = (Duration::ZERO, Vec::new());
    let mut asked = conversation.begin(&scene)?;
    for _ in 0..CALLS {
        let Asked { packets, next } = asked;
        for packet in packets {
            let answers = peer.take(now, &packet).into_iter();
            coming.extend(answers.map(|(delay, packet)| (now + delay, packet)));
            wire.push((now, packet.clone()));
            sent.push((now, packet));
        }
        let timer = match next {
            Next::Done => {
                let (ending, ended) = (Ending::Done, now);
                let outcome = conversation.end(ending)?;
                return Ok(Talked { sent, wire, outcome, ending, ended });
            }
            Next::WaitFor(time) => now.checked_add(time),
            Next::Wait => None,
        };
        asked = loop {
            coming.sort_by_key(|&(at, _)| at);
            let first = coming.first().map(|&(at, _)| at);
            let dues = [first, timer, peer.due(now), Some(deadline)];
            now = dues.into_iter().flatten().min().unwrap_or(deadline).max(now);
            if now >= deadline {
                let (ending, ended) = (Ending::Timeout, now);
                let outcome = conversation.end(ending)?;
                return Ok(Talked { sent, wire, outcome, ending, ended });
            }
            scene.at(now);
            if first.is_some_and(|at| at <= now) {
                let (_, octets) = coming.remove(0);
                wire.push((now, octets.clone()));
                let Some(came) = packet(&octets) else { continue };
                break conversation.packet(&scene, &came)?;
            }
            let woken = peer.wake(now).into_iter();
            coming.extend(woken.map(|(delay, packet)| (now + delay, packet)));
            if timer.is_some_and(|at| at <= now) {
                break conversation.timer(&scene)?;
            }
        };
    }
    Err(Error::new(format!("the conversation goes on after {CALLS} calls")))
}
