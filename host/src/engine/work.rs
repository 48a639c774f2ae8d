//! A job in flight, its connections, and what is reported of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pathspider_plugin_api::abi::{MeasurementObject, PreparedHandle};
use pathspider_plugin_api::{ConfigId, Connect, Error, Job, Outcome};

/// A job and what the plugin prepared for it.
pub struct Work {
    /// The target.
    pub job: Job,
    /// The plugin's own.
    pub prepared: PreparedHandle,
    /// How many of its connections were begun, or are about to be.
    begun: AtomicUsize,
    /// How many of them have ended; `BROKEN` when the plugin failed for the job.
    ended: AtomicUsize,
}

/// Of a job that ended before its connections.
const BROKEN: usize = usize::MAX;

impl Work {
    /// Lets the plugin prepare a job; may block where the plugin says so.
    ///
    /// # Errors
    ///
    /// The job, and the plugin's reason.
    #[allow(clippy::result_large_err)] // The job travels on either way.
    pub fn prepare(measurement: &MeasurementObject, job: Job) -> Result<Work, (Job, Error)> {
        match measurement.pre_connect(&job) {
            Ok(prepared) => {
                Ok(Work { job, prepared, begun: AtomicUsize::new(1), ended: AtomicUsize::new(0) })
            }
            Err(error) => Err((job, error)),
        }
    }

    // Only the engine's thread counts; the merger holds the same job, hence the atomics.

    /// Begins the connection after that of `config`; false where it was begun before, where there
    /// is none, and where two are under way, which is as many as there ever are.
    pub(super) fn begin_after(&self, config: usize, configurations: usize) -> bool {
        let (begun, ended) =
            (self.begun.load(Ordering::Relaxed), self.ended.load(Ordering::Relaxed));
        let begins =
            config + 1 == begun && begun < configurations && begun <= ended.saturating_add(1);
        if begins {
            self.begun.store(begun + 1, Ordering::Relaxed);
        }
        begins
    }

    /// One of its connections has ended; whether the job goes on to be measured.
    pub(super) fn end_one(&self) -> bool {
        let ended = self.ended.load(Ordering::Relaxed);
        if ended != BROKEN {
            self.ended.store(ended + 1, Ordering::Relaxed);
        }
        ended != BROKEN
    }

    /// Whether all its connections have ended.
    pub(super) fn is_over(&self, configurations: usize) -> bool {
        self.ended.load(Ordering::Relaxed) >= configurations
    }

    /// The plugin failed for the job: nothing more is begun or reported of it.
    pub(super) fn break_off(&self) {
        self.begun.store(BROKEN, Ordering::Relaxed);
        self.ended.store(BROKEN, Ordering::Relaxed);
    }
}

/// One connection that is to be made: a job in a configuration.
#[derive(Clone)]
pub struct Ticket {
    /// The job.
    pub work: Arc<Work>,
    /// The configuration's place.
    pub config: usize,
}

impl Ticket {
    /// The connection's number, unique in the run.
    pub fn id(&self, configurations: usize) -> u64 {
        self.work.job.number() * configurations as u64 + self.config as u64
    }

    /// Asks the plugin which connection to make; may block where the plugin says so.
    pub fn ask(&self, measurement: &MeasurementObject) -> Result<Connect, Error> {
        measurement.connect(&self.work.job, &self.work.prepared, ConfigId::new(self.config))
    }
}

/// The job and the configuration of a connection's number.
pub fn job_and_config(id: u64, configurations: usize) -> (u64, usize) {
    let configurations = configurations as u64;
    (id / configurations, (id % configurations) as usize)
}

/// What the engine tells the merger.
pub enum Report {
    /// A connection ended.
    Connection {
        /// Its job.
        work: Arc<Work>,
        /// Its configuration's place.
        config: usize,
        /// How it ended.
        outcome: Outcome,
        /// Whether the observer was asked for its flow, and so will answer.
        claimed: bool,
    },
    /// The plugin failed for a job before its first connection.
    Refused {
        /// The job.
        job: Job,
        /// The plugin's reason.
        error: Error,
    },
    /// The plugin failed for a job, of which connections may have been reported.
    Broken {
        /// The job.
        work: Arc<Work>,
        /// The plugin's reason.
        error: Error,
    },
}
