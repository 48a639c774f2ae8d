//! The feeder's thread: reads targets, has names looked up, and hands them to the engine, as fast
//! as it takes them.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam::channel::Sender;
use tokio::sync::mpsc;

use super::fed::Fed;
use super::gate::{Gate, Onward, Rest};
use super::lines::ReadError;
use super::place::Place;
use super::reader::JobReader;
use super::resolve::{Found, Resolver, Which};
use super::rules::Feeding;
use super::seen::Seen;
use super::tally::{Counts, Tally};
use super::target::Target;
use super::wrong::{Piece, Wrong};
use crate::rounds::{self, Turn};
use pathspider_observer::Round;
use pathspider_runtime::patience::LAST_WORDS;
use pathspider_runtime::say;
use pathspider_runtime::stop::{Stop, Urgency};
use pathspider_runtime::threads::Threads;

/// How often it is looked whether the feeder has ended.
const LOOK: Duration = Duration::from_millis(1);

/// How often it is looked between two rounds whether the run goes on.
const WHILE_WAITING: Duration = Duration::from_millis(20);

/// What the feeder has done so far; shared, because it may still wait for input when a run ends.
#[derive(Clone)]
pub struct Feed(Arc<Sorter>);

impl Feed {
    /// What was counted until now.
    pub fn counts(&self) -> Counts {
        self.0.tally.counts()
    }

    /// Says what was not said of lines that are no targets: the feeder does so itself, unless it still
    /// waits for input when the run ends.
    pub(crate) fn say_rest(&self) {
        self.0.tally.say_rest(&self.0.input);
    }

    /// Takes nothing more of the input, and gives what was counted. A line is counted once and
    /// wholly, or it was not read. To be called when nobody takes jobs any more.
    ///
    /// Of a file it is soon known how many lines were not read; the feeder has a moment for that.
    pub fn close(&self, feeder: &Feeder) -> Counts {
        let began = Instant::now();
        while self.0.tally.is_file()
            && !feeder.is_finished()
            && self.0.stop.urgency() != Urgency::Terminate
            && began.elapsed() < LAST_WORDS
        {
            thread::sleep(LOOK);
        }
        self.0.close();
        self.counts()
    }
}

/// The feeder's thread; it gives the reason why the input cannot be read further.
pub type Feeder = JoinHandle<Result<(), ReadError>>;

/// Starts the feeder. It ends at the input's end, when the run stops, or when the engine is gone.
///
/// Each job takes a place in `places` before it goes to the engine; the merger frees the place
/// when the job's record is written. So the number of unfinished jobs, and with it the memory, is
/// bounded however far the observer lags behind the engine.
///
/// # Errors
///
/// The thread cannot be started.
pub fn feed(
    threads: Threads,
    reader: JobReader,
    feeding: Feeding,
    (jobs, places): (mpsc::Sender<Fed>, Sender<()>),
    stop: Arc<Stop>,
) -> io::Result<(Feed, Feeder)> {
    let schedule = feeding.standings.as_ref().map(|standings| *standings.schedule());
    let tally = Arc::new(Tally::new(reader.extent(), schedule));
    let (names, interface) = (feeding.names, feeding.interface.clone());
    let resolves = feeding.rules.resolve && !names;
    let pairs = feeding.rules.both_families;
    let gate = Mutex::new(Some(Gate::new(feeding, Onward { jobs, places }, Arc::clone(&tally))));
    let input = reader.name().to_owned();
    let sorter = Arc::new(Sorter { gate, tally, input, names, pairs, stop });
    let feed = Feed(Arc::clone(&sorter));
    let thread = threads.start("feeder", move || {
        // With the gate goes the engine's last sender, also where this thread panics.
        let _closes = Closes(&sorter);
        let answered = Arc::clone(&sorter);
        let resolver = resolves.then(|| {
            let which = if pairs { Which::OfEachFamily } else { Which::First };
            Resolver::new(interface.as_deref(), which, move |(line, target), answer| {
                answered.answered(line, target, answer);
            })
        });
        sorter.read(reader, resolver)
    })?;
    Ok((feed, thread))
}

