//! The life of one run. Each step below has its number in `docs/architecture.md`.

mod checks;
mod ended;
mod finishing;
mod giving_up;
mod keeping;
mod limit;
mod looking;
mod pipeline;
mod plan;

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use pathspider_plugin_api::abi::ChainSet;
use pathspider_plugin_api::{OptionValues, Record};

use crate::engine::{Dialer, Engine, Forger, Limits};
use crate::job::{self, Feeder, Feeding, Format, Input, JobReader, feed};
use crate::merger::Ends;
use crate::output::{Output, RecordWriter};
use crate::progress::{Prepared, Showing};
use crate::route::Routes;
use checks::{check_files, raise_descriptors};
use ended::not_restored;
pub use ended::{Ended, RunError};
pub use keeping::Keep;
use keeping::{Keeping, LastWord};
use limit::Limit;
use looking::looking;
use pathspider_observer::chains::Catalogue;
use pathspider_observer::{PcapWriter, Source, SourceOptions};
use pathspider_plugins::{Loaded, Plugin};
use pathspider_runtime::crash;
use pathspider_runtime::privileges;
use pathspider_runtime::say;
use pathspider_runtime::stop::{Caught, Stop, Urgency};
use pathspider_runtime::watchdog::{self, Watchdog};
use pathspider_system::Machine;
use pipeline::{Closed, Closing, Pipeline};
use plan::{Plan, plan_chains};

/// All that a run needs to know, resolved.
pub struct Settings<'a> {
    /// The measurement.
    pub measurement: &'a Loaded,
    /// Its options.
    pub options: OptionValues,
    /// The chains that exist.
    pub chains: &'a Catalogue,
    /// The files that they, and the measurement, come from.
    pub plugins: &'a [Plugin],
    /// The capture source: an interface, perhaps with a libtrace prefix. A measurement without
    /// chains needs none.
    pub source: Option<String>,
    /// The interface that connections leave by.
    pub interface: Option<String>,
    /// Whom to ask about HTTP requests; sent with them.
    pub contact: Option<String>,
    /// Octets of an HTTP response's body that are kept.
    pub body_limit: usize,
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
    /// Which of them are measured.
    pub rules: job::Rules,
    /// When connections may start.
    pub limits: Limits,
    /// When no more are begun.
    pub max_runtime: Option<Duration>,
    /// What is known of this end of the paths.
    pub ends: Ends,
    /// Where records go.
    pub output: Output,
    /// Whether records carry their connections' results.
    pub with_flows: bool,
    /// What becomes of outputs that are there already, and whose records they are.
    pub keep: Keep,
    /// How the run is shown while it goes.
    pub showing: Showing,
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

