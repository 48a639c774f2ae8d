//! Makes the connections: goes round the configurations, and starts whatever waits for each.
//!
//! The course of a run (`course`) decides what is done and when, and knows neither sockets nor clocks.
//! The shell does it, on one thread: it calls the plugin's configurator, opens the sockets and sends
//! their first packets. What follows on a socket is an asynchronous task on the same thread; answers to
//! forged packets need none (`forging`). A plugin that blocks is called on worker threads instead (`workers`).

mod account;
mod cargo;
mod connect;
mod course;
mod ephemeral;
mod forging;
mod intake;
mod lending;
mod pace;
mod ports;
mod queue;
mod scheduler;
mod shell;
mod turns;
mod work;
mod workers;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use crossbeam::channel::Sender;
use pathspider_plugin_api::{Configuration, Error};
use tokio::sync::mpsc;

pub use account::Account;
pub use connect::{CLOSING, Dialer, Forger, RESERVED_SOCKETS, Requests};
pub(crate) use connect::{Held, PortsError, Raw};
pub(crate) use course::JOBS_BEHIND;
pub(crate) use ephemeral::Ephemeral;
pub use pace::Limits;
pub(crate) use pace::prefix;
pub use turns::Turns;
pub use work::{Feedback, Measured, Report, Work};

use crate::job::Fed;
use crate::route::Learned;
use connect::Pool;
use course::{Course, Rules};
use forging::Forging;
use intake::Intake;
use pathspider_observer::{Notice, Told};
use pathspider_runtime::stop::Stop;
use pathspider_system::Machine;
use shell::{Incoming, Shell};
use workers::Workers;

/// What the engine works with.
pub struct Engine {
    /// The measurement.
    pub measurement: Arc<Measured>,
    /// Its configurations, the baseline first.
    pub configurations: Vec<Configuration>,
    /// How long its `pre_connect` and `connect` may block, where it declares to.
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
    /// What the kernel has learned of targets, where it is to forget that between rounds.
    pub(crate) learned: Option<Learned>,
    /// To the observer.
    pub notices: Sender<Notice>,
    /// To the merger.
    pub reports: Sender<Report>,
    /// Whether to stop.
    pub stop: Arc<Stop>,
    /// How many jobs are in flight, for the progress display.
    pub in_flight: Arc<AtomicUsize>,
    /// How many jobs have ended since the beginning, for the metadata.
    pub ended: Arc<AtomicUsize>,
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
    /// Runs until every job that came has its record, until told to stop, or until it fails: the
    /// configurator failed, or a later stage is gone. The system's settings are given back as soon
    /// as no more connections are made.
    pub fn run(self, machine: &mut Machine, inbox: Inbox) -> EngineEnd {
        let mut end = EngineEnd::default();
        end.error = self.run_into(machine, inbox, &mut end).err();
        end.settle(machine);
        end
    }

    fn run_into(
        self,
        machine: &mut Machine,
        Inbox { jobs, heard, answers }: Inbox,
        end: &mut EngineEnd,
    ) -> Result<(), EngineError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let tasks = tokio::task::LocalSet::new();
        tasks.block_on(&runtime, async {
            let (events, happened) = mpsc::unbounded_channel();
            let workers = if self.measurement.info.blocking {
                Some(Workers::start(self.workers, &self.measurement, events.clone())?)
            } else {
                None
            };
            let course = Course::new(Rules {
                holds: self.configurations.iter().map(Configuration::held).collect(),
                workers: self.workers,
                beside: self.beside,
                limits: &self.limits,
                call_limit: self.measurement.info.blocking.then_some(self.plugin_timeout),
                depends: self.measurement.info.depends,
            });
            let now = Instant::now();
            let has_told_of_ports = false;
            let pool = Pool::new(self.plugin_timeout);
            let forging = Forging::default();
            let shell = Shell {
                engine: self,
                machine,
                course,
                workers,
                pool,
                forging,
                events,
                end,
                has_told_of_ports,
                now,
            };
            let jobs = Intake::new(jobs);
            shell.run(Incoming { happened, jobs, heard, answers }).await
        })
    }
}

/// What the other stages report to the engine.
pub struct Inbox {
    /// From the feeder.
    pub jobs: mpsc::Receiver<Fed>,
    /// From the merger.
    pub heard: mpsc::UnboundedReceiver<Feedback>,
    /// From the observer, where it is asked for answers.
    pub answers: mpsc::UnboundedReceiver<Told>,
}

/// How the engine ended.
#[derive(Debug, Default)]
pub struct EngineEnd {
    /// Jobs that were begun.
    pub begun: usize,
    /// Whether the system refused a change for want of a privilege.
    pub denied: bool,
    /// The kernel parameters that were changed: before, and what they were given.
    pub changed: Vec<(String, String, Vec<String>)>,
    /// Why the engine ended by itself, before the input did.
    pub error: Option<EngineError>,
    is_settled: bool,
}

impl EngineEnd {
    /// No more connections are made: the system's settings are given back. Not later, for an output
    /// may take its time.
    fn settle(&mut self, machine: &mut Machine) {
        if !std::mem::replace(&mut self.is_settled, true) {
            (self.denied, self.changed) = (machine.was_denied(), machine.touched());
            machine.restore();
        }
    }
}

/// The time-out of a connection whose plugin set none.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
