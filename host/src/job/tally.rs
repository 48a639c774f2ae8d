//! What is counted of the input, as it is read.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::complaints::Complaints;
use super::extent::Extent;
use super::wrong::Wrong;
use crate::rounds::Schedule;
use pathspider_observer::Round;
use pathspider_runtime::say;
use pathspider_runtime::text::of;

/// What is counted of the input, by its keys in the metadata. How far it has been read is none of
/// them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// The line that was read last; of a row in several lines, the first of them.
    pub lines: u64,
    /// Whether the input was read to its end.
    pub whole: bool,
    /// Lines after it that were not read when the run was told to stop; `None` where nobody knows.
    pub unread: Option<u64>,
    /// Lines that were no targets, and names that have no address.
    pub bad_lines: u64,
    /// Targets that came before.
    pub duplicates: u64,
    /// Targets on a blocklist.
    pub blocklisted: u64,
    /// Special-purpose addresses.
    pub special: u64,
    /// Targets that other hosts measure.
    pub elsewhere: u64,
    /// Targets that the run before, which this one goes on after, has measured.
    #[serde(rename = "measured_before")]
    pub done: u64,
    /// Rounds that were begun.
    pub rounds: u64,
    /// Whether rounds that were asked for were not begun, or not to their end.
    #[serde(skip)]
    pub rounds_left: bool,
    /// How many rounds there are at the least, where targets are measured in rounds.
    #[serde(skip)]
    pub of_rounds: Option<u64>,
    /// Whether the limit of targets was reached.
    #[serde(skip)]
    pub limited: bool,
    /// Targets that were read and are kept back: for the order's sake, or because their names are
    /// being looked up. Where the limit was reached, none of them is wanted.
    #[serde(skip)]
    pub kept_back: u64,
    /// Targets that the engine was given.
    #[serde(skip)]
    pub handed: u64,
    /// Targets in all; `None` before that is known.
    #[serde(skip)]
    pub total: Option<u64>,
    /// Targets in all, by the part of the input that was read.
    #[serde(skip)]
    pub estimate: Option<u64>,
}

const SPECIAL: &str = "skipped for its special-purpose address (--allow-special measures it)";
const SPECIALS: &str = "skipped for their special-purpose address (--allow-special measures them)";

impl Counts {
    /// Why targets were left out that somebody named.
    pub fn refused(&self) -> impl Iterator<Item = String> {
        let special = of(self.special, SPECIAL, SPECIALS);
        let all = [(self.blocklisted, "skipped for the blocklist"), (self.special, special)];
        all.into_iter().filter(|(count, _)| *count > 0).map(|(count, why)| {
            let noun = of(count, "target", "targets");
            format!("{count} {noun} {why}")
        })
    }

    /// The counts, each with what it says after a number.
    pub fn told(&self) -> [(u64, &'static str); 7] {
        // Each by its name, so that a new one is not forgotten here.
        let Counts {
            lines: _,
            whole: _,
            unread,
            bad_lines,
            duplicates,
            blocklisted,
            special,
            elsewhere,
            done,
            rounds: _,
            rounds_left: _,
            of_rounds: _,
            limited: _,
            kept_back: _,
            handed: _,
            total: _,
            estimate: _,
        } = *self;
        let unread = unread.unwrap_or_default();
        [
            (unread, of(unread, "line not read", "lines not read")),
            (bad_lines, of(bad_lines, "line was not a job", "lines were not jobs")),
            (duplicates, of(duplicates, "duplicate skipped", "duplicates skipped")),
            (blocklisted, "skipped for the blocklist"),
            (special, of(special, SPECIAL, SPECIALS)),
            (elsewhere, "in other shards"),
            (done, "measured before"),
        ]
    }
}

/// The counts as they grow.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) lines: AtomicU64,
    pub(super) whole: AtomicBool,
    unread: OnceLock<u64>,
    pub(super) bad_lines: AtomicU64,
    pub(super) duplicates: AtomicU64,
    pub(super) blocklisted: AtomicU64,
    pub(super) special: AtomicU64,
    pub(super) elsewhere: AtomicU64,
    pub(super) done: AtomicU64,
    pub(super) limited: AtomicBool,
    pub(super) admitted: AtomicU64,
    /// How many of them the engine was given.
    pub(super) handed: AtomicU64,
    /// Names that have no answer yet.
    pub(super) looked_up: AtomicU64,
    ended: AtomicBool,
    schedule: Option<Schedule>,
    /// The number of the last round that was begun, from 0.
    round: AtomicU32,
    /// Whether `admitted` counts targets in all rounds, as far as they are known.
    counts_all_rounds: AtomicBool,
    are_rounds_over: AtomicBool,
    extent: Option<Extent>,
    complaints: Mutex<Complaints>,
}

