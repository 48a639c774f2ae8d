//! Lets targets through to the engine, or counts why not: courtesy, duplicates, limits, order.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crossbeam::channel::Sender;
use pathspider_plugin_api::{Job, Record};
use tokio::sync::mpsc;

use super::courtesy::{Courtesy, Refusal};
use super::done::{Done, Identity};
use super::extent::Extent;
use super::feeder::Feeding;
use super::seen::Seen;
use super::shuffle::Shuffle;
use super::target::{Place, Target};
use pathspider_runtime::say;
use pathspider_runtime::text::of;

/// The target of a job that has a name only.
const UNSPECIFIED: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// Which targets are measured, and in which order.
#[derive(Default)]
pub struct Rules {
    /// Whether names are looked up.
    pub resolve: bool,
    /// Whether a target may come several times.
    pub duplicates: bool,
    /// Who is not to be measured.
    pub courtesy: Arc<Courtesy>,
    /// How many at most.
    pub max_targets: Option<u64>,
    /// The seed of a random order; `None` for the input's.
    pub shuffle: Option<u64>,
}

/// What is counted of the input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines that were no targets, and names that have no address.
    pub bad_lines: u64,
    /// Targets that came before.
    pub duplicates: u64,
    /// Targets on a blocklist.
    pub blocklisted: u64,
    /// Special-purpose addresses.
    pub special: u64,
    /// Targets that the run before, which this one goes on after, has measured.
    pub done: u64,
    /// Whether the limit of targets was reached.
    pub limited: bool,
    /// Targets that were read and are still held here: for the order's sake, or because their names
    /// are being looked up.
    pub held: u64,
    /// Targets in all; `None` before that is known.
    pub total: Option<u64>,
    /// Targets in all, by the part of the input that was read.
    pub estimate: Option<u64>,
}

impl Counts {
    /// The counts, each with what it says after a number.
    pub fn told(&self) -> [(u64, &'static str); 5] {
        [
            (self.bad_lines, of(self.bad_lines, "line was not a job", "lines were not jobs")),
            (self.duplicates, of(self.duplicates, "duplicate skipped", "duplicates skipped")),
            (self.blocklisted, "skipped for the blocklist"),
            (
                self.special,
                "skipped for their special-purpose address (--allow-special measures them)",
            ),
            (self.done, "measured before"),
        ]
    }
}

/// The counts as they grow.
#[derive(Debug, Default)]
pub(super) struct Tally {
    bad_lines: AtomicU64,
    duplicates: AtomicU64,
    blocklisted: AtomicU64,
    special: AtomicU64,
    done: AtomicU64,
    limited: AtomicBool,
    admitted: AtomicU64,
    /// How many of them the engine was given.
    handed: AtomicU64,
    /// Names that have no answer yet.
    looked_up: AtomicU64,
    ended: AtomicBool,
    extent: Option<Extent>,
}

impl Tally {
    pub(super) fn new(extent: Option<Extent>) -> Tally {
        Tally { extent, ..Tally::default() }
    }

    pub(super) fn counts(&self) -> Counts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        // In this order, for none is handed before it is admitted.
        let handed = read(&self.handed);
        Counts {
            bad_lines: read(&self.bad_lines),
            duplicates: read(&self.duplicates),
            blocklisted: read(&self.blocklisted),
            special: read(&self.special),
            done: read(&self.done),
            limited: self.limited.load(Ordering::Relaxed),
            held: read(&self.admitted).saturating_sub(handed) + read(&self.looked_up),
            total: self.ended.load(Ordering::Acquire).then(|| read(&self.admitted)),
            estimate: self.extent.as_ref().and_then(|extent| extent.estimate(read(&self.admitted))),
        }
    }

    /// No more targets will be admitted.
    pub(super) fn ended(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// A name is looked up.
    pub(super) fn asked(&self) {
        self.looked_up.fetch_add(1, Ordering::Relaxed);
    }

    /// What came of it was dealt with.
    pub(super) fn answered(&self) {
        self.looked_up.fetch_sub(1, Ordering::Relaxed);
    }

    /// Tells and counts a line that is no target.
    pub(super) fn bad_line(&self, input: &str, line: u64, reason: &str) {
        self.bad_lines.fetch_add(1, Ordering::Relaxed);
        say!("{input}:{line}: not a job: {reason}");
    }
}

/// What the gate's targets are for.
pub(super) struct Onward {
    /// To the engine.
    pub(super) jobs: mpsc::Sender<Job>,
    /// Taken for each job, freed when its record is written.
    pub(super) places: Sender<()>,
}

/// The gate.
pub(super) struct Gate {
    courtesy: Arc<Courtesy>,
    seen: Option<Seen>,
    most: Option<u64>,
    left: Option<u64>,
    shuffle: Option<Shuffle>,
    /// `None` once no more are wanted, so that the engine sees the input's end.
    onward: Option<Onward>,
    /// What a run before has measured.
    done: Option<Done>,
    /// The port of targets that name none.
    port: u16,
    /// Whether targets are told apart by their names.
    names: bool,
    tally: Arc<Tally>,
}

impl Gate {
    pub(super) fn new(feeding: Feeding, onward: Onward, tally: Arc<Tally>) -> Gate {
        let Feeding { rules, names, port, done, .. } = feeding;
        let before = done.as_ref().map_or(0, Done::count);
        let left = rules.max_targets.map(|most| most.saturating_sub(before));
        Gate {
            courtesy: rules.courtesy,
            seen: (!rules.duplicates).then(Seen::default),
            most: left,
            left,
            shuffle: rules.shuffle.map(Shuffle::new),
            onward: Some(onward),
            done,
            port,
            names,
            tally,
        }
    }

