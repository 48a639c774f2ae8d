//! Drives the conversation of one connection: what it says is sent, and what comes is shown to it.
//!
//! The conversation is the plugin's. It is called on threads of their own (`pool`), one call at a
//! time, and handed back with its answer: whoever drives it never waits in the plugin's code. Packets
//! that come meanwhile wait in the queue that the observer fills, which has an end.

mod pool;
mod track;

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use crossbeam::channel::Sender;
use pathspider_plugin_api::abi::{Asked, ConversationHandle};
use pathspider_plugin_api::carriage::{self, Handshake};
use pathspider_plugin_api::conversation::{Ending, Next, Scene};
use pathspider_plugin_api::packet::{Direction, Packet, protocol};
use pathspider_plugin_api::rules::RunRule;
use pathspider_plugin_api::{
    ConfigId, Connect, ConnectKind, Error, Job, Outcome, State, Value, forge,
};
use pathspider_plugins::asked::{OneFlow, Settings, header};
use tokio::time::Instant;

use self::pool::Lost;
pub(in crate::engine) use self::pool::Pool;
use self::track::Track;
use super::failure::Failure;
use super::packets::{Forger, Pair, await_answers, fill, reset_at};
use super::progress::Progress;
use super::{Attempt, BeginError, Begun, Flow, destination};
use crate::engine::DEFAULT_TIMEOUT;
use crate::route::Way;
use pathspider_observer::{
    self as observer, Await, Dissected, Follow, Following, Heard, Notice, dissect, packet,
};

/// Packets that wait for a conversation at most. The client's window of TCP is a tenth of that.
const ROOM: usize = 64;

/// Packets that are shown to it in one turn at most, so that its time-out is looked at in between.
const AT_ONCE: usize = 32;

/// Packets that it may send in answer to one call.
const MOST: usize = 64;

/// A conversation that is to begin.
pub(in crate::engine) struct Conversing {
    forger: Rc<Forger>,
    pool: Rc<Pool>,
    notices: Sender<Notice>,
    conversation: Option<ConversationHandle>,
    scene: Scene,
    flow: Flow,
    local: SocketAddr,
    pair: Option<Pair>,
    way: Way,
    timeout: Duration,
    following: Following,
    track: Track,
    one: OneFlow,
    has_sent: bool,
    began: Instant,
}

/// Why a conversation stops before it has ended.
enum Stopped {
    /// The plugin failed.
    Plugin(Error),
    /// A packet could not be sent, or the observer is gone.
    Failed(Failure),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Stopped {
        Stopped::Plugin(error)
    }
}

impl From<Lost> for Stopped {
    fn from(lost: Lost) -> Stopped {
        match lost {
            Lost::TooSlow(limit) => {
                let limit = limit.as_secs_f64();
                let what = format_args!("it did not return within {limit} s (--plugin-timeout)");
                Stopped::Plugin(RunRule::Blocking.broken("a conversation", what).into())
            }
            Lost::NoThread(error) => {
                Stopped::Plugin(Error::new(format!("no thread for a conversation: {error}")))
            }
        }
    }
}

/// Makes ready what a conversation takes: its port, and the observer's ear. It sends nothing to any
/// other address than this one, for which it has leave.
///
/// # Errors
///
/// The plugin asked for what conversations do not have, or no port is free.
pub(in crate::engine) fn begin(
    (forger, pool): (&Rc<Forger>, &Rc<Pool>),
    job: &Job,
    mut connect: Connect,
    config: ConfigId,
    leave: IpAddr,
    notices: &Sender<Notice>,
) -> Result<Begun, BeginError> {
    let Wanted { remote, timeout, number } = read_settings(job, &connect)?;
    let started = SystemTime::now();
    let fail = |failure: Failure, address: IpAddr| {
        let outcome = failure.outcome().with("dip", address).with("dp", remote.port());
        let outcome = outcome.with(carriage::KIND, Value::text(ConnectKind::Conversation.name()));
        Attempt::unsent(outcome, started)
    };
    if let Some((address, refusal)) = destination::refused(job, &connect, forger.courtesy()) {
        return Ok(Begun::Over(fail(refusal.into(), address)));
    }
    if remote.ip() != leave.to_canonical() {
        return Ok(Begun::Elsewhere(remote, Box::new(connect)));
    }
    let way = match forger.way(remote.ip()) {
        Ok(way) => way,
        Err(error) => return Ok(Begun::Over(fail((&error).into(), remote.ip()))),
    };
    let Some(pair) = forger.take_port(number, remote, config) else {
        let attempt = Box::new(fail(Failure::NoLocalPort, remote.ip()));
        return Err(BeginError::NoPort(remote, attempt));
    };
    let Some(conversation) = connect.take_conversation() else {
        forger.release(Some(pair));
        let error = Error::contract("connect: the kind conversation comes without one");
        return Err(BeginError::Plugin(error));
    };
    let local = SocketAddr::new(way.source, pair.port);
    let (follow, following) = Follow::new(ROOM);
    let wanted = observer::Wanted::All(follow);
    await_answers(Await { protocol: number, local, remote, wanted }, notices)?;
    let seed = u64::from(forge::random()) << 32 | u64::from(forge::random());
    Ok(Begun::Conversing(Box::new(Conversing {
        forger: Rc::clone(forger),
        pool: Rc::clone(pool),
        notices: notices.clone(),
        conversation: Some(conversation),
        scene: Scene::new(local, remote, forger.mtu(), seed),
        flow: Flow { protocol: number, local: Some(local), remote, started },
        local,
        pair: Some(pair),
        way,
        timeout,
        following,
        track: Track::default(),
        one: OneFlow::between(number, local, remote),
        has_sent: false,
        began: Instant::now(),
    })))
}

