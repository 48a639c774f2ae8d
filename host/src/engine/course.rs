//! The course of a run, without the things that it is made of: what happens and the time go in, and
//! what is to be done comes out.
//!
//! It owns each job from the moment it is read until its record is written, and decides everything
//! that has an order: who is asked, who may start, who waits and until when, who is given up, and when the
//! run is over. It opens no socket, calls no plugin, and knows no clock. The shell (`shell`) does
//! what it says and tells it what came of that.

mod behind;
mod calls;
mod exchange;
mod job;
mod resting;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use pathspider_observer::{ConnectionId, Visit};
use pathspider_plugin_api::{ConfigId, Hold};

use self::behind::Behind;
pub(crate) use self::behind::JOBS_BEHIND;
use self::calls::Calls;
pub(super) use self::calls::{Call, Purpose};
pub(super) use self::exchange::{Action, Cargo, Event, First, Watch};
use self::job::{Connection, OpenJob};
use self::resting::Resting;
use super::lending::Permits;
use super::pace::{Limits, Pace, Paced};
use super::ports::Ports;
use super::scheduler::{Lease, Scheduler, Step};

/// A connection that waits for its turn.
pub(super) struct Ticket<C: Cargo> {
    id: ConnectionId,
    /// Where its packets go, as far as is known.
    to: SocketAddr,
    /// The plugin's answer, where it was asked before.
    plan: Option<C::Plan>,
}

impl<C: Cargo> Paced for Ticket<C> {
    fn target(&self) -> Option<std::net::IpAddr> {
        Some(self.to.ip()).filter(|target| !target.is_unspecified())
    }

    fn is_begun(&self) -> bool {
        self.id.config() != ConfigId::BASELINE
    }
}

/// What a course goes by.
pub(super) struct Rules<'a> {
    /// How long each configuration holds.
    pub(super) holds: Vec<Hold>,
    /// Jobs in flight at most.
    pub(super) workers: usize,
    /// How many of them may have two connections at a time.
    pub(super) beside: usize,
    /// When connections may start.
    pub(super) limits: &'a Limits,
    /// How long a call of a plugin that blocks may take.
    pub(super) call_limit: Option<Duration>,
    /// Whether a job's next connection begins only when the former one is known.
    pub(super) depends: bool,
}

/// The course of a run.
pub(super) struct Course<C: Cargo> {
    configurations: usize,
    workers: usize,
    scheduler: Scheduler<Ticket<C>>,
    pace: Pace<Ticket<C>>,
    /// Those that wait for a local port, and whether that was reported.
    ports: Ports<Ticket<C>>,
    was_short: bool,
    permits: Permits,
    calls: Calls,
    /// Jobs whose former connection is not known yet.
    resting: Resting,
    /// Jobs that were read, until their connections have ended.
    open: HashMap<Visit, OpenJob<C>, RandomState>,
    /// How many of them are in flight; the others are broken, and have a connection left.
    in_flight: usize,
    /// Jobs that have ended, until their records are written.
    behind: Behind,
    /// How many have ended since the beginning.
    ended: usize,
    /// Whether more jobs may come.
    is_fed: bool,
    is_stopping: bool,
    is_settled: bool,
    actions: VecDeque<Action<C>>,
}

impl<C: Cargo> Course<C> {
    pub(super) fn new(rules: Rules<'_>) -> Course<C> {
        let never_overlaps = rules.depends || rules.limits.space_targets();
        let beside = if never_overlaps { 0 } else { rules.beside };
        let configurations = rules.holds.len();
        Course {
            configurations,
            workers: rules.workers,
            scheduler: Scheduler::new(rules.holds),
            pace: Pace::new(rules.limits, configurations),
            ports: Ports::default(),
            was_short: false,
            permits: Permits::new(beside),
            calls: Calls::new(rules.call_limit),
            resting: Resting::new(rules.depends),
            open: HashMap::default(),
            in_flight: 0,
            behind: Behind::default(),
            ended: 0,
            is_fed: true,
            is_stopping: false,
            is_settled: false,
            actions: VecDeque::new(),
        }
    }

    /// Jobs that were begun and whose connections have not all ended.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Jobs that have ended since the beginning.
    pub(super) fn ended(&self) -> usize {
        self.ended
    }

    /// Jobs that were begun: of those that were read, all that a stop has not left.
    pub(super) fn taken(&self) -> usize {
        self.in_flight + self.ended
    }

    /// Whether another job may be read.
    pub(super) fn wants_jobs(&self) -> bool {
        let is_ready = !self.resting.has_ready() && !self.behind.is_full();
        self.is_fed && is_ready && self.has_room()
    }

    /// Whether another job may come into flight. Those that only wait for their prefix or for the
    /// observer do not count, so that they are in nobody's way: the places bound them.
    fn has_room(&self) -> bool {
        let waiting = self.pace.held() + self.resting.count();
        self.in_flight.saturating_sub(waiting) < self.workers
    }

