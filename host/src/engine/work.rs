//! A job in flight, its connections, and what is reported of them.

use std::sync::Arc;

use pathspider_plugin_api::abi::{MeasurementObject, PreparedHandle};
use pathspider_plugin_api::{ConfigId, Connect, Error, Job, Outcome};

/// A job and what the plugin prepared for it.
pub struct Work {
    /// The target.
    pub job: Job,
    /// The plugin's own.
    pub prepared: PreparedHandle,
}

impl Work {
    /// Lets the plugin prepare a job; may block where the plugin says so.
    ///
    /// # Errors
    ///
    /// The job, and the plugin's reason.
    #[allow(clippy::result_large_err)] // The job travels on either way.
    pub fn prepare(measurement: &MeasurementObject, job: Job) -> Result<Work, (Job, Error)> {
        match measurement.pre_connect(&job) {
            Ok(prepared) => Ok(Work { job, prepared }),
            Err(error) => Err((job, error)),
        }
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