/// What a plugin set beside its conversation.
struct Wanted {
    remote: SocketAddr,
    timeout: Duration,
    number: u8,
}

fn read_settings(job: &Job, connect: &Connect) -> Result<Wanted, Error> {
    let settings = Settings::read(connect)?;
    let address = settings.target.unwrap_or(job.target()).to_canonical();
    let remote = SocketAddr::new(address, settings.port.unwrap_or(job.port()));
    let timeout = settings.timeout.unwrap_or(DEFAULT_TIMEOUT);
    Ok(Wanted { remote, timeout, number: settings.protocol.unwrap_or(protocol::TCP) })
}

impl Conversing {
    /// The target's end.
    pub(in crate::engine) fn remote(&self) -> SocketAddr {
        self.flow.remote
    }

    /// Sees the conversation through to its end or its time-out.
    ///
    /// # Errors
    ///
    /// The plugin failed.
    pub(in crate::engine) async fn complete(
        mut self: Box<Self>,
        progress: &Rc<Progress>,
    ) -> Result<Attempt, Error> {
        self.began = Instant::now();
        let ended = self.converse(progress).await;
        if let Some(conversation) = self.conversation.take() {
            self.pool.dispose(conversation);
        }
        self.free_target();
        self.forger.release(self.pair.take());
        let kind = Value::text(ConnectKind::Conversation.name());
        let outcome = match ended {
            Ok(outcome) => outcome,
            Err(Stopped::Failed(failure)) => failure.outcome(),
            Err(Stopped::Plugin(error)) => {
                self.withdraw();
                return Err(error);
            }
        };
        let outcome = outcome.with(carriage::KIND, kind);
        if !self.has_sent {
            self.withdraw();
            let attempt = self.flow.end(outcome);
            return Ok(Attempt { flow: None, ..attempt });
        }
        Ok(self.flow.end(outcome))
    }

    async fn converse(&mut self, progress: &Rc<Progress>) -> Result<Outcome, Stopped> {
        let deadline = self.began + self.timeout;
        let asked = self.call(ConversationHandle::begin).await?;
        let mut next = self.say(asked).await?;
        progress.initiated();
        let ending = loop {
            let wait = match next {
                Next::Done => break Ending::Done,
                _ if Instant::now() >= deadline => break Ending::Timeout,
                Next::Wait => None,
                Next::WaitFor(time) => Instant::now().checked_add(time),
            };
            let due = wait.map_or(deadline, |wait| wait.min(deadline));
            let asked = tokio::select! {
                biased;
                heard = self.following.next() => match heard {
                    _ if self.following.is_overrun() => break Ending::Overrun,
                    Some(heard) => {
                        progress.shaken(Handshake::default());
                        let heard = self.all_heard(heard);
                        let show = move |conversation: &mut ConversationHandle, scene: &Scene| {
                            show(conversation, scene, &heard, next)
                        };
                        self.call(show).await?
                    }
                    // The capture has failed, or the run is over.
                    None => return Err(Stopped::Failed(Failure::Other)),
                },
                () = tokio::time::sleep_until(due) => {
                    if due == deadline {
                        break Ending::Timeout;
                    }
                    self.call(ConversationHandle::timer).await?
                }
            };
            next = self.say(asked).await?;
        };
        self.end(ending).await
    }

    /// All packets that have come so far: this one, and those after it.
    fn all_heard(&mut self, first: Heard) -> Vec<Heard> {
        let mut heard = vec![first];
        while heard.len() < AT_ONCE
            && let Some(next) = self.following.try_next()
        {
            heard.push(next);
        }
        for heard in &heard {
            read(heard, |packet| self.track.came(packet));
        }
        heard
    }

