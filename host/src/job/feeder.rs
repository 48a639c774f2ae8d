//! The feeder's thread: reads targets, has names looked up, and hands them to the engine, as fast
//! as it takes them.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crossbeam::channel::Sender;
use pathspider_plugin_api::Job;
use tokio::sync::mpsc;

use super::gate::{Gate, Onward};
use super::lines::ReadError;
use super::reader::JobReader;
use super::resolve::Resolver;
use super::rules::Feeding;
use super::tally::{Counts, Tally};
use super::target::{Place, Target};
use pathspider_runtime::stop::Stop;
use pathspider_runtime::threads::Threads;

/// What the feeder has done so far; shared, because it may still wait for input when a run ends.
#[derive(Clone)]
pub struct Feed(Arc<Tally>);

impl Feed {
    /// What was counted until now.
    pub fn counts(&self) -> Counts {
        self.0.counts()
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
    (jobs, places): (mpsc::Sender<Job>, Sender<()>),
    stop: Arc<Stop>,
) -> io::Result<(Feed, Feeder)> {
    let tally = Arc::new(Tally::new(reader.extent()));
    let feed = Feed(Arc::clone(&tally));
    let thread = threads.start("feeder", move || {
        let (names, interface) = (feeding.names, feeding.interface.clone());
        let resolve = feeding.rules.resolve && !names;
        let gate = Gate::new(feeding, Onward { jobs, places }, Arc::clone(&tally));
        let sorter =
            Sorter { gate: Mutex::new(gate), tally, input: reader.name().to_owned(), stop };
        let sorter = Arc::new(sorter);
        let answered = Arc::clone(&sorter);
        let resolver = resolve.then(|| {
            Resolver::new(interface.as_deref(), move |(line, target), answer| {
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
    input: String,
    stop: Arc<Stop>,
}

impl Sorter {
    fn read(
        &self,
        mut reader: JobReader,
        names: bool,
        mut resolver: Option<Resolver<(u64, Target)>>,
    ) -> Result<(), ReadError> {
        let mut wanted = true;
        let mut end = Ok(());
        while wanted && !self.is_done() {
            let (line, mut target) = match reader.next() {
                Ok(Some((line, Ok(target)))) => (line, target),
                Ok(Some((line, Err(reason)))) => {
                    self.bad_line(line, &reason);
                    continue;
                }
                Ok(None) => break,
                Err(error) => {
                    end = Err(error);
                    break;
                }
            };
            match (&target.place, &mut resolver) {
                (Place::Name(name), Some(resolver)) => {
                    let name = name.clone();
                    let domain = target.record.str("domain").filter(|domain| !domain.is_empty());
                    if self.gate().is_done(line, target.port, domain.unwrap_or(&name)) {
                        continue;
                    }
                    self.tally.asked();
                    if let Err(error) = resolver.look_up(name, (line, target)) {
                        end = Err(ReadError { input: self.input.clone(), error });
                        break;
                    }
                }
                (Place::Name(name), None) if !names => self.bad_line(
                    line,
                    &format!("{name:?} is not an IP address; with --resolve names are looked up"),
                ),
                _ => {
                    target.unresolved();
                    wanted = self.admit(line, target);
                }
            }
        }
        if let Some(resolver) = resolver {
            resolver.finish(|| self.is_done());
        }
        if !self.is_done() {
            self.tally.ended();
            self.gate().finish();
        }
        end
    }

    /// Whether targets that are still to be read or looked up are of no use.
    fn is_done(&self) -> bool {
        self.stop.is_asked() || self.tally.counts().limited
    }

    fn gate(&self) -> std::sync::MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(&self, line: u64, target: Target) -> bool {
        !self.is_done() && self.gate().admit(line, target)
    }

    /// Goes on with a name that was looked up.
    fn answered(&self, line: u64, mut target: Target, answer: Result<IpAddr, String>) {
        if self.is_done() {
            // It counts as one that was read, and not begun.
            return;
        }
        match answer {
            Ok(address) => {
                target.resolved(address);
                self.gate().admit(line, target);
            }
            Err(reason) => self.bad_line(line, &reason),
        }
        self.tally.answered();
    }

    fn bad_line(&self, line: u64, reason: &str) {
        self.tally.bad_line(&self.input, line, reason);
    }
}