/// Sorts targets: to the gate, to the resolver, or out.
struct Sorter {
    /// Of the feeder and of the resolver's threads. All that is counted is counted by whoever has
    /// it; `None` when no more is.
    gate: Mutex<Option<Gate>>,
    tally: Arc<Tally>,
    input: String,
    /// Whether the measurement takes names.
    names: bool,
    /// Whether a name may be two targets.
    pairs: bool,
    stop: Arc<Stop>,
}

/// Closes the gate, whatever happens.
struct Closes<'a>(&'a Sorter);

impl Drop for Closes<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What became of a line.
enum Sorted {
    /// It was dealt with.
    Done,
    /// It is no target, for this reason.
    Bad(Wrong),
    /// This name is to be looked up.
    Name(String, Target),
    /// It was dealt with, and no more can be taken.
    Last,
    /// It came too late: it counts as one that was not read.
    Late,
}

impl Sorter {
    fn read(
        &self,
        mut reader: JobReader,
        mut resolver: Option<Resolver<(u64, Target)>>,
    ) -> Result<(), ReadError> {
        let (mut end, mut is_whole, mut late) = (Ok(()), false, 0);
        while !self.is_done() {
            let (line, target) = match reader.next() {
                Ok(Some(next)) => next,
                Ok(None) => {
                    is_whole = true;
                    break;
                }
                Err(error) => {
                    end = Err(error);
                    break;
                }
            };
            match self.sort(line, target, resolver.is_some()) {
                Sorted::Done => {}
                Sorted::Bad(wrong) => self.tally.complain(&self.input, line, &wrong),
                Sorted::Name(name, target) => {
                    let looked_up = resolver.as_mut().map_or(Ok(()), |resolver| {
                        resolver.look_up(name, (line, target), || self.is_done())
                    });
                    if let Err(error) = looked_up {
                        end = Err(self.fail(error));
                        break;
                    }
                }
                Sorted::Last => break,
                Sorted::Late => {
                    late = 1;
                    break;
                }
            }
        }
        if let Some(resolver) = resolver {
            resolver.finish(|| self.is_done());
        }
        self.tally.say_rest(&self.input);
        if is_whole && !self.is_done() && self.tally.is_without_targets() {
            self.say_nothing_found(reader.lines());
        }
        if let Some(gate) = self.gate().as_mut() {
            if !self.is_done() {
                gate.finish();
            }
            if is_whole {
                gate.all_was_read();
            }
            if let Some(error) = gate.take_failure() {
                end = Err(self.fail(error));
            }
        }
        let is_limited = self.tally.is_limited();
        if end.is_ok() && (is_whole || is_limited) {
            end = self.repeat();
        }
        if !is_whole && !is_limited && end.is_ok() && self.stop.is_asked() && self.tally.is_file() {
            let is_over = || self.stop.urgency() == Urgency::Terminate;
            if let Some(rest) = reader.count_rest(is_over) {
                self.tally.unread(late + rest);
            }
        }
        end
    }

    /// Gives the targets of the rounds after the first one, each when the former is over.
    fn repeat(&self) -> Result<(), ReadError> {
        let rest = self.gate().as_mut().map_or(Ok(None), Gate::rest);
        if let Some(rest) = rest.map_err(|error| self.fail(error))? {
            for round in rest.rounds() {
                if !rest.wait(|| self.is_over()) {
                    return Ok(());
                }
                let begun = self.gate().as_mut().map(|gate| gate.begin_round(&rest, round));
                let Some(wanted) = begun else { return Ok(()) };
                let Some(places) = wanted else { break };
                if !places.is_empty() && !self.go_round(&rest, round, places)? {
                    return Ok(());
                }
            }
        }
        self.tally.rounds_are_over();
        Ok(())
    }

