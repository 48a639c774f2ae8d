//! The engine at work: a loop of small steps, which never waits while something can be started.

use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use pathspider_plugin_api::{ConfigId, Connect, ConnectKind, Error, Hold, Job, SystemChanges};
use tokio::sync::mpsc;

use super::connect::{self, Attempt, BeginError, Begun, Progress, Sent};
use super::pace::Pace;
use super::ports::Ports;
use super::scheduler::{Scheduler, Step};
use super::workers::Workers;
use super::{Engine, EngineEnd, EngineError, Event, Report, Ticket, Work, stamp};
use crate::observer::Notice;
use crate::say::say;
use crate::stop::Urgency;
use crate::system::{Machine, Undeclared};

/// How long a job's next connection waits for one that nothing has answered: as long as TCP does
/// before it repeats a SYN (RFC 6298, section 2.1). So a dead target takes little more than one
/// time-out.
const SILENCE: Duration = Duration::from_secs(1);

/// Starts in a row before the connections under way get their turn.
const STARTS_IN_A_ROW: usize = 64;

/// The engine at work.
pub(super) struct Round<'a> {
    pub(super) engine: Engine,
    pub(super) machine: &'a mut Machine,
    pub(super) scheduler: Scheduler<Ticket>,
    pub(super) pace: Pace,
    /// Those that wait for a local port, and whether that was told.
    pub(super) ports: Ports<Ticket>,
    pub(super) was_short: bool,
    /// Whether a job's next connection may begin while one is not answered: not where the pace wants
    /// them apart.
    pub(super) may_overlap: bool,
    pub(super) workers: Option<Workers>,
    /// How often to look after the workers, and when it was done.
    pub(super) patience: Duration,
    pub(super) looked: Instant,
    pub(super) events: mpsc::UnboundedSender<Event>,
    /// Counts the jobs in flight, and what is left at the end.
    pub(super) end: &'a mut EngineEnd,
}

