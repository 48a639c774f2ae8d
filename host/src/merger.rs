//! Brings together what the engine did and what the observer saw, and concludes from both.
//!
//! The observer answers every claimed connection exactly once, with its flow or with nothing, so
//! the merger needs no clock: a job is complete when each of its connections has ended and each
//! claimed one is answered.

mod answered;
mod asking;
mod conclude;
mod evidence;
mod icmp;
mod inbox;
mod nat64;
mod path;
mod pending;
mod theirs;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, select};

use crate::engine::{Feedback, Measured, Report};
use crate::locating::{Ask, Found, Wanted, When};
use crate::output::{OutputError, RecordWriter, RunNumber, Summary};
use crate::rounds::Standings;
pub use asking::Asking;
use conclude::{Conclude, Concluded, Drawn, Open, judged};
pub(crate) use evidence::failures;
use inbox::{Came, Inbox};
pub use path::Ends;
use pathspider_observer::{Observation, Visit};
use pathspider_plugin_api::Configuration;
use pending::PendingJobs;
pub(crate) use theirs::Theirs;
use tokio::sync::mpsc;

/// How often it looks whether lines have waited for long enough, when nothing else happens.
const LOOK: Duration = Duration::from_millis(200);

/// How long a record waits at the most while there is always more to do: what a crash may lose. A
/// hundred system calls a second are nothing beside the packets; one for each record would be felt.
const WAIT: Duration = Duration::from_millis(10);

/// To the engine.
pub type ToEngine = mpsc::UnboundedSender<Feedback>;

/// What the merger works with.
pub struct Merger {
    /// The measurement.
    pub measurement: Arc<Measured>,
    /// Distinguishes the jobs of this run from those of others.
    pub run: RunNumber,
    /// Whether records carry their connections' results.
    pub with_flows: bool,
    /// Whether the chain `rtt` looks at the connections.
    pub with_round_trips: bool,
    /// The counts of the run so far, for the progress display and the summary.
    pub summary: Arc<Mutex<Summary>>,
    /// What is known of this end of the paths.
    pub ends: Ends,
    /// Whose paths are searched; `None` without `--locate`.
    pub locating: Option<When>,
    /// How many paths are searched at the most.
    pub most_located: u64,
    /// The plugin's configurations.
    pub configurations: Vec<Configuration>,
    /// Where targets stand that are measured in rounds.
    pub standings: Option<Arc<Standings>>,
    /// A job's place, freed when its record is written.
    pub places: Receiver<()>,
}

/// Jobs that wait for where on the path, and who finds that out.
pub struct Searches {
    ask: crossbeam::channel::Sender<Ask>,
    found: Receiver<Found>,
    open: HashMap<u64, (Visit, Open)>,
    asked: u64,
    is_gone: bool,
}

impl Searches {
    /// With the stage's two ends.
    pub(crate) fn new(ask: crossbeam::channel::Sender<Ask>, found: Receiver<Found>) -> Searches {
        Searches { ask, found, open: HashMap::new(), asked: 0, is_gone: false }
    }

    /// Where nothing is located.
    pub(crate) fn none() -> Searches {
        let (ask, _) = crossbeam::channel::bounded(0);
        Searches::new(ask, crossbeam::channel::never())
    }

    fn has_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Whether one more may be asked.
    fn asks(&self, most: u64) -> bool {
        self.asked < most && !self.is_gone
    }

    fn ask(&mut self, visit: Visit, open: Open, wanted: Vec<Wanted>) {
        let ticket = self.asked;
        self.asked += 1;
        self.open.insert(ticket, (visit, open));
        // Where the stage is gone, the answer is that its channel is closed.
        let _ = self.ask.send(Ask { ticket, wanted });
    }

    fn close(&mut self, found: &Found) -> Option<(Visit, Open)> {
        self.open.remove(&found.ticket)
    }

    /// The stage is gone: nothing more is located.
    fn lose(&mut self) -> Vec<(Visit, Open)> {
        self.is_gone = true;
        self.found = crossbeam::channel::never();
        self.open.drain().map(|(_, open)| open).collect()
    }
}

impl Merger {
    /// Writes a record for every job that becomes complete, until both channels are closed. The
    /// engine hears which records are written, and which connections are known where others depend
    /// on them; it hears no more where the observer ends before it.
    ///
    /// It ends early where a record cannot be written; the run is to stop then.
    pub fn run(
        self,
        reports: Receiver<Report>,
        observations: Receiver<Observation>,
        engine: ToEngine,
        beside: (Asking, Searches),
        mut writer: RecordWriter,
    ) -> Option<OutputError> {
        let ended = self.merge(reports, observations, engine, beside, &mut writer);
        // What was concluded before a failure is kept.
        let finished = writer.finish();
        let lost = writer.lost();
        self.count(|summary| {
            summary.targets -= lost;
            summary.lost = lost;
        });
        ended.and(finished).err()
    }

