//! The life of one run. Each step below has its number in `docs/architecture.md`.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use crossbeam::channel::bounded;
use pathspider_plugin_api::abi::{ChainSet, MeasurementObject};
use pathspider_plugin_api::{Configuration, Error, OptionValues};

use crate::chains::Catalogue;
use crate::engine::{Dialer, Engine, EngineError, Report, user_agent};
use crate::job::{Defaults, Feed, Format, Input, JobReader, ReadError, feed};
use crate::merger::Merger;
use crate::observer::{self, Counters, Observation, Source, SourceError, SourceOptions, Watch};
use crate::output::{Output, OutputError, RecordWriter, Summary};
use crate::plugin::Found;
use crate::stop::{Stop, Urgency};
use crate::system::Machine;

/// Messages that wait between two stages.
const QUEUE: usize = 1 << 16;

/// Jobs that may wait for the observer and the merger, beside those in flight.
const JOBS_BEHIND: usize = 1 << 15;

/// Octets of an HTTP response's body that are kept.
const BODY_LIMIT: usize = 64 * 1024;

/// Descriptors beside those of the connections.
const SPARE_DESCRIPTORS: u64 = 128;

/// All that a run needs to know, resolved.
pub struct Settings<'a> {
    /// The measurement.
    pub measurement: &'a Found,
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
    raise_descriptors(settings.workers)?;
    let writer = RecordWriter::open(settings.output.clone())?;

    // 3. Open the observer: from here on, packets are captured.
    let source = observer::open(&settings.source, &settings.capture)?;
    let pipeline =
        Pipeline::start(&settings, &plan, plan_chains(&settings, &plan)?, source, writer)?;

    // 4. Feed.
    let (jobs, inbox) = tokio::sync::mpsc::channel(settings.workers.clamp(64, 4096));
    let (feeding, feeder) = feed(reader, jobs, pipeline.places.clone(), Arc::clone(stop))
        .map_err(|error| RunError::System(format!("cannot start the feeder: {error}")))?;

    // 5–7. Prepare, configure, connect, finish.
    let Pipeline { notices, reports, places, watch, merger } = pipeline;
    drop(places);
    let mut machine = Machine::new();
    let engine = Engine {
        measurement: plan.measurement,
        configurations: plan.configurations,
        blocking: settings.measurement.info.blocking,
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
    let Closed { summary, counters, output, capture } = close(watch, merger, stop)?;
    // Where a later stage failed, an engine's error is but its consequence.
    let failure = output
        .map(RunError::from)
        .or(capture.map(RunError::from))
        .or(engine_end.err().map(|error| RunError::Engine { error, denied }))
        .or_else(|| feeder_end(feeder, stop));
    Ok(Ended {
        summary,
        counters,
        bad_lines: Feed::bad_lines(&feeding),
        duration: began.elapsed(),
        stopped: stop.is_asked(),
        failure,
    })
}

/// What the plugin says before the run.
struct Plan {
    measurement: Arc<MeasurementObject>,
    configurations: Vec<Configuration>,
    default_port: u16,
}

impl Plan {
    fn ask(settings: &Settings<'_>) -> Result<Plan, RunError> {
        let found = settings.measurement;
        let fail = |error| RunError::Plugin { name: found.info.name.clone(), error };
        let measurement = found.handle.instantiate(settings.options.clone()).map_err(fail)?;
        let configurations = measurement.configurations().map_err(fail)?;
        if configurations.is_empty() {
            return Err(fail(Error::contract("configurations: there is none")));
        }
        let default_port = measurement.default_port().map_err(fail)?;
        Ok(Plan { measurement: Arc::new(measurement), configurations, default_port })
    }
}

fn plan_chains(settings: &Settings<'_>, plan: &Plan) -> Result<ChainSet, RunError> {
    let fail = |error| RunError::Plugin { name: settings.measurement.info.name.clone(), error };
    let names = plan.measurement.chains().map_err(fail)?;
    let resolved = settings.chains.resolve(&names).map_err(|error| fail(Error::new(error)))?;
    Ok(resolved.chains)
}

