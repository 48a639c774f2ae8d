//! A conversation in a test's own process, with a target and a path of the test's own, in a time of
//! their own: a minute of it takes no time.

use std::net::SocketAddr;
use std::time::Duration;

use super::wire::Sliced;
use crate::abi::Asked;
use crate::conversation::{Ending, Next, Scene};
use crate::{Connect, Error, Outcome, Result, Setting};

/// Octets of the largest packet.
const MTU: u32 = 1500;

/// Calls after which a conversation is taken for one that never ends.
const CALLS: usize = 100_000;

/// The target and the path to it, as a test plays them. The time is that since the begin.
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
    /// How it ended.
    pub outcome: Outcome,
    /// Why.
    pub ending: Ending,
    /// When.
    pub ended: Duration,
}

/// Drives a conversation between these ends to its end, or to the connection's time-out (5 s unless it
/// has another one).
///
/// # Errors
///
/// The conversation's, or it never ends, or the connection is of another kind.
pub fn converse(
    mut connect: Connect,
    (local, remote): (SocketAddr, SocketAddr),
    peer: &mut impl Peer,
) -> Result<Talked> {
    let timeout = connect.settings().u64(Setting::Timeout.name()).unwrap_or(5_000);
    let deadline = Duration::from_millis(timeout);
    let conversation = connect.take_conversation();
    let mut conversation =
        conversation.ok_or_else(|| Error::new("the connection is no conversation"))?;
    let mut scene = Scene::new(local, remote, MTU, 0x5eed);
    let (mut now, mut sent, mut coming) = (Duration::ZERO, Vec::new(), Vec::new());
    let mut asked = conversation.begin(&scene)?;
    for _ in 0..CALLS {
        let Asked { packets, next } = asked;
        for packet in packets {
            let answers = peer.take(now, &packet).into_iter();
            coming.extend(answers.map(|(delay, packet)| (now + delay, packet)));
            sent.push((now, packet));
        }
        let timer = match next {
            Next::Done => {
                let (ending, ended) = (Ending::Done, now);
                let outcome = conversation.end(ending)?;
                return Ok(Talked { sent, outcome, ending, ended });
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
                return Ok(Talked { sent, outcome, ending, ended });
            }
            scene.at(now);
            if first.is_some_and(|at| at <= now) {
                let (_, packet) = coming.remove(0);
                let Some(sliced) = Sliced::of(&packet) else { continue };
                break conversation.packet(&scene, &sliced.shown(0, false))?;
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
