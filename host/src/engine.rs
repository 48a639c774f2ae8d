//! Makes the connections: goes round the configurations, and starts whatever waits for each.
//!
//! One thread runs the scheduler, calls the plugin's configurator, opens the sockets and sends
//! their first packets. What follows on a socket is an asynchronous task on the same thread. A
//! plugin that blocks is called on worker threads instead (`workers`).

mod connect;
mod ephemeral;
mod making;
mod pace;
mod ports;
mod queue;
mod round;
mod scheduler;
mod work;
mod workers;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crossbeam::channel::Sender;
use pathspider_plugin_api::abi::MeasurementObject;
use pathspider_plugin_api::{Configuration, Connect, Error, Hold, Job, Outcome};
use tokio::sync::mpsc;

pub use connect::{Dialer, Forger, RESERVED_SOCKETS};
pub use pace::Limits;
pub(crate) use round::JOBS_BEHIND;
pub use work::{Report, Ticket, Work, job_and_config};

use connect::Attempt;
use pace::Pace;
use pathspider_observer::Notice;
use pathspider_runtime::stop::Stop;
use pathspider_system::Machine;
use ports::Ports;
use round::Round;
use scheduler::Scheduler;
use workers::Workers;

/// What the engine works with.
pub struct Engine {
    /// The plugin's object of this run.
    pub measurement: Arc<MeasurementObject>,
    /// Its configurations, the baseline first.
    pub configurations: Vec<Configuration>,
    /// Whether its `configure` may change the machine.
    pub changes_system: bool,
    /// Whether its `pre_connect` or `connect` block.
    pub blocking: bool,
    /// How long they may.
    pub plugin_timeout: Duration,
    /// Jobs in flight at most.
    pub workers: usize,
    /// How many of them may have two connections at a time.
    pub beside: usize,
    /// When connections may start.
    pub limits: Limits,
    /// Opens sockets.
    pub dialer: Dialer,
    /// Sends forged packets, where the plugin declared them.
    pub forger: Option<Rc<Forger>>,
    /// To the observer.
    pub notices: Sender<Notice>,
    /// To the merger.
    pub reports: Sender<Report>,
    /// Whether to stop.
    pub stop: Arc<Stop>,
    /// How many jobs are in flight, for whoever shows it.
    pub in_flight: Arc<AtomicUsize>,
    /// How many jobs have ended and have no record yet: the later stages take them off.
    pub behind: Arc<AtomicUsize>,
}

/// What happens while the engine waits.
enum Event {
    /// A worker prepared a job.
    Prepared(Result<Work, (Job, Error)>),
    /// A worker has the plugin's answer.
    Answered { ticket: Ticket, started: SystemTime, answer: Result<Connect, Error> },
    /// A connection came to this point; only where the configuration waits for it.
    Reached { config: usize, point: Hold },
    /// Nothing has answered a connection for a while.
    Silent(Ticket),
    /// A connection ended.
    Ended(Ticket, Attempt),
}

/// Why a run ends before its jobs do.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The configurator failed.
    #[error("cannot bring the system into configuration {config} ({label}): {error}")]
    Configure {
        /// The configuration's place.
        config: usize,
        /// Its label.
        label: String,
        /// The plugin's reason.
        error: Error,
    },
    /// Another stage of the pipeline is gone.
    #[error("the run's {0} has stopped")]
    Gone(&'static str),
    /// The plugin does not come back from its calls.
    #[error("the plugin keeps {0} threads and does not give them back")]
    Stuck(usize),
    /// A thread or the runtime could not be started.
    #[error("cannot start the engine: {0}")]
    Start(#[from] std::io::Error),
}

impl Engine {
    /// Runs until every job that came is finished, until told to stop, or until it fails: the
    /// configurator failed, or a later stage is gone.
    pub fn run(self, machine: &mut Machine, jobs: mpsc::Receiver<Job>) -> EngineEnd {
        let mut end = EngineEnd::default();
        let in_flight = Arc::clone(&self.in_flight);
        end.error = self.run_into(machine, jobs, &mut end).err();
        in_flight.store(end.in_flight, Ordering::Relaxed);
        end
    }

    fn run_into(
        self,
        machine: &mut Machine,
        jobs: mpsc::Receiver<Job>,
        end: &mut EngineEnd,
    ) -> Result<(), EngineError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let tasks = tokio::task::LocalSet::new();
        tasks.block_on(&runtime, async {
            let (events, inbox) = mpsc::unbounded_channel();
            let workers = match self.blocking {
                true => Some(Workers::start(
                    self.workers,
                    &self.measurement,
                    events.clone(),
                    self.plugin_timeout,
                )?),
                false => None,
            };
            let scheduler = Scheduler::new(self.configurations.iter().map(|c| c.hold).collect());
            // Without workers there is nobody to look after.
            let patience = workers.as_ref().map_or(Duration::MAX, Workers::patience);
            let looked = Instant::now();
            let pace = Pace::new(&self.limits);
            let beside = if self.limits.space_targets() { 0 } else { self.beside };
            let round = Round {
                engine: self,
                machine,
                scheduler,
                pace,
                ports: Ports::default(),
                was_short: false,
                beside,
                workers,
                patience,
                looked,
                events,
                end,
            };
            round.run(jobs, inbox).await
        })
    }
}

/// How the engine ended.
#[derive(Debug, Default)]
pub struct EngineEnd {
    /// Jobs that were begun and whose connections did not all end.
    pub in_flight: usize,
    /// Jobs that were read and not begun; `None` where all were that the input has.
    pub unstarted: Option<u64>,
    /// Why it ended before it was told to.
    pub error: Option<EngineError>,
}

/// The time-out of a connection whose plugin set none.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// An outcome's keys that every connection has.
fn stamp(outcome: Outcome, started: SystemTime) -> Outcome {
    let text = |time| humantime::format_rfc3339_micros(time).to_string();
    outcome.with("spdr_start", text(started)).with("spdr_stop", text(SystemTime::now()))
}
