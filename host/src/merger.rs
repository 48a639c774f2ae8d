//! Brings together what the engine did and what the observer saw, and concludes from both.
//!
//! The observer answers every claimed connection exactly once, with its flow or with nothing, so
//! the merger needs no clock: a job is complete when each of its connections has ended and each
//! claimed one is answered.

mod answered;
mod conclude;
mod evidence;
mod icmp;
mod nat64;
mod path;
mod pending;
mod theirs;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, select};

use crate::engine::{Feedback, Measured, Report, Work};
use crate::output::{OutputError, RecordWriter, RunNumber, Summary};
use crate::rounds::Standings;
use conclude::{Conclude, Concluded, judged};
pub(crate) use evidence::failures;
pub use path::Ends;
use pathspider_observer::Observation;
use pending::{Complete, PendingJobs};
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
    /// What the run has come to so far, for whoever shows it.
    pub summary: Arc<Mutex<Summary>>,
    /// What is known of this end of the paths.
    pub ends: Ends,
    /// Where targets stand that are measured in rounds.
    pub standings: Option<Arc<Standings>>,
    /// A job's place, freed when its record is written.
    pub places: Receiver<()>,
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
        mut writer: RecordWriter,
    ) -> Option<OutputError> {
        let ended = self.merge(reports, observations, engine, &mut writer);
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
        writer: &mut RecordWriter,
    ) -> Result<(), OutputError> {
        let mut pending = PendingJobs::new(self.measurement.configurations);
        let conclude = Conclude::new(self);
        let (mut reports, mut observations) = (Some(reports), Some(observations));
        let (mut engine, mut finished) = (Some(engine), Vec::new());
        let mut flushed = Instant::now();
        let never_report = crossbeam::channel::never();
        let never_observation = crossbeam::channel::never();
        while reports.is_some() || observations.is_some() {
            let (of, done) = select! {
                recv(reports.as_ref().unwrap_or(&never_report)) -> report => match report {
                    Ok(report) => {
                        conclude.expect(&report);
                        (report.connection(), pending.report(report))
                    }
                    Err(_) => {
                        reports = None;
                        (None, None)
                    }
                },
                recv(observations.as_ref().unwrap_or(&never_observation)) -> seen => match seen {
                    Ok(observation) => (Some(observation.id), pending.observation(observation)),
                    Err(_) => {
                        // What is not answered by now never will be.
                        (observations, engine) = (None, None);
                        (None, None)
                    }
                },
                default(LOOK) => (None, None),
            };
            if self.measurement.info.depends
                && let (Some(id), Some(engine)) = (of, &engine)
                && let Some((work, connection)) = pending.known(id)
            {
                work.answer(id.config(), judged(connection));
                // The engine may have ended, on a second signal.
                let _ = engine.send(Feedback::Known(id));
            }
            if let Some(complete) = done {
                finished.push(complete.visit());
                self.finish(&conclude, complete, writer)?;
            }
            let idle = reports.as_ref().is_none_or(Receiver::is_empty)
                && observations.as_ref().is_none_or(Receiver::is_empty);
            if idle || flushed.elapsed() >= WAIT {
                writer.flush()?;
                flushed = Instant::now();
                if let Some(engine) = engine.as_ref().filter(|_| !finished.is_empty()) {
                    let _ = engine.send(Feedback::Written(std::mem::take(&mut finished)));
                }
            }
        }
        Ok(())
    }

    fn finish(
        &self,
        conclude: &Conclude<'_>,
        complete: Complete<Arc<Work>>,
        writer: &mut RecordWriter,
    ) -> Result<(), OutputError> {
        let concluded = conclude.records(complete);
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