/// Runs a measurement to its end. `announce` is called with each request to stop that a signal made.
///
/// # Errors
///
/// The run could not start, and nothing was sent, or could not even end in order. What goes wrong
/// between is in [`Ended`].
pub fn run(settings: Settings<'_>, announce: fn(Urgency)) -> Result<Ended, RunError> {
    let began = Instant::now();
    let limit = Limit::new(began, settings.max_runtime);

    // 2. Ask the plugin.
    let plan = Plan::ask(&settings)?;
    // Not earlier: a plugin that stays in these functions is ended by any signal.
    let stop = &Stop::new();
    let signals = Caught::new(Arc::clone(stop), announce)
        .map_err(|error| RunError::System(format!("cannot handle signals: {error}")))?;
    let reader = JobReader::open(&settings.input, settings.format)?;
    check_files(&settings)?;
    let chains = plan_chains(&settings, &plan)?;
    crash::loaded(settings.plugins.iter().map(|plugin| plugin.file.path.as_path()));
    // Before it waits for another run, which is not to change what is found.
    let caught = RefCell::new(signals);
    let is_asked = || {
        caught.borrow_mut().look();
        limit.look(stop);
        stop.is_asked()
    };
    let mut keeping = Keeping::prepare(&settings, &plan, &is_asked)?;
    let showing = settings.showing.prepare(settings.keep.existing, &is_asked)?;
    let info = &settings.measurement.info;
    let beside = raise_descriptors(settings.workers, plan.configurations.len(), info.forges)?;
    let interface = settings.interface.clone();
    let routes = Rc::new(Routes::new(interface.as_deref()));
    let courtesy = Arc::clone(&settings.rules.courtesy);
    let contact = settings.contact.as_deref();
    let dialer = Dialer::new(interface, Rc::clone(&routes), courtesy, contact, settings.body_limit)
        .map_err(|error| RunError::System(format!("cannot set TLS up: {error}")))?;

    // Before there are threads (see `system::keeper`).
    if info.changes_system && !privileges::may_change_network() {
        return Err(RunError::NoNetworkPrivilege(info.name.clone()));
    }
    let mut machine = match info.changes_system {
        true => Machine::begin(&info.name, &is_asked)?,
        false => Machine::new(),
    };
    say::begin()
        .and_then(|()| caught.into_inner().listen())
        .map_err(|error| RunError::System(format!("cannot start a thread: {error}")))?;

    // 3. Open the observer: from here on, packets are captured. Where nobody looks at them, no
    // packet is, and no privilege is needed. Of answers to forged ones, only the capture tells.
    let source = match chains.is_empty() && settings.save_pcap.is_none() && !info.forges {
        true => None,
        false => {
            let uri = settings.source.as_ref().ok_or(RunError::NoInterface)?;
            Some(pathspider_observer::open(uri, &settings.capture)?)
        }
    };
    let forger = open_forger(&settings, &plan, routes)?;
    privileges::reduce(info.changes_system);
    // Last of all, for it may empty files.
    let link = source.as_ref().and_then(Source::link_number);
    let opened = keeping.open(&settings, link);
    let done = keeping.done.take();
    let last = keeping.last_word();
    let connecting = (dialer, forger, beside);
    let mut ended = opened.and_then(|(writer, save)| {
        let stages = Stages {
            began,
            limit,
            reader,
            done,
            chains,
            source,
            connecting,
            writer,
            save,
            showing,
            last,
        };
        carry_out(settings, plan, stages, &mut machine, stop)
    });
    // Where it did not come so far by itself.
    machine.restore();
    let what = machine.take_failed();
    if !what.is_empty() {
        ended = not_restored(what, ended);
    }
    let kept = keeping.end(&ended);
    match (&mut ended, kept) {
        (_, Ok(())) => {}
        (Ok(Ended { failure: failure @ None, .. }), Err(error)) => *failure = Some(error.into()),
        // It failed of something else before.
        (_, Err(error)) => say!("{error}"),
    }
    ended
}

/// What the stages of a run begin with.
struct Stages {
    began: Instant,
    limit: Limit,
    reader: JobReader,
    done: Option<job::Done>,
    chains: ChainSet,
    source: Option<Source>,
    connecting: (Dialer, Option<Forger>, usize),
    writer: RecordWriter,
    save: Option<PcapWriter>,
    showing: Prepared,
    /// What is said in the metadata where the stages do not come to their end.
    last: Option<LastWord>,
}

