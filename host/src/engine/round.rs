//! The engine at work: a loop of small steps, which never waits while something can be started.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use pathspider_plugin_api::{ConfigId, Hold, Job, SystemChanges};
use tokio::sync::mpsc;

use super::connect::Attempt;
use super::pace::Pace;
use super::ports::Ports;
use super::scheduler::{Scheduler, Step};
use super::workers::Workers;
use super::{Engine, EngineEnd, EngineError, Event, Report, Ticket, Work};
use pathspider_observer::Notice;
use pathspider_runtime::stop::Urgency;
use pathspider_system::{Machine, Undeclared};

/// Starts in a row before the connections under way get their turn. Each takes two steps of a task
/// at the least, and tokio makes 61 between two turns of this loop: with more starts, connections
/// that are over would pile up, and their sockets and memory with them.
const STARTS_IN_A_ROW: usize = 16;

/// Jobs that may wait for the observer and the merger before no more connections are begun. At full
/// speed a job waits for late packets for a tenth of a second, and over UDP, which has no end, for
/// half a second.
pub(crate) const JOBS_BEHIND: usize = 6144;

/// How long the later stages are given then.
const BREATH: Duration = Duration::from_millis(2);

/// The engine at work.
pub(super) struct Round<'a> {
    pub(super) engine: Engine,
    pub(super) machine: &'a mut Machine,
    pub(super) scheduler: Scheduler<Ticket>,
    pub(super) pace: Pace,
    /// Those that wait for a local port, and whether that was told.
    pub(super) ports: Ports<Ticket>,
    pub(super) was_short: bool,
    /// How many jobs may have a second connection beside one that is silent, besides those that
    /// have: none where the pace wants them apart.
    pub(super) beside: usize,
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
            let paused = self.pace.wait(now).or_else(|| self.is_ahead().then(|| now + BREATH));
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

    /// Whether so many jobs wait for their record that memory would grow with the jobs in flight.
    fn is_ahead(&self) -> bool {
        self.engine.behind.load(Ordering::Relaxed) >= JOBS_BEHIND
    }

    /// A job has ended, and is the later stages'.
    pub(super) fn leave(&mut self) {
        self.end.in_flight -= 1;
        self.engine.behind.fetch_add(1, Ordering::Relaxed);
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
            Some(workers) => {
                workers.prepare(job);
                Ok(())
            }
            None => {
                let prepared = Work::prepare(&self.engine.measurement, job);
                self.handle(Event::Prepared(prepared))
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
                self.leave();
                self.report(Report::Refused { job, error })
            }
            Event::Answered { ticket, started, answer } => self.make_own(ticket, started, answer),
            Event::Reached { config, point } => {
                self.scheduler.reached(config, point);
                Ok(())
            }
            Event::Silent(ticket) => {
                if ticket.work.is_last(ticket.config) {
                    self.go_on(&ticket.work);
                }
                Ok(())
            }
            Event::Ended(ticket, attempt) => {
                self.scheduler.reached(ticket.config, Hold::Completion);
                self.conclude(ticket, attempt)
            }
        }
    }

    /// A connection has come to these points of its life, or never will.
    pub(super) fn passed(&mut self, config: usize, points: &[Hold]) {
        points.iter().for_each(|&point| self.scheduler.reached(config, point));
    }

    /// Hands a connection's end on, and lets its job go on.
    pub(super) fn conclude(&mut self, ticket: Ticket, attempt: Attempt) -> Result<(), EngineError> {
        let Attempt { outcome, flow } = attempt;
        let claimed = flow.is_some();
        self.beside += usize::from(ticket.work.under_way() > 1);
        let is_measured = ticket.work.end_one();
        if let Some(flow) = flow {
            let id = ticket.id(self.engine.configurations.len());
            match is_measured {
                true => self.notify(flow.into_notice(id))?,
                false => {
                    for endpoint in flow.endpoints() {
                        self.notify(Notice::Withdraw(endpoint))?;
                    }
                }
            }
        }
        if !is_measured {
            return Ok(());
        }
        let Ticket { work, config } = ticket;
        self.go_on(&work);
        if work.is_over(self.engine.configurations.len()) {
            self.leave();
        }
        self.report(Report::Connection { work, config, outcome, claimed })
    }

    /// Lets a job go to its next configuration, where it may.
    fn go_on(&mut self, work: &Arc<Work>) {
        if let Some(config) = work.begin_next(self.engine.configurations.len(), self.beside > 0) {
            self.beside -= usize::from(work.under_way() > 1);
            self.queue(Ticket { work: Arc::clone(work), config });
        }
    }

    pub(super) fn notify(&self, notice: Notice) -> Result<(), EngineError> {
        self.engine.notices.send(notice).map_err(|_| EngineError::Gone("observer"))
    }

    pub(super) fn report(&self, report: Report) -> Result<(), EngineError> {
        self.engine.reports.send(report).map_err(|_| EngineError::Gone("merger"))
    }
}

/// Waits until then, if there is such a time.
async fn until(due: Option<Instant>) {
    if let Some(due) = due {
        tokio::time::sleep_until(due.into()).await;
    }
}
