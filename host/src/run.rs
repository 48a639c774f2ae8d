//! The life of one run. Each step below has its number in `docs/architecture.md`.

mod checks;
mod pipeline;
mod plan;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pathspider_plugin_api::{Error, OptionValues};

use crate::chains::Catalogue;
use crate::engine::{Dialer, Engine, EngineError, user_agent};
use crate::job::{Defaults, Feed, Feeder, Format, Input, JobReader, ReadError, feed};
use crate::observer::{self, Counters, SourceError, SourceOptions};
use crate::output::{Output, OutputError, RecordWriter, Summary};
use crate::plugin::Loaded;
use crate::stop::Stop;
use crate::system::Machine;
use checks::{check_files, raise_descriptors};
use pipeline::{Closed, Closing, Pipeline};
use plan::{Plan, plan_chains};

/// Octets of an HTTP response's body that are kept.
const BODY_LIMIT: usize = 64 * 1024;

/// All that a run needs to know, resolved.
pub struct Settings<'a> {
    /// The measurement.
    pub measurement: &'a Loaded,
    /// Its options.
    pub options: OptionValues,
    /// The chains that exist.
    pub chains: &'a Catalogue,
    /// The capture source: an interface, perhaps with a libtrace prefix.
    pub source: String,
    /// The interface that connections leave by.
    pub interface: Option<String>,
    /// How to capture.
    pub capture: SourceOptions,
    /// How long the plugin's functions may keep a worker.
    pub plugin_timeout: Option<Duration>,
    /// Jobs in flight at most.
    pub workers: usize,
    /// Where jobs come from.
    pub input: Input,
    /// How they are written.
    pub format: Format,
    /// Where records go.
    pub output: Output,
    /// Whether records carry their connections' results.
    pub with_flows: bool,
    /// A capture file for the packets of our own connections.
    pub save_pcap: Option<PathBuf>,
}

impl Settings<'_> {
    /// How long the plugin's functions may keep a worker: unless it was said, a minute, or twice
    /// the time-out of a connection where that is more.
    fn plugin_timeout(&self) -> Duration {
        const USUAL: Duration = Duration::from_secs(60);
        let of_plugin = || self.options.timeout().map_or(USUAL, |timeout| (timeout * 2).max(USUAL));
        self.plugin_timeout.unwrap_or_else(of_plugin)
    }
}

/// How a run ended.
pub struct Ended {
    /// What it came to.
    pub summary: Summary,
    /// What the observer counted.
    pub counters: Counters,
    /// Lines that were not jobs.
    pub bad_lines: u64,
    /// How long it took.
    pub duration: Duration,
    /// Whether it was told to stop before its input ended.
    pub stopped: bool,
    /// Why it ended early, where it did not end by itself: what was finished is written.
    pub failure: Option<RunError>,
}

/// Why a run could not start, or ended early.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The plugin cannot be set up.
    #[error("the plugin {name} cannot be set up: {error}")]
    Plugin {
        /// Its name.
        name: String,
        /// Its reason.
        error: Error,
    },
    /// Packets cannot be captured, or not any more.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The input cannot be read, or not further.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Records cannot be written, or not any more.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The engine ended early.
    #[error("{error}")]
    Engine {
        /// Its reason.
        error: EngineError,
        /// Whether the reason is a missing privilege.
        denied: bool,
    },
    /// The system refuses what the run needs.
    #[error("{0}")]
    System(String),
    /// The output took nothing when the run was told to stop at once.
    #[error("{output} took no more records; {jobs} finished ones are lost")]
    Stalled {
        /// The output's name.
        output: String,
        /// Jobs whose records were not written.
        jobs: usize,
    },
    /// The arguments contradict each other.
    #[error("{0}")]
    Settings(String),
    /// A part of this program failed, which is a bug.
    #[error("the {0} panicked; please report this, with the message above")]
    Panicked(&'static str),
}

/// Runs a measurement to its end.
///
/// # Errors
///
/// The run could not start; nothing was sent. What goes wrong later is in [`Ended`].
pub fn run(settings: Settings<'_>, stop: &Arc<Stop>) -> Result<Ended, RunError> {
    let began = Instant::now();

    // 2. Ask the plugin.
    let plan = Plan::ask(&settings)?;
    let defaults = Defaults { port: plan.default_port, names: settings.measurement.info.names };
    let reader = JobReader::open(settings.input.clone(), settings.format, defaults)?;
    check_files(&settings.input, &settings.output)?;
    raise_descriptors(settings.workers)?;
    let chains = plan_chains(&settings, &plan)?;

    // 3. Open the observer: from here on, packets are captured.
    let source = observer::open(&settings.source, &settings.capture)?;
    // Last of all, for it empties a file.
    let writer = RecordWriter::open(settings.output.clone())?;
    let pipeline = Pipeline::start(&settings, &plan, (chains, source, writer), stop)?;

    // 4. Feed.
    let (jobs, inbox) = tokio::sync::mpsc::channel(settings.workers.clamp(64, 4096));
    let (feeding, feeder) = feed(reader, jobs, pipeline.places.clone(), Arc::clone(stop))
        .map_err(|error| RunError::System(format!("cannot start the feeder: {error}")))?;

    // 5–7. Prepare, configure, connect, finish.
    let Pipeline { notices, reports, places, watch, merger } = pipeline;
    let waiting = places.clone();
    drop(places);
    let mut machine = Machine::new();
    let engine = Engine {
        measurement: plan.measurement,
        configurations: plan.configurations,
        changes_system: settings.measurement.info.changes_system,
        blocking: settings.measurement.info.blocking,
        plugin_timeout: settings.plugin_timeout(),
        workers: settings.workers,
        dialer: Dialer {
            interface: settings.interface,
            user_agent: user_agent(None),
            body_limit: BODY_LIMIT,
        },
        notices,
        reports,
        stop: Arc::clone(stop),
    };
    let engine_end = engine.run(&mut machine, inbox);
    let denied = machine.was_denied();
    drop(machine);

    // 8–11. The observer settles what is claimed, the merger writes what is complete.
    let closing = Closing { watch, merger, waiting, output: settings.output.to_string() };
    let Closed { mut summary, counters, output, capture } = closing.close(stop)?;
    summary.unfinished = engine_end.in_flight as u64;
    summary.unstarted = engine_end.unstarted.unwrap_or(0);
    let engine = engine_end.error.map(|error| RunError::Engine { error, denied });
    // Where a later stage failed, an engine's error is but its consequence.
    let failure = output
        .map(RunError::from)
        .or(capture.map(RunError::from))
        .or(engine)
        .or_else(|| feeder_end(feeder, stop));
    Ok(Ended {
        summary,
        counters,
        bad_lines: Feed::bad_lines(&feeding),
        duration: began.elapsed(),
        stopped: engine_end.unstarted.is_some(),
        failure,
    })
}

/// The feeder's failure. It may still wait for input when the run was told to stop; then it is
/// left.
fn feeder_end(feeder: Feeder, stop: &Stop) -> Option<RunError> {
    if stop.is_asked() && !feeder.is_finished() {
        return None;
    }
    match feeder.join() {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.into()),
        Err(_) => Some(RunError::Panicked("feeder")),
    }
}
