//! The stage: takes what the merger asks, and answers each question once.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender};
use pathspider_locate::{CourseId, Location, Settings};
use pathspider_runtime::say;
use pathspider_runtime::stop::{Stop, Urgency};

use super::wire::{Driver, Wire};
use super::{LOOK, Locating, Wanted};

/// What is to be located of a job.
pub(crate) struct Ask {
    /// Told with the answer.
    pub(crate) ticket: u64,
    /// One after the other, for all go to one target.
    pub(crate) wanted: Vec<Wanted>,
}

/// What was found.
pub(crate) struct Found {
    pub(crate) ticket: u64,
    /// Of each that was wanted, until the run was told to end at once.
    pub(crate) located: Vec<(Wanted, Location)>,
    /// Whether some are missing.
    pub(crate) is_cut_off: bool,
    /// Packets that were sent, those for what is missing among them.
    pub(crate) packets: u64,
    /// Of these, probes that came to the target, or may have.
    pub(crate) at_target: u64,
}

impl Found {
    /// Where nothing was searched for.
    pub(crate) fn nothing(is_cut_off: bool) -> Found {
        Found { ticket: 0, located: Vec::new(), is_cut_off, packets: 0, at_target: 0 }
    }
}

/// The stage.
pub(crate) struct Stage {
    driver: Driver,
    settings: Settings,
    asked: Receiver<Ask>,
    found: Sender<Found>,
    stop: Arc<Stop>,
    jobs: HashMap<u64, Job>,
    /// Jobs whose target another search goes to.
    waiting: VecDeque<u64>,
    busy: HashSet<SocketAddr>,
    has_failed: bool,
}

struct Job {
    rest: VecDeque<Wanted>,
    current: Option<Wanted>,
    located: Vec<(Wanted, Location)>,
    packets: u64,
    at_target: u64,
}

impl Job {
    fn count(&mut self, location: &Location) {
        self.packets += u64::from(location.sent);
        self.at_target += u64::from(location.at_target);
    }
}

impl Stage {
    pub(crate) fn new(
        wire: Wire,
        Locating { rate, settings, .. }: Locating,
        (asked, found): (Receiver<Ask>, Sender<Found>),
        stop: Arc<Stop>,
    ) -> Stage {
        Stage {
            driver: Driver::new(wire, rate),
            settings,
            asked,
            found,
            stop,
            jobs: HashMap::new(),
            waiting: VecDeque::new(),
            busy: HashSet::new(),
            has_failed: false,
        }
    }

    /// Runs until nobody asks any more.
    pub(crate) fn run(mut self) {
        loop {
            let is_over = if self.driver.is_idle() && self.jobs.is_empty() {
                match self.asked.recv_timeout(LOOK) {
                    Ok(ask) => {
                        self.take(ask);
                        false
                    }
                    Err(RecvTimeoutError::Timeout) => false,
                    Err(RecvTimeoutError::Disconnected) => true,
                }
            } else {
                false
            };
            if is_over {
                return;
            }
            while let Ok(ask) = self.asked.try_recv() {
                self.take(ask);
            }
            if self.stop.urgency() == Urgency::Terminate {
                self.cut_off();
                continue;
            }
            match self.driver.turn() {
                // A packet that cannot be sent is one that nobody answers.
                Ok(turned) => {
                    turned.ended.into_iter().for_each(|(id, found)| self.ended(id, found));
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.has_failed, true) {
                        say!(
                            "the capture of what answers --locate failed ({error}): no more is located"
                        );
                    }
                    self.cut_off();
                }
            }
        }
    }

    fn take(&mut self, Ask { ticket, wanted }: Ask) {
        let (rest, located) = (wanted.into(), Vec::new());
        let job = Job { rest, current: None, located, packets: 0, at_target: 0 };
        self.jobs.insert(ticket, job);
        self.go_on(ticket);
    }

    /// Begins the next search of a job, or answers.
    fn go_on(&mut self, ticket: CourseId) {
        loop {
            let Some(job) = self.jobs.get_mut(&ticket) else { return };
            let Some(next) = job.rest.front() else { return self.answer(ticket, false) };
            let remote = next.subject.marked.remote();
            if self.busy.contains(&remote) {
                self.waiting.push_back(ticket);
                return;
            }
            let Some(next) = job.rest.pop_front() else { return };
            let begun = self.driver.begin(ticket, next.subject.clone(), self.settings);
            // Where no way leads there any more, the rest is answered.
            if begun.is_ok() {
                job.current = Some(next);
                self.busy.insert(remote);
                return;
            }
        }
    }

    fn ended(&mut self, ticket: CourseId, location: Location) {
        let Some(job) = self.jobs.get_mut(&ticket) else { return };
        job.count(&location);
        if let Some(wanted) = job.current.take() {
            self.busy.remove(&wanted.subject.marked.remote());
            job.located.push((wanted, location));
        }
        self.go_on(ticket);
        let waiting = std::mem::take(&mut self.waiting);
        waiting.into_iter().for_each(|ticket| self.go_on(ticket));
    }

    fn answer(&mut self, ticket: u64, is_cut_off: bool) {
        if let Some(job) = self.jobs.remove(&ticket) {
            // The merger is gone where an output failed.
            let Job { located, packets, at_target, .. } = job;
            let _ = self.found.send(Found { ticket, located, is_cut_off, packets, at_target });
        }
    }

    /// Answers all that is under way with what is known.
    fn cut_off(&mut self) {
        for (ticket, location) in self.driver.give_up() {
            if let Some(job) = self.jobs.get_mut(&ticket) {
                job.count(&location);
            }
        }
        self.waiting.clear();
        self.busy.clear();
        let tickets: Vec<u64> = self.jobs.keys().copied().collect();
        tickets.into_iter().for_each(|ticket| self.answer(ticket, true));
        if let Ok(ask) = self.asked.recv_timeout(LOOK) {
            self.take(ask);
        }
    }
}