impl Tally {
    pub(super) fn new(extent: Option<Extent>, schedule: Option<Schedule>) -> Tally {
        Tally { extent, schedule, ..Tally::default() }
    }

    pub(super) fn counts(&self) -> Counts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        // In this order, for none is handed before it is admitted.
        let handed = read(&self.handed);
        let limited = self.is_limited();
        // Where the limit was reached, names that are looked up are not wanted.
        let looked_up = if limited { 0 } else { read(&self.looked_up) };
        let admitted = read(&self.admitted);
        let waiting = admitted.saturating_sub(handed);
        let waiting = if limited && self.schedule.is_none() { 0 } else { waiting };
        let known = |flag: &AtomicBool| flag.load(Ordering::Acquire);
        let repeat: u64 = match self.schedule {
            Some(schedule) if !known(&self.counts_all_rounds) => schedule.repeat.into(),
            _ => 1,
        };
        let rounds = self.round.load(Ordering::Relaxed) + 1;
        let estimate = self.extent.as_ref().and_then(|extent| extent.estimate(admitted));
        Counts {
            lines: read(&self.lines),
            whole: self.whole.load(Ordering::Relaxed),
            unread: self.unread.get().copied(),
            bad_lines: read(&self.bad_lines),
            duplicates: read(&self.duplicates),
            blocklisted: read(&self.blocklisted),
            special: read(&self.special),
            elsewhere: read(&self.elsewhere),
            done: read(&self.done),
            rounds: rounds.into(),
            rounds_left: self.schedule.is_some() && !known(&self.are_rounds_over),
            of_rounds: self.schedule.map(|schedule| rounds.max(schedule.repeat.into()).into()),
            limited,
            kept_back: waiting + looked_up,
            handed,
            total: known(&self.ended).then_some(admitted * repeat),
            estimate: estimate.map(|estimate| estimate * repeat),
        }
    }

    /// Whether no line was a target so far, for whichever reason it would not be measured.
    pub(super) fn is_without_targets(&self) -> bool {
        let targets = [
            &self.admitted,
            &self.duplicates,
            &self.blocklisted,
            &self.special,
            &self.elsewhere,
            &self.done,
        ];
        targets.into_iter().all(|count| count.load(Ordering::Relaxed) == 0)
    }

    /// No more targets will be admitted.
    pub(super) fn ended(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// From now on, targets are counted as admitted once for each round that is known to come.
    pub(super) fn all_rounds_are_counted(&self) {
        self.counts_all_rounds.store(true, Ordering::Release);
    }

    /// A round begins.
    pub(super) fn round_begins(&self, round: Round) {
        self.round.store(round.number(), Ordering::Relaxed);
    }

    /// Every target of every round was handed on.
    pub(super) fn rounds_are_over(&self) {
        self.are_rounds_over.store(true, Ordering::Release);
    }

    /// Whether the input is a file, so that reading it waits for nobody.
    pub(super) fn is_file(&self) -> bool {
        self.extent.is_some()
    }

    /// So many lines were not read.
    pub(super) fn unread(&self, lines: u64) {
        let _ = self.unread.set(lines);
    }

    /// Says that a line is no target, unless others like it were said.
    pub(super) fn complain(&self, input: &str, line: u64, wrong: &Wrong) {
        if let Some(message) = self.complaints().hear(input, line, wrong) {
            say!("{message}");
        }
    }

    /// Says what was not said of lines that are no targets.
    pub(super) fn say_rest(&self, input: &str) {
        for message in self.complaints().rest(input) {
            say!("{message}");
        }
    }

    fn complaints(&self) -> MutexGuard<'_, Complaints> {
        // Numbers and texts only: no panic can leave them half-written.
        self.complaints.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the limit of targets was reached.
    pub(super) fn is_limited(&self) -> bool {
        self.limited.load(Ordering::Relaxed)
    }
}