/// Runs the stages to their end.
fn carry_out(
    mut settings: Settings<'_>,
    plan: Plan,
    stages: Stages,
    machine: &mut Machine,
    stop: &Arc<Stop>,
) -> Result<Ended, RunError> {
    let Stages { began, limit, reader, done, chains, source, connecting, .. } = stages;
    let (writer, save, showing, last) = (stages.writer, stages.save, stages.showing, stages.last);
    let (dialer, forger, beside) = connecting;
    let pipeline = Pipeline::start(&settings, &plan, (chains, source, writer, save), stop)?;

    // 4. Feed.
    let (jobs, inbox) = tokio::sync::mpsc::channel(settings.workers.clamp(64, 4096));
    let feeding = Feeding {
        rules: std::mem::take(&mut settings.rules),
        names: settings.measurement.info.names,
        port: plan.default_port,
        interface: settings.interface.clone(),
        done,
    };
    let (fed, feeder) = feed(reader, feeding, (jobs, pipeline.places.clone()), Arc::clone(stop))
        .map_err(|error| RunError::System(format!("cannot start the feeder: {error}")))?;
    limit
        .start(Arc::clone(stop))
        .map_err(|error| RunError::System(format!("cannot start a thread: {error}")))?;

    // 5–7. Prepare, configure, connect, finish.
    let in_flight = Arc::<AtomicUsize>::default();
    let known = pipeline.known(&fed, &in_flight);
    let Pipeline { notices, reports, places, behind, watch, merger, summary, .. } = pipeline;
    watchdog::watch_this_thread();
    let give_up = move |why| known.write(last, why);
    let watchdog = Watchdog::start(settings.plugin_timeout(), Arc::clone(stop), give_up)
        .map_err(|error| RunError::System(format!("cannot start a thread: {error}")))?;
    let engine = Engine {
        measurement: Arc::clone(&plan.measurement),
        configurations: plan.configurations,
        changes_system: settings.measurement.info.changes_system,
        blocking: settings.measurement.info.blocking,
        plugin_timeout: settings.plugin_timeout(),
        workers: settings.workers,
        beside,
        limits: settings.limits,
        dialer,
        forger: forger.map(|forger| {
            let counters = watch.counters();
            forger.slowed_by(move || counters().lost())
        }),
        notices,
        reports,
        stop: Arc::clone(stop),
        in_flight: Arc::clone(&in_flight),
        behind,
    };
    let look = looking(&fed, &summary, watch.counters(), in_flight);
    let shown = showing
        .start(look)
        .map_err(|error| RunError::System(format!("cannot show the run: {error}")))?;
    let engine_end = engine.run(machine, inbox);
    let (denied, changed) = (machine.was_denied(), machine.touched());
    // Now, for an output may take its time.
    machine.restore();

    // 8–11. The observer settles what is claimed, the merger writes what is complete.
    let closing =
        Closing { watch, merger, summary, waiting: places, output: settings.output.to_string() };
    let Closed { mut summary, counters, output, capture } = closing.close(stop, &watchdog)?;
    drop((shown, watchdog));
    let limit = settings.plugin_timeout();
    let finished = finishing::finish(plan.measurement, limit, stop).unwrap_or_else(|error| {
        summary.count_error(&error);
        Record::new()
    });
    summary.unfinished = engine_end.in_flight as u64;
    summary.unstarted = engine_end.unstarted.map_or(0, |unread| unread + fed.counts().held);
    let engine = engine_end.error.map(|error| RunError::Engine { error, denied });
    // Where a later stage failed, an engine's error is but its consequence.
    let failure = output
        .map(RunError::from)
        .or(capture.map(RunError::from))
        .or(engine)
        .or_else(|| feeder_end(feeder, stop.is_asked() || fed.counts().limited));
    Ok(Ended {
        summary,
        counters,
        input: fed.counts(),
        duration: began.elapsed(),
        stopped: engine_end.unstarted.is_some().then(|| stop.why()),
        changed,
        finished,
        failure,
    })
}

/// Opens what forged packets are sent with, where the plugin declared them.
fn open_forger(
    settings: &Settings<'_>,
    plan: &Plan,
    routes: Rc<Routes>,
) -> Result<Option<Forger>, RunError> {
    if !settings.measurement.info.forges {
        return Ok(None);
    }
    let courtesy = Arc::clone(&settings.rules.courtesy);
    let interface = settings.interface.as_deref();
    let opened = Forger::open(interface, plan.configurations.len(), routes, courtesy);
    opened.map(Some).map_err(|error| {
        RunError::System(format!("cannot open what forged packets are sent with: {error}"))
    })
}

/// The feeder's failure. It may still wait for input of which no more is wanted; then it is left.
fn feeder_end(feeder: Feeder, is_enough: bool) -> Option<RunError> {
    if is_enough && !feeder.is_finished() {
        return None;
    }
    match feeder.join() {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.into()),
        Err(_) => Some(RunError::Panicked("feeder")),
    }
}
