//! The feeder's thread: reads targets, has names looked up, and hands them to the engine, as fast
//! as it takes them.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crossbeam::channel::Sender;
use tokio::sync::mpsc;

use super::fed::Fed;
use super::gate::{Gate, Onward};
use super::lines::ReadError;
use super::place::Place;
use super::reader::JobReader;
use super::resolve::{Found, Resolver, Which};
use super::rules::Feeding;
use super::tally::{Counts, Tally};
use super::target::Target;
use super::wrong::{Piece, Wrong};
use pathspider_runtime::say;
use pathspider_runtime::stop::Stop;
use pathspider_runtime::threads::Threads;

/// What the feeder has done so far; shared, because it may still wait for input when a run ends.
#[derive(Clone)]
pub struct Feed {
    tally: Arc<Tally>,
    input: Arc<str>,
}

impl Feed {
    /// What was counted until now.
    pub fn counts(&self) -> Counts {
        self.tally.counts()
    }

    /// Says what was not said of lines that are no targets: the feeder does so itself, unless it still
    /// waits for input when the run ends.
    pub(crate) fn say_rest(&self) {
        self.tally.say_rest(&self.input);
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
    let tally = Arc::new(Tally::new(reader.extent()));
    let input: Arc<str> = reader.name().into();
    let feed = Feed { tally: Arc::clone(&tally), input: Arc::clone(&input) };
    let thread = threads.start("feeder", move || {
        let (names, interface) = (feeding.names, feeding.interface.clone());
        let resolve = feeding.rules.resolve && !names;
        let pairs = feeding.rules.both_families;
        let gate = Gate::new(feeding, Onward { jobs, places }, Arc::clone(&tally));
        let sorter = Arc::new(Sorter { gate: Mutex::new(gate), tally, input, stop, pairs });
        let answered = Arc::clone(&sorter);
        let resolver = resolve.then(|| {
            let which = if pairs { Which::OfEachFamily } else { Which::First };
            Resolver::new(interface.as_deref(), which, move |(line, target), answer| {
                answered.answered(line, target, answer);
            })
        });
        sorter.read(reader, names, resolver)
    })?;
    Ok((feed, thread))
}

/// Sorts targets: to the gate, to the resolver, or out.
struct Sorter {
    /// Of the feeder and of the resolver's threads.
    gate: Mutex<Gate>,
    tally: Arc<Tally>,
    input: Arc<str>,
    stop: Arc<Stop>,
    /// Whether a name may be two targets.
    pairs: bool,
}

impl Sorter {
    fn read(
        &self,
        mut reader: JobReader,
        names: bool,
        mut resolver: Option<Resolver<(u64, Target)>>,
    ) -> Result<(), ReadError> {
        let (mut wanted, mut is_whole) = (true, false);
        let mut end = Ok(());
        while wanted && !self.is_done() {
            let (line, mut target) = match reader.next() {
                Ok(Some((line, Ok(target)))) => (line, target),
                Ok(Some((line, Err(wrong)))) => {
                    self.bad_line(line, &wrong);
                    continue;
                }
                Ok(None) => {
                    is_whole = true;
                    break;
                }
                Err(error) => {
                    end = Err(error);
                    break;
                }
            };
            match (&target.place, &mut resolver) {
                (Place::Name(name), Some(resolver)) => {
                    let name = name.clone();
                    let domain = target.record.str("domain").filter(|domain| !domain.is_empty());
                    if !self.pairs
                        && self.gate().is_done(line, target.port, domain.unwrap_or(&name))
                    {
                        continue;
                    }
                    self.tally.asked();
                    if let Err(error) = resolver.look_up(name, (line, target)) {
                        end = Err(ReadError { input: self.input.to_string(), error });
                        break;
                    }
                }
                (Place::Name(name), None) if !names => {
                    self.bad_line(line, &Wrong::Name(Piece::of(name)));
                }
                _ => {
                    target.unresolved();
                    wanted = self.admit(line, target);
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
        if !self.is_done() {
            self.tally.ended();
            self.gate().finish();
        }
        end
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
        self.stop.is_asked() || self.tally.counts().limited
    }

    fn gate(&self) -> std::sync::MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(&self, line: u64, target: Target) -> bool {
        !self.is_done() && self.gate().admit(self.number(line, 0), target)
    }

    /// The number of a line's target: where a line may be two targets, each has its own.
    fn number(&self, line: u64, place: u64) -> u64 {
        if self.pairs { 2 * line - 1 + place } else { line }
    }

    /// Goes on with a name that was looked up.
    fn answered(&self, line: u64, target: Target, answer: Result<Found, Wrong>) {
        if self.is_done() {
            // It counts as one that was read, and not begun.
            return;
        }
        match answer {
            Ok(Found { addresses, unreachable }) => {
                if let Some(address) = unreachable {
                    let input = &self.input;
                    say!("{input}:{line}: {address} is not measured, for there is no route to it");
                }
                for (place, address) in (0..).zip(addresses) {
                    let mut target = target.clone();
                    target.resolved(address);
                    self.gate().admit(self.number(line, place), target);
                }
            }
            Err(wrong) => self.bad_line(line, &wrong),
        }
        self.tally.answered();
    }

    fn bad_line(&self, line: u64, wrong: &Wrong) {
        self.tally.bad_line(&self.input, line, wrong);
    }
}