    /// Calls the conversation on a thread of the pool, at the present time.
    async fn call(
        &mut self,
        call: impl FnOnce(&mut ConversationHandle, &Scene) -> Result<Asked, Error> + Send + 'static,
    ) -> Result<Asked, Stopped> {
        let Some(mut conversation) = self.conversation.take() else {
            return Err(Error::contract("a conversation is called twice at once").into());
        };
        let mut scene = self.scene.clone();
        scene.at(self.began.elapsed());
        let (conversation, asked) = self
            .pool
            .call(move || {
                let asked = call(&mut conversation, &scene);
                (conversation, asked)
            })
            .await?;
        self.conversation = Some(conversation);
        Ok(asked?)
    }

    /// Has the conversation say what it came to.
    async fn end(&mut self, ending: Ending) -> Result<Outcome, Stopped> {
        let Some(conversation) = self.conversation.take() else {
            return Err(Error::contract("a conversation is ended twice").into());
        };
        let outcome = self.pool.call(move || conversation.end(ending)).await??;
        if let Some(defect) = outcome.record().defect() {
            let what = format_args!("its record is not valid: {defect}");
            let broken = RunRule::ValidRecords.broken("end of a conversation", what);
            return Err(Stopped::Plugin(broken.into()));
        }
        Ok(match ending {
            Ending::Overrun => {
                let record = outcome.into_record();
                Outcome::with_record(State::Failed, record)
                    .with("spdr_error", Value::text(Ending::OVERRUN))
            }
            _ => outcome,
        })
    }

    /// Sends what the conversation asked for.
    async fn say(&mut self, asked: Asked) -> Result<Next, Stopped> {
        let Asked { packets, next } = asked;
        if packets.len() > MOST {
            let count = packets.len();
            let what = format!("a conversation: {count} packets in one turn; {MOST} may be sent");
            return Err(Error::contract(what).into());
        }
        for (at, mut packet) in packets.into_iter().enumerate() {
            self.forger.paused().await;
            self.check(&mut packet).map_err(|reason| {
                let what = format!("a conversation: packet {at} cannot be sent: {reason}");
                Error::contract(what)
            })?;
            if let Some((_, refusal)) = destination::refused_by(&packet, self.forger.courtesy()) {
                return Err(Stopped::Failed(refusal.into()));
            }
            let sent = self.forger.send(&packet, self.flow.remote.ip(), self.way);
            sent.map_err(|error| Stopped::Failed(Failure::from(&error)))?;
            self.has_sent = true;
            let heard = Heard { time_ns: 0, length: packet.len() as u32, octets: packet };
            read(&heard, |packet| self.track.sent(packet));
        }
        Ok(next)
    }

    /// Fills in what the packet lacks, and holds it to the flow.
    fn check(&mut self, packet: &mut [u8]) -> Result<(), String> {
        let read = header(packet)?;
        fill(packet, &read, self.local.ip(), self.local.port());
        self.one.take(&header(packet)?)
    }

    /// Frees the target of a connection that nobody will go on with.
    fn free_target(&mut self) {
        for number in self.track.resets() {
            if let Some(reset) = reset_at(&self.flow, number) {
                // Where it cannot be sent, the target gives up by itself.
                let _ = self.forger.send(&reset, self.flow.remote.ip(), self.way);
            }
        }
    }

    /// Tells the observer that nobody will claim the flow.
    fn withdraw(&self) {
        for endpoint in self.flow.endpoints() {
            // It may be gone, and the run with it.
            let _ = self.notices.send(Notice::Withdraw(endpoint));
        }
    }
}

/// Shows packets to a conversation until it is done, and gathers what it says. `next` is what it
/// waited for.
fn show(
    conversation: &mut ConversationHandle,
    scene: &Scene,
    heard: &[Heard],
    next: Next,
) -> Result<Asked, Error> {
    let mut all = Asked { packets: Vec::new(), next };
    for heard in heard {
        let asked = read(heard, |packet| conversation.packet(scene, packet)).transpose()?;
        if let Some(asked) = asked {
            all.packets.extend(asked.packets);
            all.next = asked.next;
        }
        if all.next == Next::Done {
            break;
        }
    }
    Ok(all)
}

/// Reads a packet; `None` where it is none, which the observer would not have handed over.
fn read<R>(heard: &Heard, take: impl FnOnce(&Packet<'_>) -> R) -> Option<R> {
    let mut dissected = Dissected::NONE;
    dissect(&heard.octets, heard.length, &mut dissected).ok()?;
    Some(take(&packet(&dissected, heard.time_ns, Direction::Reverse)))
}
