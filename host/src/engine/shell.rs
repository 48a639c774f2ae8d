//! Does what the course of a run says, and tells it what came of that: the plugin's calls, sockets
//! and timers, and the channels from and to the other stages.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use pathspider_observer::{ConnectionId, Notice, Told};
use pathspider_plugin_api::{ConfigId, Connect, ConnectKind, Error, Hold, Job, SystemChanges};
use pathspider_plugins::rules::RunRule;
use pathspider_runtime::say;
use pathspider_runtime::stop::Urgency;
use pathspider_system::{Machine, Undeclared};
use tokio::sync::mpsc;

use super::cargo::{Plan, Real};
use super::connect::{
    self, Attempt, BeginError, Begun, Came, Flow, Forged, Forger, Pool, Progress,
};
use super::course::{Action, Course, Event, First, Purpose};
use super::ephemeral::Ephemeral;
use super::forging::{Due, Forging};
use super::intake::Intake;
use super::workers::Workers;
use super::{Engine, EngineEnd, EngineError, Feedback, Report, Work};
use crate::job::Fed;

/// Starts in a row before the connections under way get their turn. Each takes two steps of a task
/// at the least, and tokio makes 61 between two turns of this loop: with more starts, connections
/// that are over would pile up, and their sockets and memory with them.
const STARTS_IN_A_ROW: usize = 16;

/// How long a job's next connection waits for one that nothing has answered: the delay between
/// attempts that RFC 8305, section 5, recommends. So a dead target takes little more than one
/// time-out.
const SILENCE: Duration = Duration::from_millis(250);

/// The engine at work.
pub(super) struct Shell<'a> {
    pub(super) engine: Engine,
    pub(super) machine: &'a mut Machine,
    pub(super) course: Course<Real>,
    pub(super) workers: Option<Workers>,
    /// Threads that call conversations; there are none before the first one.
    pub(super) pool: Rc<Pool>,
    /// Forged packets whose answers are waited for.
    pub(super) forging: Forging<Box<Forged>>,
    pub(super) events: mpsc::UnboundedSender<Event<Real>>,
    pub(super) end: &'a mut EngineEnd,
    /// Whether it was said that there is no local port at all.
    pub(super) has_told_of_ports: bool,
    /// The time of this turn.
    pub(super) now: Instant,
}

/// What the engine hears from elsewhere.
pub(super) struct Incoming {
    pub(super) happened: mpsc::UnboundedReceiver<Event<Real>>,
    pub(super) jobs: Intake,
    /// From the merger.
    pub(super) heard: mpsc::UnboundedReceiver<Feedback>,
    /// From the observer.
    pub(super) answers: mpsc::UnboundedReceiver<Told>,
}