    /// Gives the targets of a round; `false` where the run is over before.
    fn go_round(
        &self,
        rest: &Rest,
        round: Round,
        places: Vec<rounds::Place>,
    ) -> Result<bool, ReadError> {
        let ended = Instant::now();
        while ended.elapsed() < rest.interval() {
            if self.is_over() {
                return Ok(false);
            }
            thread::sleep(rest.interval().saturating_sub(ended.elapsed()).min(WHILE_WAITING));
        }
        self.tally.round_begins(round);
        let mut met = Seen::default();
        for place in places {
            let target = rest.read(place).map_err(|error| self.fail(error))?;
            // Once a round, for an address may be the target of several ports.
            let forgets = target.address.is_some_and(|address| met.is_new(address, 0));
            let mut gate = self.gate();
            let gate = gate.as_mut().filter(|_| !self.stop.is_asked());
            if !gate.is_some_and(|gate| gate.send_again(target, Turn { round, place, forgets })) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether nobody takes targets any more.
    fn is_over(&self) -> bool {
        self.stop.is_asked() || self.gate().as_ref().is_none_or(Gate::is_closed)
    }

    fn fail(&self, error: io::Error) -> ReadError {
        ReadError { input: self.input.clone(), error }
    }

    /// Takes nothing more: whoever counts has the gate, and what comes after this finds none.
    fn close(&self) {
        drop(self.gate().take());
    }

    /// Says that an input has no target.
    fn say_nothing_found(&self, lines: u64) {
        let input = &self.input;
        match (lines, self.tally.counts().bad_lines) {
            (0, _) => say!("{input} is empty: there is nothing to measure"),
            (_, 0) => say!("{input} has no targets, only blank lines, comments or a header"),
            (lines, bad) if bad == lines => say!("{input} has no targets: no line of it is one"),
            (lines, bad) => say!("{input} has no targets: {bad} of its {lines} lines are wrong"),
        }
    }

    /// Whether targets that are still to be read or looked up are of no use.
    fn is_done(&self) -> bool {
        self.stop.is_asked() || self.tally.is_limited()
    }

    fn gate(&self) -> MutexGuard<'_, Option<Gate>> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what a line is.
    fn sort(&self, line: u64, target: Result<Target, Wrong>, resolves: bool) -> Sorted {
        let mut gate = self.gate();
        let Some(gate) = gate.as_mut().filter(|_| !self.is_done()) else { return Sorted::Late };
        gate.read(line);
        let mut target = match target {
            Ok(target) => target,
            Err(wrong) => {
                gate.bad_line();
                return Sorted::Bad(wrong);
            }
        };
        if gate.is_elsewhere(&target) {
            return Sorted::Done;
        }
        match &target.place {
            Place::Name(name) if resolves => {
                let name = name.clone();
                let domain = target.record.str("domain").filter(|domain| !domain.is_empty());
                if !self.pairs && gate.is_done(line, target.port, domain.unwrap_or(&name)) {
                    return Sorted::Done;
                }
                gate.asked();
                Sorted::Name(name, target)
            }
            Place::Name(name) if !self.names => {
                gate.bad_line();
                Sorted::Bad(Wrong::Name(Piece::of(name)))
            }
            _ => {
                target.unresolved();
                let number = self.number(line, 0);
                if gate.admit(number, target) { Sorted::Done } else { Sorted::Last }
            }
        }
    }

    /// The number of a line's target: where a line may be two targets, each has its own.
    fn number(&self, line: u64, place: u64) -> u64 {
        if self.pairs { 2 * line - 1 + place } else { line }
    }

    /// Goes on with a name that was looked up. One that is answered too late counts as read, and not
    /// begun.
    fn answered(&self, line: u64, target: Target, answer: Result<Found, Wrong>) {
        let mut gate = self.gate();
        let Some(open) = gate.as_mut().filter(|_| !self.is_done()) else { return };
        open.answered();
        match answer {
            Ok(Found { addresses, unreachable }) => {
                for (place, address) in (0..).zip(addresses) {
                    let mut target = target.clone();
                    target.resolved(address);
                    open.admit(self.number(line, place), target);
                }
                drop(gate);
                if let Some(address) = unreachable {
                    let input = &self.input;
                    say!("{input}:{line}: {address} is not measured, for there is no route to it");
                }
            }
            Err(wrong) => {
                open.bad_line();
                // The gate is released first, for the reader of messages may pause.
                drop(gate);
                self.tally.complain(&self.input, line, &wrong);
            }
        }
    }
}

#[cfg(test)]
mod tests;
