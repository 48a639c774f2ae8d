//! The life of one run. Each step below has its number in `docs/architecture.md`.

use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use crossbeam::channel::{bounded, unbounded};
use pathspider_plugin_api::abi::{ChainSet, MeasurementObject};
use pathspider_plugin_api::{Configuration, Error, OptionValues};

use crate::chains::Catalogue;
use crate::engine::{Dialer, Engine, EngineError, Report, user_agent};
use crate::job::{Defaults, Feed, Feeder, Format, Input, JobReader, ReadError, feed};
use crate::merger::Merger;
use crate::observer::{self, Counters, Observation, Source, SourceError, SourceOptions, Watch};
use crate::output::{Output, OutputError, RecordWriter, Summary};
use crate::plugin::Found;
use crate::say::say;
use crate::stop::{Stop, Urgency};
use crate::system::Machine;

/// Jobs that may wait for the observer and the merger, beside those in flight. At full speed a job
/// waits for late packets for a tenth of a second.
const JOBS_BEHIND: usize = 1 << 13;

/// How long a run that was told to stop at once waits for an output that takes nothing.
const LAST_WORDS: Duration = Duration::from_secs(2);

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
    let closing = Closing { watch, merger, waiting, output: settings.output.to_string() };
    let Closed { mut summary, counters, output, capture } = closing.close(stop)?;
    let (engine, left) = match engine_end {
        Ok(left) => (None, left),
        Err(error) => (Some(RunError::Engine { error, denied }), None),
    };
    summary.unfinished += left.unwrap_or(0);
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
        stopped: left.is_some(),
        failure,
    })
}

/// Refuses to write over what is to be read.
fn check_files(input: &Input, output: &Output) -> Result<(), RunError> {
    use std::os::unix::fs::MetadataExt;
    let (Input::File(from), Output::File(to)) = (input, output) else { return Ok(()) };
    let identity = |path: &Path| path.metadata().ok().map(|file| (file.dev(), file.ino()));
    match (identity(from), identity(to)) {
        (Some(from), Some(same)) if from == same => {
            Err(RunError::Settings(format!("{} is both input and output", to.display())))
        }
        _ => Ok(()),
    }
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

type MergerEnd = (Summary, Option<OutputError>);

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
        (chains, source, writer): (ChainSet, Source, RecordWriter),
        stop: &Arc<Stop>,
    ) -> Result<Pipeline, RunError> {
        // What stands in these is bounded by the places: a few messages for each connection of a
        // job that has one. So no stage ever waits to send, and all can be told to stop.
        let (notices, noticed) = unbounded();
        let (observed, observations) = unbounded::<Observation>();
        let (reports, reported) = unbounded();
        let (places, freed) = bounded(settings.workers + JOBS_BEHIND);
        let system = |error| RunError::System(format!("cannot start a thread: {error}"));
        let observes = !chains.is_empty();
        let stop = Arc::clone(stop);
        let failed = move || {
            say!("the capture failed: no new targets");
            stop.finish();
        };
        let watch = observer::watch(
            source,
            chains,
            observer::Settings::default(),
            noticed,
            observed,
            failed,
        )
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
            .spawn(move || merger.run(reported, observations, writer))
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

/// The later stages, when no more connections are made.
struct Closing {
    watch: Watch,
    merger: JoinHandle<MergerEnd>,
    /// Places that are still taken are jobs that wait for their record.
    waiting: crossbeam::channel::Sender<()>,
    output: String,
}

impl Closing {
    /// Waits for them; after a second signal no longer than it takes to write what is complete.
    fn close(self, stop: &Stop) -> Result<Closed, RunError> {
        let mut hurried = None;
        while !self.merger.is_finished() {
            if stop.urgency() == Urgency::Terminate {
                self.watch.hurry();
                let since = hurried.get_or_insert_with(Instant::now);
                if since.elapsed() > LAST_WORDS {
                    return Err(RunError::Stalled {
                        output: self.output,
                        jobs: self.waiting.len(),
                    });
                }
            }
            thread::sleep(Duration::from_millis(5));
        }
        let (summary, output) = self.merger.join().map_err(|_| RunError::Panicked("merger"))?;
        self.watch.hurry();
        let (counters, capture) = self.watch.join().ok_or(RunError::Panicked("observer"))?;
        Ok(Closed { summary, counters, output, capture: capture.err() })
    }
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