    /// What is to be done now. Call it until it says to wait; do each thing before the next call.
    pub(super) fn next(&mut self, now: Instant) -> Action<C> {
        if let Some(action) = self.actions.pop_front() {
            return action;
        }
        self.release(now);
        self.give_up_overdue(now);
        loop {
            if let Some(action) = self.actions.pop_front() {
                return action;
            }
            if self.behind.is_full() || self.pace.wait(now).is_some() {
                break;
            }
            match self.scheduler.step() {
                Step::Configure(config) => return Action::Configure(config),
                Step::Start(ticket, lease) => self.start(ticket, lease, now),
                Step::Wait => break,
            }
        }
        if self.in_flight > 0 || self.is_fed {
            return Action::Wait(self.wakes(now));
        }
        if !std::mem::replace(&mut self.is_settled, true) {
            return Action::Settle;
        }
        if self.behind.is_empty() { Action::Over } else { Action::Wait(None) }
    }

    /// When something is due without an event.
    fn wakes(&self, now: Instant) -> Option<Instant> {
        let release = self.pace.next_release().filter(|_| self.has_room());
        let dues = [self.pace.wait(now), release, self.ports.next(), self.calls.next_deadline()];
        dues.into_iter().flatten().min()
    }

    /// Takes what has happened.
    pub(super) fn handle(&mut self, event: Event<C>, now: Instant) {
        match event {
            Event::Read(visit, work, target) => self.read(visit, work, target, now),
            Event::Fed => self.is_fed = false,
            Event::Stop => self.stop(now),
            Event::Prepared(visit, call, result) => self.prepared(visit, call, result, now),
            Event::Answered(id, call, plan) => self.answered(id, call, plan),
            Event::Failed(id, error) => self.failed(id, error),
            Event::NoPort(id, remote, attempt) => self.no_port(id, remote, attempt, now),
            Event::Elsewhere(id, to, plan) => self.elsewhere(id, to, plan, now),
            Event::Reached(id, point) => self.reached(id, point),
            Event::Silent(id) => self.silent(id, now),
            Event::Ended(id, attempt) => self.end(id, attempt, now),
            Event::Known(id) => self.known(id),
            Event::Written(visit) => {
                self.behind.remove(visit);
            }
        }
    }

    /// A connection's first packet is out, or will be when it sends data; what to watch it for.
    pub(super) fn begun(&mut self, id: ConnectionId, first: First, now: Instant) -> Watch {
        self.ports.found(first.remote, now);
        if !first.is_deferred {
            self.reached(id, Hold::Initiation);
        }
        let connection = self.open.get_mut(&id.visit()).and_then(|job| job.connection(id));
        let Some(connection) = connection else {
            return Watch { awaited: None, silence: false };
        };
        connection.is_under_way = true;
        // Its end is reported in any case.
        let held = connection.lease.as_ref().map(|_| self.scheduler.hold(id.config()));
        Watch {
            awaited: held.filter(|point| *point != Hold::Completion),
            silence: !self.resting.applies() && id.config().index() + 1 < self.configurations,
        }
    }

    fn read(&mut self, visit: Visit, work: C::Work, target: SocketAddr, now: Instant) {
        self.in_flight += 1;
        let call = self.calls.begin(Purpose::Prepare(visit), now);
        self.open.insert(visit, OpenJob::new(work.clone(), target, call));
        self.actions.push_back(Action::Prepare(visit, call, work));
    }

    fn prepared(&mut self, visit: Visit, call: Call, result: Result<(), C::Error>, now: Instant) {
        let job = self.open.get_mut(&visit).filter(|job| job.preparing == Some(call));
        let Some(job) = job else { return self.calls.came_back() };
        job.preparing = None;
        match result {
            Ok(()) => self.go_on(visit, now),
            Err(error) => self.fail(visit, |work| Action::Fail(work, error)),
        }
    }

    fn answered(&mut self, id: ConnectionId, call: Call, plan: C::Plan) {
        let started = self.open.get_mut(&id.visit()).and_then(|job| job.starts(id));
        let started = started.filter(|(connection, _)| connection.call == Some(call));
        let Some((connection, work)) = started else { return self.calls.came_back() };
        connection.call = None;
        self.actions.push_back(Action::Make(id, work, connection.to, plan));
    }

    /// Releases what has waited for long enough.
    fn release(&mut self, now: Instant) {
        while self.has_room()
            && let Some(visit) = self.resting.next()
        {
            self.go_on(visit, now);
        }
        while self.has_room()
            && let Some(ticket) = self.pace.release(now)
        {
            self.scheduler.push(ticket.id.config(), ticket);
        }
        for ticket in self.ports.release(now) {
            self.scheduler.push(ticket.id.config(), ticket);
        }
    }