    /// Takes a target that is to be measured; one with a name is for a measurement that takes
    /// names. `false` when no more can be taken.
    pub(super) fn admit(&mut self, line: u64, target: Target) -> bool {
        let port = target.port.unwrap_or(self.port);
        let address = match target.place {
            Place::Address(address) => Some(address),
            Place::Name(_) => None,
        };
        if let Some(refusal) = address.and_then(|address| self.courtesy.refuses(address)) {
            let count = match refusal {
                Refusal::Blocklist => &self.tally.blocklisted,
                Refusal::Special => &self.tally.special,
            };
            count.fetch_add(1, Ordering::Relaxed);
            return true;
        }
        let name = target.record.str("domain").filter(|name| self.names && !name.is_empty());
        let is_done = self.done.as_ref().is_some_and(|done| {
            let domain = target.record.str("domain").map(str::to_owned);
            // As its record says.
            let port = address.map(|_| port).or(target.port);
            let identity = Identity { line, address, port, domain };
            let is_done = done.has(&identity, name);
            // By its line too, which of several that are one target was measured: which of them
            // came first may depend on when names were answered.
            if let Some(shuffle) = self.shuffle.as_mut().filter(|_| is_done)
                && done.has_line(line, port, identity.domain.as_deref())
            {
                shuffle.hold_place(line);
            }
            is_done
        });
        let is_new = self.seen.as_mut().is_none_or(|seen| match (name, address) {
            (Some(name), _) => seen.is_new_name(name),
            (None, Some(address)) => seen.is_new(address, port),
            (None, None) => true,
        });
        if !is_new {
            self.tally.duplicates.fetch_add(1, Ordering::Relaxed);
            return true;
        }
        if is_done {
            self.tally.done.fetch_add(1, Ordering::Relaxed);
            return true;
        }
        if self.left == Some(0) {
            // The run before had measured as many as there were to be.
            self.close();
            return false;
        }
        if self.most.is_none_or(|most| self.tally.admitted.load(Ordering::Relaxed) < most) {
            self.tally.admitted.fetch_add(1, Ordering::Relaxed);
        }
        match &mut self.shuffle {
            Some(shuffle) => {
                shuffle.hold(line, address, port, &target.record);
                true
            }
            None => self.send(line, address, port, target.record),
        }
    }

    /// The input has come to its end: gives what was held back.
    pub(super) fn finish(&mut self) {
        let Some(shuffle) = &mut self.shuffle else { return };
        for (line, address, port, record) in shuffle.take() {
            if !self.send(line, address, port, record) {
                break;
            }
        }
    }

    /// Whether the target of a line, a name that is to be looked up, was measured before; then it is
    /// counted, and has its place in the order.
    pub(super) fn is_done(&mut self, line: u64, port: Option<u16>, domain: &str) -> bool {
        let port = Some(port.unwrap_or(self.port));
        let done = self.done.as_ref().is_some_and(|done| done.has_line(line, port, Some(domain)));
        if done {
            self.tally.done.fetch_add(1, Ordering::Relaxed);
            self.shuffle.iter_mut().for_each(|shuffle| shuffle.hold_place(line));
        }
        done
    }

    fn send(&mut self, line: u64, address: Option<IpAddr>, port: u16, record: Record) -> bool {
        let Some(onward) = &self.onward else { return false };
        // The first line's is 0.
        let number = line.saturating_sub(1);
        let job = Job::new(number, address.unwrap_or(UNSPECIFIED), port, record);
        self.left = self.left.map(|left| left - 1);
        let sent = onward.places.send(()).is_ok() && onward.jobs.blocking_send(job).is_ok();
        if sent {
            self.tally.handed.fetch_add(1, Ordering::Relaxed);
        }
        if self.left == Some(0) {
            self.close();
        }
        sent && self.onward.is_some()
    }

    /// The limit is reached.
    fn close(&mut self) {
        self.tally.limited.store(true, Ordering::Relaxed);
        self.tally.ended();
        self.onward = None;
    }
}

#[cfg(test)]
mod tests;