    fn merge(
        &self,
        reports: Receiver<Report>,
        observations: Receiver<Observation>,
        engine: ToEngine,
        (mut asking, mut searches): (Asking, Searches),
        writer: &mut RecordWriter,
    ) -> Result<(), OutputError> {
        let mut pending = PendingJobs::new(self.measurement.configurations);
        let conclude = Conclude::new(self);
        let mut inbox = Inbox::new(reports, observations);
        let (mut engine, mut finished) = (Some(engine), Vec::new());
        let mut flushed = Instant::now();
        while inbox.is_open() || asking.has_open() || searches.has_open() {
            let mut ready = None;
            let came = match inbox.take() {
                Some(came) => Some(came),
                None => {
                    self.flush(writer, engine.as_ref(), &mut finished)?;
                    flushed = Instant::now();
                    inbox.pause();
                    select! {
                        recv(inbox.reports) -> report => Some(inbox.reported(report)),
                        recv(inbox.observations) -> seen => Some(inbox.observed(seen)),
                        recv(asking.answered) -> answered => {
                            match answered {
                                Ok(answered) => {
                                    let is_forged = self.measurement.info.forges;
                                    ready = asking.close(&answered, is_forged);
                                }
                                // It answers all that it was asked before it ends.
                                Err(_) => asking.lose(),
                            }
                            None
                        },
                        recv(searches.found) -> found => {
                            // It answers all that it was asked before it ends.
                            let (closed, found) = match found {
                                Ok(found) => (searches.close(&found).into_iter().collect(), found),
                                Err(_) => (searches.lose(), Found::nothing(true)),
                            };
                            for (visit, open) in closed {
                                finished.push(visit);
                                self.write(conclude.located(open, &found), writer)?;
                            }
                            None
                        },
                        default(LOOK) => None,
                    }
                }
            };
            let (of, done) = match came {
                Some(Came::Report(report)) => {
                    conclude.expect(&report);
                    (report.connection(), pending.report(report))
                }
                Some(Came::Observation(observation)) => {
                    (Some(observation.id), pending.observation(observation))
                }
                // What is not answered by now never will be.
                Some(Came::ObserverEnded) => {
                    engine = None;
                    (None, None)
                }
                Some(Came::EngineEnded) | None => (None, None),
            };
            if self.measurement.info.depends
                && let (Some(id), Some(engine)) = (of, &engine)
                && let Some((work, connection)) = pending.known(id)
            {
                work.answer(id.config(), judged(connection));
                // The engine may have ended, on a second signal.
                let _ = engine.send(Feedback::Known(id));
            }
            let ready = ready.or_else(|| asking.pass(done?)).or_else(|| asking.unanswered());
            if let Some(ready) = ready {
                let visit = ready.complete.visit();
                match conclude.draw(ready) {
                    Drawn::Open(open, wanted) if searches.asks(self.most_located) => {
                        searches.ask(visit, *open, wanted);
                    }
                    Drawn::Open(open, _) => {
                        self.count(|summary| summary.located.left_out += 1);
                        finished.push(visit);
                        self.write(conclude.located(*open, &Found::nothing(false)), writer)?;
                    }
                    Drawn::Concluded(concluded) => {
                        finished.push(visit);
                        self.write(concluded, writer)?;
                    }
                }
                if flushed.elapsed() >= WAIT {
                    self.flush(writer, engine.as_ref(), &mut finished)?;
                    flushed = Instant::now();
                }
            }
        }
        asking.end();
        Ok(())
    }

    /// Writes what waits, and tells the engine which jobs that ended.
    fn flush(
        &self,
        writer: &mut RecordWriter,
        engine: Option<&ToEngine>,
        finished: &mut Vec<Visit>,
    ) -> Result<(), OutputError> {
        writer.flush()?;
        if let Some(engine) = engine.filter(|_| !finished.is_empty()) {
            // The engine may have ended, on a second signal.
            let _ = engine.send(Feedback::Written(std::mem::take(finished)));
        }
        Ok(())
    }

    fn write(&self, concluded: Concluded, writer: &mut RecordWriter) -> Result<(), OutputError> {
        // The place is free also when there is nothing to write.
        let _ = self.places.try_recv();
        match concluded {
            Concluded::Records(records) => writer.write_job(&records),
            Concluded::Discarded(job) => {
                writer.note_without(&job);
                Ok(())
            }
        }
    }

    /// Counts what a job came to.
    fn count(&self, count: impl FnOnce(&mut Summary)) {
        // Numbers only: no panic can leave them half-written.
        count(&mut self.summary.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