    /// A connection is to be made, as soon as it may.
    fn queue(&mut self, ticket: Ticket<C>, now: Instant) {
        if let Some(ticket) = self.pace.enter(ticket, now) {
            self.scheduler.push(ticket.id.config(), ticket);
        }
    }

    /// The turn of a connection has come.
    fn start(&mut self, ticket: Ticket<C>, lease: Lease, now: Instant) {
        let Some(ticket) = self.pace.start(ticket, now) else {
            self.scheduler.give_back(lease);
            // What is held makes room for others.
            return self.release(now);
        };
        let Some(Ticket { id, to, plan }) = self.ports.enter(ticket.to, ticket) else {
            return self.scheduler.give_back(lease);
        };
        let job = self.open.get_mut(&id.visit());
        let Some((connection, work)) = job.and_then(|job| job.starts(id)) else {
            // The plugin has failed for the job while this one waited.
            self.scheduler.give_back(lease);
            self.release_connection(id);
            return self.forget_if_idle(id.visit());
        };
        (connection.lease, connection.started) = (Some(lease), Some(now));
        self.actions.push_back(match plan {
            Some(plan) => Action::Make(id, work, to, plan),
            None => {
                let call = self.calls.begin(Purpose::Connect(id), now);
                connection.call = Some(call);
                Action::Ask(id, call, work, to)
            }
        });
    }

    /// Lets a job go to its next configuration, where it may.
    fn go_on(&mut self, visit: Visit, now: Instant) {
        let Some(job) = self.open.get_mut(&visit) else { return };
        if job.work.is_none() || job.begun == self.configurations {
            return;
        }
        match job.active() {
            0 => {}
            1 => match self.permits.take() {
                Some(permit) => job.permit = Some(permit),
                None => return,
            },
            _ => return,
        }
        let id = visit.connection(ConfigId::new(job.begun));
        job.begun += 1;
        let to = job.target;
        job.add(Connection::new(id, to));
        self.queue(Ticket { id, to, plan: None }, now);
    }

    fn reached(&mut self, id: ConnectionId, point: Hold) {
        if self.scheduler.hold(id.config()) == point
            && let Some(connection) =
                self.open.get_mut(&id.visit()).and_then(|job| job.connection(id))
            && let Some(lease) = connection.lease.take()
        {
            self.scheduler.give_back(lease);
        }
    }

    fn silent(&mut self, id: ConnectionId, now: Instant) {
        let Some(job) = self.open.get_mut(&id.visit()) else { return };
        let is_last = job.begun == id.config().index() + 1;
        if is_last && job.connection(id).is_some_and(|connection| connection.is_under_way) {
            self.go_on(id.visit(), now);
        }
    }

    fn end(&mut self, id: ConnectionId, attempt: C::Attempt, now: Instant) {
        if !self.release_connection(id) {
            return;
        }
        let Some(job) = self.open.get_mut(&id.visit()) else { return };
        job.ended += 1;
        let is_last = job.ended == self.configurations;
        // The merger gets the last copy, so that it need not make one of the record.
        let work = if is_last { job.work.take() } else { job.work.clone() };
        let Some(work) = work else {
            self.actions.push_back(Action::Discard(attempt));
            return self.forget_if_idle(id.visit());
        };
        job.octets += C::octets(&attempt);
        self.actions.push_back(Action::Report(id, work, attempt));
        if is_last {
            self.leave(id.visit());
        } else if self.resting.applies() {
            job.awaited = Some(id);
            self.resting.begin();
        } else {
            self.go_on(id.visit(), now);
        }
    }

    /// A job that rests goes on when there is room.
    fn known(&mut self, id: ConnectionId) {
        let awaited = self.open.get_mut(&id.visit()).map(|job| &mut job.awaited);
        if awaited.is_some_and(|awaited| awaited.take_if(|other| *other == id).is_some()) {
            self.resting.known(id.visit());
        }
    }

    fn failed(&mut self, id: ConnectionId, error: C::Error) {
        if self.release_connection(id) {
            self.fail(id.visit(), |work| Action::Fail(work, error));
        }
    }

    /// No local port is free for a connection: it begins when there is one.
    fn no_port(&mut self, id: ConnectionId, remote: SocketAddr, attempt: C::Attempt, now: Instant) {
        if !self.give_back_lease(id) {
            return;
        }
        if !std::mem::replace(&mut self.was_short, true) {
            self.actions.push_back(Action::Short(remote));
        }
        let ticket = Ticket { id, to: remote, plan: None };
        if self.ports.hold(remote, ticket, now).is_some() {
            self.end(id, attempt, now);
        }
    }

