//! What engine and observer send to the merger, one message after the other.
//!
//! Waking a thread costs as much as some messages do. So when the merger has taken all that was there, it
//! looks again after a moment. Only when nothing came meanwhile does it wait to be woken.

use std::thread;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvError, TryRecvError, never};
use pathspider_observer::Observation;

use crate::engine::Report;

/// How long messages gather. It is little beside the time that late packets are waited for.
const MOMENT: Duration = Duration::from_millis(1);

/// What came.
pub(super) enum Came {
    /// A word of the engine.
    Report(Report),
    /// An answer of the observer.
    Observation(Observation),
    /// The engine says no more.
    EngineEnded,
    /// The observer says no more.
    ObserverEnded,
}

/// Both ends of the channels, for as long as something may come.
pub(super) struct Inbox {
    pub(super) reports: Receiver<Report>,
    pub(super) observations: Receiver<Observation>,
    /// How many of the two may still send.
    senders: u8,
    /// Whose turn it is.
    observer_is_next: bool,
    /// Whether something came since the last pause.
    was_busy: bool,
}

impl Inbox {
    pub(super) fn new(reports: Receiver<Report>, observations: Receiver<Observation>) -> Inbox {
        Inbox { reports, observations, senders: 2, observer_is_next: false, was_busy: false }
    }

    /// Whether something may come.
    pub(super) fn is_open(&self) -> bool {
        self.senders > 0
    }

    /// Takes a message that is there, of both in turn.
    pub(super) fn take(&mut self) -> Option<Came> {
        self.observer_is_next = !self.observer_is_next;
        let came = if self.observer_is_next {
            self.observation().or_else(|| self.report())
        } else {
            self.report().or_else(|| self.observation())
        };
        self.was_busy |= came.is_some();
        came
    }

    /// Lets messages gather where some have come: there may be more.
    pub(super) fn pause(&mut self) {
        if std::mem::take(&mut self.was_busy) {
            thread::sleep(MOMENT);
        }
    }

    /// Takes what was received from the engine.
    pub(super) fn reported(&mut self, report: Result<Report, RecvError>) -> Came {
        self.was_busy = true;
        match report {
            Ok(report) => Came::Report(report),
            Err(RecvError) => self.engine_ended(),
        }
    }

    /// Takes what was received from the observer.
    pub(super) fn observed(&mut self, observation: Result<Observation, RecvError>) -> Came {
        self.was_busy = true;
        match observation {
            Ok(observation) => Came::Observation(observation),
            Err(RecvError) => self.observer_ended(),
        }
    }

    fn report(&mut self) -> Option<Came> {
        match self.reports.try_recv() {
            Ok(report) => Some(Came::Report(report)),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(self.engine_ended()),
        }
    }

    fn observation(&mut self) -> Option<Came> {
        match self.observations.try_recv() {
            Ok(observation) => Some(Came::Observation(observation)),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(self.observer_ended()),
        }
    }

    fn engine_ended(&mut self) -> Came {
        (self.reports, self.senders) = (never(), self.senders - 1);
        Came::EngineEnded
    }

    fn observer_ended(&mut self) -> Came {
        (self.observations, self.senders) = (never(), self.senders - 1);
        Came::ObserverEnded
    }
}

#[cfg(test)]
mod tests {
    use crossbeam::channel::unbounded;
    use pathspider_observer::{JobNumber, Round, Visit};
    use pathspider_plugin_api::ConfigId;

    use super::*;

    fn observation(job: u64) -> Observation {
        let visit = Visit::new(JobNumber::new(job), Round::FIRST);
        Observation::nothing(visit.connection(ConfigId::BASELINE))
    }

    #[test]
    fn each_end_is_said_once_and_after_all_that_was_sent() {
        let (report, reports) = unbounded();
        let (observe, observations) = unbounded();
        let mut inbox = Inbox::new(reports, observations);
        assert!(inbox.take().is_none());
        (0..2).for_each(|job| observe.send(observation(job)).unwrap());
        drop((report, observe));
        let mut order = Vec::new();
        while let Some(came) = inbox.take() {
            order.push(match came {
                Came::Report(_) => 'r',
                Came::Observation(_) => 'o',
                Came::EngineEnded => 'E',
                Came::ObserverEnded => 'O',
            });
        }
        // The engine has its turn between two answers of the observer.
        assert_eq!(String::from_iter(order), "EooO");
        assert!(!inbox.is_open() && inbox.take().is_none());
    }
}
