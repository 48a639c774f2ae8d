//! Makes connections: asks the plugin for one, sends its first packet, and sees it through.

use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use pathspider_plugin_api::{Connect, ConnectKind, Error, Hold};

use super::connect::{self, Attempt, BeginError, Begun, Progress, Sent};
use super::ephemeral::Ephemeral;
use super::round::Round;
use super::{EngineError, Event, Report, Ticket, stamp};
use pathspider_observer::Notice;
use pathspider_runtime::say;

/// How long a job's next connection waits for one that nothing has answered: the delay between
/// attempts that RFC 8305, section 5, recommends. So a dead target takes little more than one
/// time-out.
const SILENCE: Duration = Duration::from_millis(250);

/// The points of a connection's life that somebody may wait for.
const EVERY_POINT: [Hold; 3] = [Hold::Initiation, Hold::Handshake, Hold::Completion];

impl Round<'_> {
    /// Starts a connection: asks the plugin for it, and sends its first packet.
    pub(super) fn start(&mut self, ticket: Ticket) -> Result<(), EngineError> {
        let (config, job) = (ticket.config, &ticket.work.job);
        let remote = SocketAddr::new(job.target(), job.port());
        let Some(ticket) = self.ports.enter(remote, ticket) else {
            self.passed(config, &EVERY_POINT);
            return Ok(());
        };
        match &self.workers {
            Some(workers) => {
                for endpoint in connect::possible_endpoints(&ticket.work.job) {
                    self.notify(Notice::Expect(endpoint))?;
                }
                workers.connect(ticket);
                Ok(())
            }
            None => {
                let answer = ticket.ask(&self.engine.measurement);
                self.make(ticket, answer)
            }
        }
    }

    /// Makes the connection that a worker brought, which the plugin may have made by itself.
    pub(super) fn make_own(
        &mut self,
        ticket: Ticket,
        started: SystemTime,
        answer: Result<Connect, Error>,
    ) -> Result<(), EngineError> {
        let own = match &answer {
            Ok(connect) => connect::own_flow(&ticket.work.job, connect, started),
            Err(_) => None,
        };
        // Without a way nothing has left, and there is nothing to look for.
        let has_way = || self.engine.dialer.has_way(ticket.work.job.target());
        let own = own.filter(|flow| flow.local.is_some() || has_way());
        // The worker's call is bracketed by expectations of every protocol that it could have
        // used; of these, a claim settles the one that it did.
        for endpoint in connect::possible_endpoints(&ticket.work.job) {
            if own.as_ref().is_none_or(|flow| !flow.endpoints().contains(&endpoint)) {
                self.notify(Notice::Withdraw(endpoint))?;
            }
        }
        match answer {
            Ok(connect) if connect.kind() == ConnectKind::Done => {
                self.passed(ticket.config, &EVERY_POINT);
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
            _ => &EVERY_POINT,
        };
        self.passed(ticket.config, points);
        match dialed {
            Ok(Begun::Under(connection)) => {
                self.ports.found(connection.remote(), Instant::now());
                let is_deferred = connection.is_deferred();
                let may_overlap = !connection.is_teacher();
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
            Some(forger) => forger.begin(&ticket.work.job, connect, config, &self.engine.notices),
            None => Err(BeginError::Plugin(Error::contract(
                "connect: it gives packets, and does not declare Info::forges",
            ))),
        };
        let points = match &sent {
            Ok(Sent::Out(_)) => &[Hold::Initiation][..],
            _ => &EVERY_POINT,
        };
        self.passed(config, points);
        match sent {
            Ok(Sent::Out(forged)) => {
                self.see_through(ticket, false, true, async move |_| forged.complete().await);
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
        let ports = Ephemeral::read();
        let is_first = !std::mem::replace(&mut self.was_short, true);
        if ports.count() == 0 {
            if is_first {
                say!("there is no local port to connect from: {ports}");
            }
            return self.conclude(ticket, attempt);
        }
        if is_first {
            say!(
                "all local ports toward {remote} are taken; connections to it wait until some are \
                 free again ({ports})"
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
                self.beside += usize::from(ticket.work.under_way() > 1);
                ticket.work.break_off();
                self.leave();
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
}