impl Shell<'_> {
    /// Runs until the course is over, or the run is told to end at once.
    pub(super) async fn run(mut self, inbox: Incoming) -> Result<(), EngineError> {
        let ended = self.take_turns(inbox).await;
        self.end.begun = self.course.taken();
        self.publish();
        ended
    }

    async fn take_turns(&mut self, mut inbox: Incoming) -> Result<(), EngineError> {
        let stop = Arc::clone(&self.engine.stop);
        let mut started = 0;
        loop {
            self.now = Instant::now();
            if stop.is_asked() {
                self.stop(&mut inbox.jobs);
            }
            if stop.urgency() == Urgency::Terminate {
                return Ok(());
            }
            self.publish();
            self.take_what_is_there(&mut inbox);
            if let Some(pause) = self.pause() {
                self.wait(&mut inbox, Some(self.now + pause), false).await?;
                continue;
            }
            self.look_after_forged();
            match self.start_some(&mut started)? {
                ControlFlow::Continue(Turn::Started) => {
                    if started >= STARTS_IN_A_ROW {
                        started = 0;
                        tokio::task::yield_now().await;
                    }
                }
                ControlFlow::Continue(Turn::Wait(due)) => {
                    let wants_jobs = self.course.wants_jobs();
                    let due = due.into_iter().chain(self.forging.next()).min();
                    self.wait(&mut inbox, due, wants_jobs).await?;
                }
                ControlFlow::Break(()) => return Ok(()),
            }
        }
    }

    /// The run is to stop. What waits for the course is left, and nobody waits any longer to give it
    /// more.
    fn stop(&mut self, jobs: &mut Intake) {
        self.course.handle(Event::Stop, self.now);
        jobs.close();
    }

    /// Lets others see how many jobs are where.
    fn publish(&self) {
        self.engine.in_flight.store(self.course.in_flight(), Ordering::Relaxed);
        self.engine.ended.store(self.course.ended(), Ordering::Relaxed);
    }

    fn take_what_is_there(&mut self, inbox: &mut Incoming) {
        while let Ok(event) = inbox.happened.try_recv() {
            self.course.handle(event, self.now);
        }
        while let Ok(feedback) = inbox.heard.try_recv() {
            self.heard(feedback);
        }
        while let Ok(told) = inbox.answers.try_recv() {
            self.told(told);
        }
        while self.course.wants_jobs() {
            match inbox.jobs.next() {
                Ok(job) => self.read(job),
                Err(mpsc::error::TryRecvError::Empty) => break,
                Err(mpsc::error::TryRecvError::Disconnected) => {
                    self.course.handle(Event::Fed, self.now);
                }
            }
        }
    }

    /// Waits until something happens, or until then.
    async fn wait(
        &mut self,
        inbox: &mut Incoming,
        due: Option<Instant>,
        wants_jobs: bool,
    ) -> Result<(), EngineError> {
        let stop = Arc::clone(&self.engine.stop);
        let heard = tokio::select! {
            () = until(due), if due.is_some() => Heard::Nothing,
            Some(event) = inbox.happened.recv() => Heard::Event(event),
            feedback = inbox.heard.recv() => Heard::Feedback(feedback),
            told = inbox.answers.recv(), if self.forging.waits() => Heard::Told(told),
            job = inbox.jobs.wait(), if wants_jobs => Heard::Job(job),
            () = stop.changed() => Heard::Nothing,
        };
        // It may have taken long: a call that begins now has its whole time.
        self.now = Instant::now();
        match heard {
            Heard::Nothing => {}
            Heard::Event(event) => self.course.handle(event, self.now),
            Heard::Feedback(Some(feedback)) => self.heard(feedback),
            Heard::Told(Some(told)) => self.told(told),
            Heard::Told(None) => self.give_up_forged(),
            Heard::Feedback(None) => return Err(EngineError::Gone("merger")),
            Heard::Job(Some(fed)) => self.read(fed),
            Heard::Job(None) => self.course.handle(Event::Fed, self.now),
        }
        Ok(())
    }

    /// Takes the answer to forged packets. It may come when they are not waited for any more.
    fn told(&mut self, Told { id, answer }: Told) {
        if let Some(forged) = self.forging.answered(id) {
            let attempt = forged.end(Came::Answer(answer));
            self.course.handle(Event::Ended(id, attempt), self.now);
        }
    }

    /// Nobody tells of answers any more.
    fn give_up_forged(&mut self) {
        for (id, forged) in self.forging.give_up() {
            self.course.handle(Event::Ended(id, forged.end(Came::NoWord)), self.now);
        }
    }

    /// Does what forged packets are due for, as far as more may be sent.
    fn look_after_forged(&mut self) {
        while let Some(due) = self.forging.due(self.now) {
            match due {
                Due::Silent(id) => self.course.handle(Event::Silent(id), self.now),
                Due::Again(id) => {
                    if let Some(forged) = self.forging.get(id) {
                        forged.send_again();
                    }
                }
                Due::Over(id, forged) => {
                    let attempt = forged.end(Came::Nothing);
                    self.course.handle(Event::Ended(id, attempt), self.now);
                }
            }
            if self.pause().is_some() {
                return;
            }
        }
    }

    fn read(&mut self, fed: Fed) {
        if fed.turn.is_some_and(|turn| turn.forgets)
            && let Some(learned) = &self.engine.learned
            && learned.forget(fed.job.target()).is_err()
        {
            // The privilege is missing. Measurements that use what the kernel learns have it.
            self.engine.learned = None;
        }
        let depends = self.engine.measurement.depends();
        let work = Arc::new(Work::new(fed, depends));
        let (visit, target) = (work.visit(), work.target());
        self.course.handle(Event::Read(visit, work, target), self.now);
    }

    /// Takes a word of the merger.
    fn heard(&mut self, feedback: Feedback) {
        match feedback {
            Feedback::Known(id) => self.course.handle(Event::Known(id), self.now),
            Feedback::Written(jobs) => {
                for job in jobs {
                    self.course.handle(Event::Written(job), self.now);
                }
            }
        }
    }

    /// Starts connections until it is the turn of those under way, and counts them. It waits only where
    /// nothing was started: what happened meanwhile was not looked at.
    fn start_some(&mut self, started: &mut usize) -> Result<ControlFlow<(), Turn>, EngineError> {
        let before = *started;
        loop {
            match self.act()? {
                ControlFlow::Continue(Turn::Started) => *started += 1,
                ControlFlow::Continue(Turn::Wait(_)) if *started > before => break,
                turn => return Ok(turn),
            }
            self.now = Instant::now();
            if *started >= STARTS_IN_A_ROW || self.pause().is_some() {
                break;
            }
        }
        Ok(ControlFlow::Continue(Turn::Started))
    }

    /// How long to wait before more forged packets are sent, where the machine cannot keep up.
    fn pause(&self) -> Option<Duration> {
        self.engine.forger.as_ref().and_then(|forger| forger.pause(self.now))
    }

    /// Does what is to be done, until a connection has been started or nothing is left to do.
    fn act(&mut self) -> Result<ControlFlow<(), Turn>, EngineError> {
        let started = Ok(ControlFlow::Continue(Turn::Started));
        loop {
            match self.course.next(self.now) {
                Action::Prepare(job, call, work) => match &self.workers {
                    Some(workers) => workers.prepare(job, call, work),
                    None => {
                        let result = work.prepare(&self.engine.measurement.driver());
                        self.course.handle(Event::Prepared(job, call, result), self.now);
                    }
                },
                Action::Configure(config) => {
                    self.configure(config)?;
                    // It waits for the disk: the pace of what is sent next counts from when it is sent.
                    self.now = Instant::now();
                }
                Action::Ask(id, call, work, to) => {
                    match &self.workers {
                        Some(workers) => {
                            for endpoint in connect::possible_endpoints(&work.job) {
                                self.notify(Notice::Expect(endpoint))?;
                            }
                            workers.connect(id, call, work);
                        }
                        None => match work.ask(&self.engine.measurement.driver(), id) {
                            Ok(connect) => self.make(id, &work.job, to, connect)?,
                            Err(error) => self.course.handle(Event::Failed(id, error), self.now),
                        },
                    }
                    return started;
                }
                Action::Make(id, work, to, plan) => {
                    match plan {
                        Plan::Again(connect) => self.make(id, &work.job, to, *connect)?,
                        Plan::Own(since, answer) => {
                            self.make_own(id, &work.job, to, (since, *answer))?;
                        }
                    }
                    return started;
                }
                Action::Report(id, work, Attempt { account, flow }) => {
                    let claimed = flow.is_some();
                    if let Some(flow) = flow {
                        self.notify(flow.into_notice(id))?;
                    }
                    self.report(Report::Connection { id, work, account, claimed })?;
                }
                Action::Discard(attempt) => {
                    for endpoint in attempt.flow.iter().flat_map(Flow::endpoints) {
                        self.notify(Notice::Withdraw(endpoint))?;
                    }
                }
                Action::Fail(work, error) => self.fail(work, error)?,
                Action::GiveUp(purpose, work, needs_thread) => {
                    self.give_up(purpose, work, needs_thread)?;
                }
                Action::Stuck(threads) => return Err(EngineError::Stuck(threads)),
                Action::Short(remote) => say!(
                    "all local ports toward {remote} are taken; connections to it wait until some \
                     are free again ({})",
                    Ephemeral::read()
                ),
                Action::Settle => self.end.settle(self.machine),
                Action::Wait(due) => return Ok(ControlFlow::Continue(Turn::Wait(due))),
                Action::Over => return Ok(ControlFlow::Break(())),
            }
        }
    }

    fn configure(&mut self, config: ConfigId) -> Result<(), EngineError> {
        let changes: &mut dyn SystemChanges = if self.engine.measurement.info.changes_system {
            self.machine
        } else {
            &mut Undeclared
        };
        self.engine.measurement.object.configure(config, changes).map_err(|error| {
            let label = self.engine.configurations[config.index()].label().to_owned();
            EngineError::Configure { config: config.index(), label, error }
        })
    }

    /// Makes the connection that a worker brought, which the plugin may have made by itself.
    fn make_own(
        &mut self,
        id: ConnectionId,
        job: &Job,
        to: SocketAddr,
        (started, answer): (SystemTime, Result<Connect, Error>),
    ) -> Result<(), EngineError> {
        let own = match &answer {
            Ok(connect) => connect::own_flow(job, connect, started),
            Err(_) => None,
        };
        // Without a way nothing has left, and there is nothing to look for.
        let has_way = || self.engine.dialer.has_way(job.target());
        let own = own.filter(|flow| flow.local.is_some() || has_way());
        // The worker's call is bracketed by expectations of every protocol that it could have
        // used; of these, a claim settles the one that it did.
        for endpoint in connect::possible_endpoints(job) {
            if own.as_ref().is_none_or(|flow| !flow.endpoints().contains(&endpoint)) {
                self.notify(Notice::Withdraw(endpoint))?;
            }
        }
        let connect = match answer {
            Ok(connect) if connect.kind() == ConnectKind::Done => connect,
            Ok(connect) => return self.make(id, job, to, connect),
            Err(error) => {
                self.course.handle(Event::Failed(id, error), self.now);
                return Ok(());
            }
        };
        let outcome = connect.into_outcome().unwrap_or_else(connect::no_outcome);
        let attempt = match own {
            Some(flow) => flow.end(outcome),
            None => Attempt::unsent(outcome, started),
        };
        self.course.handle(Event::Ended(id, attempt), self.now);
        Ok(())
    }

    /// Begins the connection that the plugin asked for; it may be sent to this address.
    fn make(
        &mut self,
        id: ConnectionId,
        job: &Job,
        to: SocketAddr,
        connect: Connect,
    ) -> Result<(), EngineError> {
        let notices = &self.engine.notices;
        let begun = match connect.kind() {
            ConnectKind::Packets => {
                self.forger().and_then(|forger| forger.begin(job, connect, id, to.ip(), notices))
            }
            ConnectKind::Syn => self
                .forger()
                .and_then(|forger| forger.open_with(job, connect, id, to.ip(), notices)),
            ConnectKind::Conversation => self.forger().and_then(|forger| {
                let config = id.config();
                connect::converse((forger, &self.pool), job, connect, config, to.ip(), notices)
            }),
            _ => connect::begin(&self.engine.dialer, job, connect, to.ip(), notices),
        };
        let event = match begun {
            Ok(Begun::Under(connection)) => {
                let first =
                    First { remote: connection.remote(), is_deferred: connection.is_deferred() };
                self.see_through(id, first, async move |progress| {
                    Ok(connection.complete(progress).await)
                });
                return Ok(());
            }
            Ok(Begun::Forged(forged)) => {
                let first = First { remote: forged.remote(), is_deferred: false };
                let watch = self.course.begun(id, first, self.now);
                let waits = forged.waits(watch.silence.then_some(SILENCE));
                self.forging.begin(id, forged, waits, self.now);
                return Ok(());
            }
            Ok(Begun::Conversing(conversing)) => {
                // Its first packet leaves when the plugin has said which.
                let first = First { remote: conversing.remote(), is_deferred: true };
                self.see_through(id, first, async move |progress| {
                    conversing.complete(progress).await
                });
                return Ok(());
            }
            Ok(Begun::Over(attempt)) => Event::Ended(id, attempt),
            Ok(Begun::Elsewhere(remote, connect)) => {
                Event::Elsewhere(id, remote, Plan::Again(connect))
            }
            Err(BeginError::NoPort(remote, attempt)) => self.no_port(id, remote, *attempt),
            Err(BeginError::Plugin(error)) => Event::Failed(id, error),
            Err(BeginError::Gone) => return Err(EngineError::Gone("observer")),
        };
        self.course.handle(event, self.now);
        Ok(())
    }

    /// What sends packets that the plugin made.
    fn forger(&self) -> Result<&Rc<Forger>, BeginError> {
        let nothing = || Error::contract("connect: there is nothing to send packets with");
        self.engine.forger.as_ref().ok_or_else(|| BeginError::Plugin(nothing()))
    }

    /// No local port is free: it is waited for, unless there is none at all.
    fn no_port(&mut self, id: ConnectionId, remote: SocketAddr, attempt: Attempt) -> Event<Real> {
        let ports = Ephemeral::read();
        if ports.count() > 0 {
            return Event::NoPort(id, remote, attempt);
        }
        if !std::mem::replace(&mut self.has_told_of_ports, true) {
            say!("there is no local port to connect from: {ports}");
        }
        Event::Ended(id, attempt)
    }

    fn fail(&mut self, work: Arc<Work>, error: Error) -> Result<(), EngineError> {
        self.report(Report::Broken { job: work.visit(), work, error })
    }

    /// Answers in place of a thread that does not come back from the plugin.
    fn give_up(
        &mut self,
        purpose: Purpose,
        work: Arc<Work>,
        needs_thread: bool,
    ) -> Result<(), EngineError> {
        let function = match purpose {
            Purpose::Prepare(_) => "pre_connect",
            Purpose::Connect(_) => {
                for endpoint in connect::possible_endpoints(&work.job) {
                    self.notify(Notice::Withdraw(endpoint))?;
                }
                "connect"
            }
        };
        if let Some(workers) = self.workers.as_mut().filter(|_| needs_thread) {
            workers.add()?;
        }
        let limit = self.engine.plugin_timeout.as_secs_f64();
        let what = format_args!("it did not return within {limit} s (--plugin-timeout)");
        self.fail(work, RunRule::Blocking.broken(function, what).into())
    }

    /// Lets a connection go on by itself whose first packet is out, or will be; its events come back.
    fn see_through<F>(&mut self, id: ConnectionId, first: First, complete: F)
    where
        F: AsyncFnOnce(&Rc<Progress>) -> Result<Attempt, Error> + 'static,
    {
        let watch = self.course.begun(id, first, self.now);
        // The engine may have gone, on a second signal.
        let events = self.events.clone();
        tokio::task::spawn_local(async move {
            let tell = events.clone();
            let progress = Rc::new(Progress::new(watch.awaited, move |point: Hold| {
                let _ = tell.send(Event::Reached(id, point));
            }));
            let ended = {
                let mut complete = pin!(complete(&progress));
                let silence = tokio::time::sleep(SILENCE);
                tokio::select! {
                    biased;
                    ended = &mut complete => ended,
                    () = silence, if watch.silence => {
                        if progress.is_silent() {
                            let _ = events.send(Event::Silent(id));
                        }
                        complete.await
                    }
                }
            };
            progress.over();
            let _ = events.send(match ended {
                Ok(attempt) => Event::Ended(id, attempt),
                Err(error) => Event::Failed(id, error),
            });
        });
    }

    fn notify(&self, notice: Notice) -> Result<(), EngineError> {
        self.engine.notices.send(notice).map_err(|_| EngineError::Gone("observer"))
    }

    fn report(&self, report: Report) -> Result<(), EngineError> {
        self.engine.reports.send(report).map_err(|_| EngineError::Gone("merger"))
    }
}

/// What ended a wait.
enum Heard {
    Event(Event<Real>),
    Feedback(Option<Feedback>),
    Told(Option<Told>),
    Job(Option<Fed>),
    Nothing,
}

/// How a turn ended.
enum Turn {
    /// A connection was started: others may have something to say.
    Started,
    /// There is nothing to do until something happens, or until then.
    Wait(Option<Instant>),
}

/// Waits until then, if there is such a time.
async fn until(due: Option<Instant>) {
    if let Some(due) = due {
        tokio::time::sleep_until(due.into()).await;
    }
}

#[cfg(test)]
mod tests;