impl Round<'_> {
    pub(super) async fn run(
        mut self,
        mut jobs: mpsc::Receiver<Job>,
        mut inbox: mpsc::UnboundedReceiver<Event>,
    ) -> Result<(), EngineError> {
        let stop = Arc::clone(&self.engine.stop);
        let (mut feeding, mut stopping) = (true, false);
        let mut started = 0;
        loop {
            if !stopping && stop.is_asked() {
                stopping = true;
                // Nothing was sent for these, and they could wait for long.
                let now = Instant::now();
                let queued = self.scheduler.drop_waiting(0);
                let unbegun = self.pace.drop_unbegun(now)
                    + self.ports.drop_unless(|ticket| ticket.config > 0)
                    + queued.len();
                queued.iter().for_each(|ticket| self.pace.cancelled(ticket, now));
                self.end.in_flight -= unbegun;
                if feeding || unbegun > 0 {
                    feeding = false;
                    jobs.close();
                    let unread = std::iter::from_fn(|| jobs.try_recv().ok()).count();
                    self.end.unstarted = Some((unread + unbegun) as u64);
                }
            }
            if stop.urgency() == Urgency::Terminate {
                return Ok(());
            }
            self.engine.in_flight.store(self.end.in_flight, Ordering::Relaxed);
            while let Ok(event) = inbox.try_recv() {
                self.handle(event)?;
            }
            let now = Instant::now();
            while self.wants_jobs()
                && let Some(ticket) = self.pace.release(now)
            {
                self.scheduler.push(ticket.config, ticket);
            }
            for ticket in self.ports.release(now) {
                self.scheduler.push(ticket.config, ticket);
            }
            self.give_up_overdue()?;
            while feeding && self.wants_jobs() {
                match jobs.try_recv() {
                    Ok(job) => self.admit(job)?,
                    Err(mpsc::error::TryRecvError::Empty) => break,
                    Err(mpsc::error::TryRecvError::Disconnected) => feeding = false,
                }
            }
            if let Some(pause) = self.engine.forger.as_ref().and_then(|forger| forger.pause()) {
                tokio::select! {
                    Some(event) = inbox.recv() => self.handle(event)?,
                    () = tokio::time::sleep(pause) => {}
                    () = stop.changed() => {}
                }
                continue;
            }
            let paused = self.pace.wait(now);
            let step = if paused.is_some() { Step::Wait } else { self.scheduler.step() };
            match step {
                Step::Configure(config) => self.configure(config)?,
                Step::Start(ticket) => {
                    self.pace.started(&ticket, now);
                    self.start(ticket)?;
                    started += 1;
                    if started % STARTS_IN_A_ROW == 0 {
                        tokio::task::yield_now().await;
                    }
                }
                Step::Wait if self.end.in_flight == 0 && !feeding => return Ok(()),
                Step::Wait => {
                    let wants_jobs = feeding && self.wants_jobs();
                    let release = self.pace.next_release().filter(|_| self.wants_jobs());
                    let due = paused.into_iter().chain(release).chain(self.ports.next()).min();
                    tokio::select! {
                        () = until(due), if due.is_some() => {}
                        Some(event) = inbox.recv() => self.handle(event)?,
                        job = jobs.recv(), if wants_jobs => match job {
                            Some(job) => self.admit(job)?,
                            None => feeding = false,
                        },
                        () = stop.changed() => {}
                        () = tokio::time::sleep(self.patience), if self.workers.is_some() => {}
                    }
                }
            }
        }
    }

    /// Whether another job may come into flight. Those that only wait for their prefix do not
    /// count, so that they are in nobody's way: the places bound them.
    fn wants_jobs(&self) -> bool {
        self.end.in_flight - self.pace.held() < self.engine.workers
    }

    /// A connection is to be made, as soon as it may.
    fn queue(&mut self, ticket: Ticket) {
        if let Some(ticket) = self.pace.enter(ticket, Instant::now()) {
            self.scheduler.push(ticket.config, ticket);
        }
    }

    /// Answers for workers that do not come back from the plugin.
    fn give_up_overdue(&mut self) -> Result<(), EngineError> {
        let Some(workers) = &mut self.workers else { return Ok(()) };
        if self.looked.elapsed() < self.patience {
            return Ok(());
        }
        self.looked = Instant::now();
        for event in workers.give_up_overdue()? {
            self.handle(event)?;
        }
        Ok(())
    }

    fn configure(&mut self, config: usize) -> Result<(), EngineError> {
        let id = ConfigId::new(config);
        let changes: &mut dyn SystemChanges = match self.engine.changes_system {
            true => self.machine,
            false => &mut Undeclared,
        };
        self.engine.measurement.configure(id, changes).map_err(|error| {
            let label = self.engine.configurations[config].label.clone();
            EngineError::Configure { config, label, error }
        })
    }

    /// Takes a job into flight.
    fn admit(&mut self, job: Job) -> Result<(), EngineError> {
        self.end.in_flight += 1;
        match &self.workers {
            Some(workers) => workers.prepare(job),
            None => {
                let prepared = Work::prepare(&self.engine.measurement, job);
                self.handle(Event::Prepared(prepared))
            }
        }
    }

    /// Starts a connection: asks the plugin for it, and sends its first packet.
    fn start(&mut self, ticket: Ticket) -> Result<(), EngineError> {
        match &self.workers {
            Some(workers) => {
                for endpoint in connect::possible_endpoints(&ticket.work.job) {
                    self.notify(Notice::Expect(endpoint))?;
                }
                workers.connect(ticket)
            }
            None => {
                let answer = ticket.ask(&self.engine.measurement);
                self.make(ticket, answer)
            }
        }
    }

    fn handle(&mut self, event: Event) -> Result<(), EngineError> {
        match event {
            Event::Prepared(Ok(work)) => {
                self.queue(Ticket { work: Arc::new(work), config: 0 });
                Ok(())
            }
            Event::Prepared(Err((job, error))) => {
                self.end.in_flight -= 1;
                self.report(Report::Refused { job, error })
            }
            Event::Answered { ticket, started, answer } => self.make_own(ticket, started, answer),
            Event::Reached { config, point } => {
                self.scheduler.reached(config, point);
                Ok(())
            }
            Event::Silent(ticket) => {
                self.go_on(&ticket);
                Ok(())
            }
            Event::Ended(ticket, attempt) => {
                self.scheduler.reached(ticket.config, Hold::Completion);
                self.conclude(ticket, attempt)
            }
        }
    }

    /// Makes the connection that a worker brought, which the plugin may have made by itself.
    fn make_own(
        &mut self,
        ticket: Ticket,
        started: SystemTime,
        answer: Result<Connect, Error>,
    ) -> Result<(), EngineError> {
        let own = match &answer {
            Ok(connect) => connect::own_flow(&ticket.work.job, connect, started),
            Err(_) => None,
        };
        // The worker's call is bracketed by expectations of every protocol that it could have
        // used; of these, a claim settles the one that it did.
        for endpoint in connect::possible_endpoints(&ticket.work.job) {
            if own.as_ref().is_none_or(|flow| flow.endpoint() != endpoint) {
                self.notify(Notice::Withdraw(endpoint))?;
            }
        }
        match answer {
            Ok(connect) if connect.kind() == ConnectKind::Done => {
                self.passed(ticket.config, &[Hold::Initiation, Hold::Handshake, Hold::Completion]);
                let outcome = connect.into_outcome().unwrap_or_else(connect::no_outcome);
                let attempt = match own {
                    Some(flow) => flow.end(outcome),
                    None => Attempt { outcome: stamp(outcome, started), flow: None },
                };
                self.conclude(ticket, attempt)
            }
            answer => self.make(ticket, answer),
        }
    }

    /// Makes the connection that the plugin asked for.
    fn make(&mut self, ticket: Ticket, answer: Result<Connect, Error>) -> Result<(), EngineError> {
        let dialed = match answer {
            Ok(connect) if connect.kind() == ConnectKind::Packets => {
                return self.forge(ticket, &connect);
            }
            Ok(connect) => {
                self.engine.dialer.begin(&ticket.work.job, connect, &self.engine.notices)
            }
            Err(error) => Err(BeginError::Plugin(error)),
        };
        let points = match &dialed {
            Ok(Begun::Under(connection)) if connection.is_deferred() => &[][..],
            Ok(Begun::Under(_)) => &[Hold::Initiation],
            _ => &[Hold::Initiation, Hold::Handshake, Hold::Completion],
        };
        self.passed(ticket.config, points);
        match dialed {
            Ok(Begun::Under(connection)) => {
                self.ports.found(connection.remote(), Instant::now());
                let is_deferred = connection.is_deferred();
                let may_overlap = self.may_overlap && !connection.is_teacher();
                self.see_through(ticket, is_deferred, may_overlap, async move |progress| {
                    connection.complete(progress).await
                });
                Ok(())
            }
            Ok(Begun::Over(attempt)) => self.conclude(ticket, attempt),
            Err(error) => self.refused(ticket, error),
        }
    }

    /// Sends the packets that the plugin made.
    fn forge(&mut self, ticket: Ticket, connect: &Connect) -> Result<(), EngineError> {
        let config = ticket.config;
        let sent = match &self.engine.forger {
            Some(forger) => forger.begin(connect, config, &self.engine.notices),
            None => Err(BeginError::Plugin(Error::contract(
                "connect: it gives packets, and does not declare Info::forges",
            ))),
        };
        let points = match &sent {
            Ok(Sent::Out(_)) => &[Hold::Initiation][..],
            _ => &[Hold::Initiation, Hold::Handshake, Hold::Completion],
        };
        self.passed(config, points);
        match sent {
            Ok(Sent::Out(forged)) => {
                let may_overlap = self.may_overlap;
                self.see_through(ticket, false, may_overlap, async move |_| {
                    forged.complete().await
                });
                Ok(())
            }
            Ok(Sent::Over(attempt)) => self.conclude(ticket, attempt),
            Err(error) => self.refused(ticket, error),
        }
    }

    /// No local port is free for a connection: it begins when there is one.
    fn wait_for_port(
        &mut self,
        ticket: Ticket,
        remote: SocketAddr,
        attempt: Attempt,
    ) -> Result<(), EngineError> {
        if !std::mem::replace(&mut self.was_short, true) {
            say!(
                "all local ports toward {remote} are taken; connections to it wait until some are \
                 free again (net.ipv4.ip_local_port_range has {})",
                port_range()
            );
        }
        match self.ports.hold(remote, ticket, Instant::now()) {
            None => Ok(()),
            Some(ticket) => self.conclude(ticket, attempt),
        }
    }

    /// A connection could not begin.
    fn refused(&mut self, ticket: Ticket, error: BeginError) -> Result<(), EngineError> {
        match error {
            BeginError::NoPort(remote, attempt) => self.wait_for_port(ticket, remote, *attempt),
            BeginError::Gone => Err(EngineError::Gone("observer")),
            BeginError::Plugin(error) => {
                ticket.work.break_off();
                self.end.in_flight -= 1;
                self.report(Report::Broken { work: ticket.work, error })
            }
        }
    }

    /// Lets a connection that is under way go on by itself; its events come back. It is deferred
    /// where its first packet is not out yet. Its job's next one may overlap with it where nothing
    /// answers it for a while.
    fn see_through<F>(&self, ticket: Ticket, is_deferred: bool, may_overlap: bool, complete: F)
    where
        F: AsyncFnOnce(&Rc<Progress>) -> Attempt + 'static,
    {
        // The engine may have gone, on a second signal.
        let events = self.events.clone();
        let config = ticket.config;
        let may_overlap = may_overlap && config + 1 < self.engine.configurations.len();
        let awaited = match self.engine.configurations[config].hold {
            Hold::Initiation if !is_deferred => None,
            Hold::Completion => None,
            point => Some(point),
        };
        tokio::task::spawn_local(async move {
            let tell = events.clone();
            let progress = Rc::new(Progress::new(awaited, move |point| {
                let _ = tell.send(Event::Reached { config, point });
            }));
            let attempt = {
                let mut complete = pin!(complete(&progress));
                let silence = tokio::time::sleep(SILENCE);
                tokio::select! {
                    biased;
                    attempt = &mut complete => attempt,
                    () = silence, if may_overlap => {
                        if progress.is_silent() {
                            let _ = events.send(Event::Silent(ticket.clone()));
                        }
                        complete.await
                    }
                }
            };
            progress.over();
            let _ = events.send(Event::Ended(ticket, attempt));
        });
    }

    /// A connection has come to these points of its life, or never will.
    fn passed(&mut self, config: usize, points: &[Hold]) {
        points.iter().for_each(|&point| self.scheduler.reached(config, point));
    }

    /// Hands a connection's end on, and lets its job go on.
    fn conclude(&mut self, ticket: Ticket, attempt: Attempt) -> Result<(), EngineError> {
        let Attempt { outcome, flow } = attempt;
        let claimed = flow.is_some();
        let is_measured = ticket.work.end_one();
        if let Some(flow) = flow {
            let id = ticket.id(self.engine.configurations.len());
            self.notify(match is_measured {
                true => Notice::Claim(flow.into_claim(id)),
                false => Notice::Withdraw(flow.endpoint()),
            })?;
        }
        if !is_measured {
            return Ok(());
        }
        self.go_on(&ticket);
        let Ticket { work, config } = ticket;
        if work.is_over(self.engine.configurations.len()) {
            self.end.in_flight -= 1;
        }
        self.report(Report::Connection { work, config, outcome, claimed })
    }

    /// Lets a connection's job go to its next configuration, where it is time.
    fn go_on(&mut self, ticket: &Ticket) {
        let Ticket { work, config } = ticket;
        if work.begin_after(*config, self.engine.configurations.len()) {
            self.queue(Ticket { work: Arc::clone(work), config: config + 1 });
        }
    }

    fn notify(&self, notice: Notice) -> Result<(), EngineError> {
        self.engine.notices.send(notice).map_err(|_| EngineError::Gone("observer"))
    }

    fn report(&self, report: Report) -> Result<(), EngineError> {
        self.engine.reports.send(report).map_err(|_| EngineError::Gone("merger"))
    }
}

/// Waits until then, if there is such a time.
async fn until(due: Option<Instant>) {
    if let Some(due) = due {
        tokio::time::sleep_until(due.into()).await;
    }
}

/// The local ports that the kernel chooses from.
fn port_range() -> String {
    std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .map_or_else(|_| "?".to_owned(), |range| range.trim().replace('\t', " "))
}