    /// A connection goes elsewhere: it waits for the pace of that address, and of that one only.
    fn elsewhere(&mut self, id: ConnectionId, to: SocketAddr, plan: C::Plan, now: Instant) {
        if !self.give_back_lease(id) {
            return;
        }
        let connection = self.open.get_mut(&id.visit()).and_then(|job| job.connection(id));
        if let Some(connection) = connection {
            let before = std::mem::replace(&mut connection.to, to);
            let started = connection.started.unwrap_or(now);
            self.pace.not_sent(&Ticket { id, to: before, plan: None }, started, now);
            self.queue(Ticket { id, to, plan: Some(plan) }, now);
        }
    }

    /// Gives back the hold on the configuration; whether there is such a connection.
    fn give_back_lease(&mut self, id: ConnectionId) -> bool {
        let job = self.open.get_mut(&id.visit());
        let Some(connection) = job.and_then(|job| job.connection(id)) else { return false };
        // A plugin that does not block has answered at once.
        connection.call = None;
        if let Some(lease) = connection.lease.take() {
            self.scheduler.give_back(lease);
        }
        true
    }

    /// Takes a connection off its job, with all that it held; whether there was such a one.
    fn release_connection(&mut self, id: ConnectionId) -> bool {
        if !self.give_back_lease(id) {
            return false;
        }
        if let Some(job) = self.open.get_mut(&id.visit()) {
            job.remove(id);
            if let Some(permit) = job.permit.take() {
                self.permits.give_back(permit);
            }
        }
        true
    }

    /// The plugin failed for a job: nothing more is begun or reported of it.
    fn fail(&mut self, visit: Visit, action: impl FnOnce(C::Work) -> Action<C>) {
        if let Some(job) = self.open.get_mut(&visit)
            && let Some(work) = job.work.take()
        {
            let octets = job.octets;
            self.actions.push_back(action(work));
            self.fall_behind(visit, octets);
        }
        self.forget_if_idle(visit);
    }

    /// A job has ended, and is the later stages'.
    fn leave(&mut self, visit: Visit) {
        let octets = self.open.remove(&visit).map_or(0, |job| job.octets);
        self.fall_behind(visit, octets);
    }

    fn fall_behind(&mut self, visit: Visit, octets: usize) {
        self.in_flight -= 1;
        self.ended += 1;
        self.behind.insert(visit, octets);
    }

    fn forget_if_idle(&mut self, visit: Visit) {
        if self.open.get(&visit).is_some_and(|job| job.active() == 0) {
            self.open.remove(&visit);
        }
    }

    /// Answers for threads that do not come back from the plugin.
    fn give_up_overdue(&mut self, now: Instant) {
        loop {
            let open = &mut self.open;
            let stands = |call, purpose| match purpose {
                Purpose::Prepare(visit) => {
                    open.get(&visit).is_some_and(|job| job.preparing == Some(call))
                }
                Purpose::Connect(id) => {
                    let connection = open.get_mut(&id.visit()).and_then(|job| job.connection(id));
                    connection.is_some_and(|connection| connection.call == Some(call))
                }
            };
            let Some(purpose) = self.calls.overdue(now, stands) else { return };
            match self.calls.give_up() {
                Err(stuck) => return self.actions.push_back(Action::Stuck(stuck)),
                Ok(needs_thread) => self.give_up(purpose, needs_thread),
            }
        }
    }

    fn give_up(&mut self, purpose: Purpose, needs_thread: bool) {
        let visit = match purpose {
            Purpose::Prepare(visit) => {
                if let Some(job) = self.open.get_mut(&visit) {
                    job.preparing = None;
                }
                visit
            }
            Purpose::Connect(id) => {
                self.release_connection(id);
                id.visit()
            }
        };
        self.fail(visit, |work| Action::GiveUp(purpose, work, needs_thread));
    }

    /// Nothing was sent for what has not begun, and it could wait for long: it is left.
    fn stop(&mut self, now: Instant) {
        if std::mem::replace(&mut self.is_stopping, true) {
            return;
        }
        let mut left = self.scheduler.drop_waiting(ConfigId::BASELINE);
        left.iter().for_each(|ticket| self.pace.cancelled(ticket, now));
        left.extend(self.pace.drop_unbegun(now));
        left.extend(self.ports.drop_unless(Paced::is_begun));
        for ticket in &left {
            self.open.remove(&ticket.id.visit());
        }
        self.in_flight -= left.len();
        self.is_fed = false;
    }
}

impl<C: Cargo> Drop for Course<C> {
    /// A run that ends before its jobs do takes back what they hold.
    fn drop(&mut self) {
        for (_, mut job) in self.open.drain() {
            for lease in job.connections_mut().filter_map(|c| c.lease.take()) {
                self.scheduler.give_back(lease);
            }
            if let Some(permit) = job.permit.take() {
                self.permits.give_back(permit);
            }
        }
    }
}

#[cfg(test)]
mod tests;
