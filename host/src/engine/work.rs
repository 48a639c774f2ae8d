//! A job and what the plugin prepared for it, and what is reported of it.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use pathspider_observer::{ConnectionId, JobNumber, Round, Visit};
use pathspider_plugin_api::abi::{MeasurementObject, PreparedHandle, Slots};
use pathspider_plugin_api::driver::{Asked, Connection, Driver, Ended};
use pathspider_plugin_api::{ConfigId, Connect, Error, Info, Job};

use super::Account;
use crate::job::{Fed, Verbatim};
use crate::rounds::Turn;

/// The measurement that jobs are taken through.
pub struct Measured {
    /// The plugin's object of this run.
    pub object: Arc<MeasurementObject>,
    /// What it declares.
    pub info: Info,
    /// The number of its configurations.
    pub configurations: usize,
    /// Where the fields of its chains stand.
    pub slots: Arc<Slots>,
}

impl Measured {
    /// What holds it to the rules.
    pub fn driver(&self) -> Driver<'_> {
        Driver::new(&self.object, &self.info, self.configurations, &self.slots)
    }

    /// How many connections of a job are kept for those that depend on them.
    pub(super) fn depends(&self) -> usize {
        if self.info.depends { self.configurations } else { 0 }
    }
}

/// A job and what the plugin prepared for it.
pub struct Work {
    /// The target.
    pub job: Job,
    /// What its line said to the letter, where the job's record does not say it so.
    pub(crate) came: Option<Arc<Verbatim>>,
    /// Its turn, where targets are measured in rounds.
    pub(crate) turn: Option<Turn>,
    prepared: OnceLock<PreparedHandle>,
    /// What came of each connection, by configuration; none where no connection depends on it.
    answered: Box<[OnceLock<Result<Ended, Error>>]>,
}

impl Work {
    /// A job that keeps this many of its connections once they are known.
    pub(super) fn new(Fed { job, came, turn }: Fed, depends: usize) -> Work {
        let answered = (0..depends).map(|_| OnceLock::new()).collect();
        Work { job, came, turn, prepared: OnceLock::new(), answered }
    }

    /// The job, and its round.
    pub(crate) fn visit(&self) -> Visit {
        Visit::new(JobNumber::of(&self.job), self.round())
    }

    /// The job's round.
    pub(crate) fn round(&self) -> Round {
        self.turn.map_or(Round::FIRST, |turn| turn.round)
    }

    /// Where it connects to unless the plugin says otherwise.
    pub(super) fn target(&self) -> SocketAddr {
        SocketAddr::new(self.job.target(), self.job.port())
    }

    /// Lets the plugin prepare the job; may block where the plugin says so.
    pub(super) fn prepare(&self, driver: &Driver<'_>) -> Result<(), Error> {
        // It is asked once.
        let _ = self.prepared.set(driver.in_round(self.round().number()).prepare(&self.job)?);
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

    /// Keeps what came of a connection, for those that depend on it.
    pub fn answer(&self, config: ConfigId, connection: Connection) {
        if let Some(place) = self.answered.get(config.index()) {
            // It is answered once.
            let _ = place.set(Ended::answered(config, connection));
        }
    }

    /// Asks the plugin which connection to make; may block where the plugin says so.
    ///
    /// # Errors
    ///
    /// The plugin failed, or a chain did on a connection that this one depends on.
    pub(super) fn ask(&self, driver: &Driver<'_>, id: ConnectionId) -> Result<Connect, Error> {
        let (job, prepared) = (&self.job, self.prepared()?);
        let answered = self.answered.iter().filter_map(OnceLock::get);
        let earlier = answered.map(Result::as_ref).collect::<Result<Vec<_>, _>>();
        let earlier = &earlier.map_err(Error::clone)?;
        let (config, driver) = (id.config(), driver.in_round(id.round().number()));
        Ok(driver.connect(Asked { job, prepared, config, earlier })?)
    }
}

/// What the merger tells the engine.
#[derive(Debug)]
pub enum Feedback {
    /// The records of these jobs are written.
    Written(Vec<Visit>),
    /// What came of a connection is kept in its [`Work`]. Only where connections depend on it.
    Known(ConnectionId),
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
        account: Box<Account>,
        /// Whether the observer was asked for its flow, and so will answer.
        claimed: bool,
    },
    /// The plugin failed for a job. Some of its connections may have been reported; no more are.
    Broken {
        /// The job, and its round.
        job: Visit,
        /// The job.
        work: W,
        /// The plugin's reason.
        error: Error,
    },
}

impl<W> Report<W> {
    /// The connection that it is about.
    pub fn connection(&self) -> Option<ConnectionId> {
        match self {
            Report::Connection { id, .. } => Some(*id),
            Report::Broken { .. } => None,
        }
    }
}