type MergerEnd = (Result<Summary, OutputError>, RecordWriter);

/// The stages after the engine, running.
struct Pipeline {
    notices: crossbeam::channel::Sender<observer::Notice>,
    reports: crossbeam::channel::Sender<Report>,
    places: crossbeam::channel::Sender<()>,
    watch: Watch,
    merger: JoinHandle<MergerEnd>,
}

impl Pipeline {
    fn start(
        settings: &Settings<'_>,
        plan: &Plan,
        chains: ChainSet,
        source: Source,
        mut writer: RecordWriter,
    ) -> Result<Pipeline, RunError> {
        let (notices, noticed) = bounded(QUEUE);
        let (observed, observations) = bounded::<Observation>(QUEUE);
        let (reports, reported) = bounded(QUEUE);
        let (places, freed) = bounded(settings.workers + JOBS_BEHIND);
        let system = |error| RunError::System(format!("cannot start a thread: {error}"));
        let observes = !chains.is_empty();
        let watch =
            observer::watch(source, chains, observer::Settings::default(), noticed, observed)
                .map_err(system)?;
        let merger = Merger {
            measurement: Arc::clone(&plan.measurement),
            declared: settings.measurement.info.conditions.clone(),
            configurations: plan.configurations.len(),
            observes,
            run: run_number(),
            with_flows: settings.with_flows,
            places: freed,
        };
        let merger = thread::Builder::new()
            .name("merger".into())
            .spawn(move || (merger.run(reported, observations, &mut writer), writer))
            .map_err(system)?;
        Ok(Pipeline { notices, reports, places, watch, merger })
    }
}

/// How the later stages ended.
struct Closed {
    summary: Summary,
    counters: Counters,
    output: Option<OutputError>,
    capture: Option<SourceError>,
}

/// Waits for the observer and the merger, hastened by a second signal.
fn close(watch: Watch, merger: JoinHandle<MergerEnd>, stop: &Stop) -> Result<Closed, RunError> {
    while !merger.is_finished() {
        if stop.urgency() == Urgency::Terminate {
            watch.hurry();
        }
        thread::sleep(Duration::from_millis(5));
    }
    let (merged, mut writer) = merger.join().map_err(|_| RunError::Panicked("merger"))?;
    let (summary, mut output) = match merged {
        Ok(summary) => (summary, None),
        Err(error) => (Summary::default(), Some(error)),
    };
    if output.is_none() {
        output = writer.flush().err();
    }
    watch.hurry();
    let (counters, capture) = watch.join();
    Ok(Closed { summary, counters, output, capture: capture.err() })
}

/// The feeder's failure. It may still wait for input when the run was told to stop; then it is
/// left.
fn feeder_end(feeder: JoinHandle<Result<(), ReadError>>, stop: &Stop) -> Option<RunError> {
    if stop.is_asked() && !feeder.is_finished() {
        return None;
    }
    match feeder.join() {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.into()),
        Err(_) => Some(RunError::Panicked("feeder")),
    }
}

/// A number that no other run has.
fn run_number() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    // Nanoseconds of 2026 take 61 bits; the process distinguishes runs that start together.
    u64::try_from(since.as_nanos()).unwrap_or(0) ^ u64::from(std::process::id()) << 40
}

/// Raises the limit of open descriptors to what the connections need.
fn raise_descriptors(workers: usize) -> Result<(), RunError> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let needed = workers as u64 + SPARE_DESCRIPTORS;
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    limit.current = Some(needed);
    let hard = limit.maximum;
    if hard.is_some_and(|hard| hard < needed) {
        limit.maximum = Some(needed);
    }
    setrlimit(Resource::Nofile, limit).map_err(|error| {
        let hard = hard.unwrap_or(0);
        RunError::System(format!(
            "{workers} workers need {needed} open files, and the limit is {hard} ({error}): raise \
             it (ulimit -n {needed}) or use at most -w {}",
            hard.saturating_sub(SPARE_DESCRIPTORS)
        ))
    })
}
