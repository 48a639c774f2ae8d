//! A job and what the plugin prepared for it, and what is reported of it.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use pathspider_observer::{ConnectionId, JobNumber};
use pathspider_plugin_api::abi::{MeasurementObject, PreparedHandle};
use pathspider_plugin_api::driver::{Asked, Driver};
use pathspider_plugin_api::{Connect, Error, Info, Job, Outcome};

/// The measurement that jobs are taken through.
pub struct Measured {
    /// The plugin's object of this run.
    pub object: Arc<MeasurementObject>,
    /// What it declares.
    pub info: Info,
    /// The number of its configurations.
    pub configurations: usize,
    /// Whether it names a chain.
    pub observes: bool,
}

impl Measured {
    /// What holds it to the rules.
    pub fn driver(&self) -> Driver<'_> {
        Driver::new(&self.object, &self.info, self.configurations, self.observes)
    }
}

/// A job and what the plugin prepared for it.
pub struct Work {
    /// The target.
    pub job: Job,
    prepared: OnceLock<PreparedHandle>,
}

impl Work {
    pub(super) fn new(job: Job) -> Work {
        Work { job, prepared: OnceLock::new() }
    }

    /// Where it connects to unless the plugin says otherwise.
    pub(super) fn target(&self) -> SocketAddr {
        SocketAddr::new(self.job.target(), self.job.port())
    }

    /// Lets the plugin prepare the job; may block where the plugin says so.
    pub(super) fn prepare(&self, driver: &Driver<'_>) -> Result<(), Error> {
        // It is asked once.
        let _ = self.prepared.set(driver.prepare(&self.job)?);
        Ok(())
    }

    /// What the plugin prepared.
    ///
    /// # Errors
    ///
    /// It was not asked to.
    pub fn prepared(&self) -> Result<&PreparedHandle, Error> {
        self.prepared.get().ok_or_else(|| Error::contract("the job is not prepared"))
    }

    /// Asks the plugin which connection to make; may block where the plugin says so.
    pub(super) fn ask(&self, driver: &Driver<'_>, id: ConnectionId) -> Result<Connect, Error> {
        let (job, prepared) = (&self.job, self.prepared()?);
        Ok(driver.connect(Asked {
            job,
            prepared,
            config: id.config(),
            round: id.round().number(),
        })?)
    }
}

/// What the engine tells the merger.
pub enum Report<W = Arc<Work>> {
    /// A connection ended.
    Connection {
        /// Which one.
        id: ConnectionId,
        /// Its job.
        work: W,
        /// How it ended.
        outcome: Outcome,
        /// Whether the observer was asked for its flow, and so will answer.
        claimed: bool,
    },
    /// The plugin failed for a job, of which connections may have been reported. Nothing more is.
    Broken {
        /// The job's number.
        job: JobNumber,
        /// The job.
        work: W,
        /// The plugin's reason.
        error: Error,
    },
}
