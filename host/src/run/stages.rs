//! The stages of a run, as states too: running, connected, settled (steps 4 to 11).

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use pathspider_plugin_api::Record;
use pathspider_plugin_api::abi::{ChainSet, MeasurementObject};

use super::RunOptions;
use super::end::{RunEnd, RunError};
use super::finishing;
use super::here;
use super::keeping::{LastWord, Written};
use super::pipeline::{Closed, Closing, Pipeline};
use super::plan::Plan;
use crate::engine::{Dialer, Engine, EngineEnd, Forger, Inbox};
use crate::job::{Done, Feed, Feeder, Feeding, JobReader, feed};
use crate::locating::Wire;
use crate::output::{Cause, Counted};
use crate::progress::{Prepared, Shown};
use crate::rounds::Standings;
use crate::route::Learned;
use pathspider_observer::{Elsewhere, Source};
use pathspider_runtime::ending;
use pathspider_runtime::stop::Stop;
use pathspider_runtime::threads::Threads;
use pathspider_runtime::watchdog::{self, Watchdog};
use pathspider_system::Machine;

/// What the stages begin with.
pub(super) struct Stages<'a> {
    pub(super) options: RunOptions<'a>,
    pub(super) plan: Plan,
    pub(super) chains: ChainSet,
    pub(super) stop: Arc<Stop>,
    pub(super) began: Instant,
    pub(super) threads: Threads,
    pub(super) reader: JobReader,
    pub(super) written: Written,
    pub(super) showing: Prepared,
    pub(super) dialer: Dialer,
    pub(super) beside: usize,
    pub(super) source: Option<Source>,
    pub(super) forger: Option<Forger>,
    /// What paths are searched with.
    pub(super) wire: Option<Wire>,
    /// Where answers should not come in.
    pub(super) elsewhere: Option<Elsewhere>,
    /// What is said in the metadata where the stages do not come to their end.
    pub(super) last_word: Option<LastWord>,
}

impl Stages<'_> {
    /// Runs them to their end.
    pub(super) fn run(self, machine: &mut Machine) -> Result<RunEnd, RunError> {
        Ok(self.start()?.connect(machine).settle()?.finish())
    }

    /// Starts all stages but the engine: observer and merger, then the feeder (step 4).
    fn start(self) -> Result<Running, RunError> {
        let Stages { options, plan, stop, began, threads, reader, written, showing, .. } = self;
        let Written { writer, save, mut done } = written;
        let folds = done.as_mut().map(Done::take_folds).unwrap_or_default();
        let schedule = options.rules.rounds;
        let standings = schedule.map(|schedule| Arc::new(Standings::new(schedule, folds)));
        let (output, plugin_timeout) = (options.output.to_string(), options.plugin_timeout());
        let info = &options.measurement.info;
        let packets = (self.chains, self.source, save);
        let given = (&options, &plan, standings.clone());
        let pipeline = Pipeline::start(threads, given, packets, self.wire, writer, &stop)?;

        let (jobs, read) = tokio::sync::mpsc::channel(options.workers.clamp(64, 4096));
        let feeding = Feeding {
            rules: options.rules,
            names: info.names,
            port: plan.default_port,
            interface: options.interface.clone(),
            done,
            standings,
        };
        let onward = (jobs, pipeline.places.clone());
        let (fed, feeder) = feed(threads, reader, feeding, onward, Arc::clone(&stop))
            .map_err(|error| RunError::System(format!("cannot start the feeder: {error}")))?;
        let in_flight = Arc::<AtomicUsize>::default();
        let known = Arc::new(pipeline.known(&fed, &in_flight));

        watchdog::watch_this_thread();
        let (last_word, last_known) = (self.last_word, Arc::clone(&known));
        ending::remember(move |why| last_known.write(last_word, why));
        let watchdog = Watchdog::start(threads, plugin_timeout, Arc::clone(&stop))
            .map_err(RunError::no_thread)?;
        let shown = showing
            .start(threads, move || known.snapshot())
            .map_err(|error| RunError::System(format!("cannot show the run: {error}")))?;
        let Pipeline { measured, notices, reports, places, heard, answers, ended, .. } = pipeline;
        let (watch, merger, summary) = (pipeline.watch, pipeline.merger, pipeline.summary);
        let engine = Engine {
            measurement: measured,
            configurations: plan.configurations,
            plugin_timeout,
            workers: options.workers,
            beside: self.beside,
            limits: options.limits,
            dialer: self.dialer,
            forger: self.forger.map(|forger| {
                let counters = watch.counters();
                forger.slowed_by(move || counters().lost())
            }),
            learned: schedule.and_then(|_| Learned::open().ok()),
            notices,
            reports,
            stop: Arc::clone(&stop),
            in_flight,
            ended,
        };
        let measurement = plan.measurement;
        let (interface, elsewhere) = (options.interface, self.elsewhere);
        let fed = (fed, feeder);
        let last =
            Last { measurement, plugin_timeout, threads, stop, began, fed, interface, elsewhere };
        let closing = Closing { watch, merger, summary, waiting: places, output };
        let inbox = Inbox { jobs: read, heard, answers };
        Ok(Running { engine, inbox, rest: Rest { closing, watchdog, shown, last } })
    }
}

/// All stages run, and the engine waits for its begin.
struct Running {
    engine: Engine,
    inbox: Inbox,
    rest: Rest,
}

/// What goes on beside the engine, and after it.
struct Rest {
    closing: Closing,
    watchdog: Watchdog,
    shown: Shown,
    last: Last,
}

/// What the last step needs.
struct Last {
    measurement: Arc<MeasurementObject>,
    plugin_timeout: Duration,
    threads: Threads,
    stop: Arc<Stop>,
    began: Instant,
    fed: (Feed, Feeder),
    interface: Option<String>,
    elsewhere: Option<Elsewhere>,
}

impl Running {
    /// Prepares, configures, connects (steps 5 to 7). The engine restores the machine when no more
    /// connections are made, and goes on until all records are written, unless it is to end at once.
    fn connect(self, machine: &mut Machine) -> Connected {
        let Running { engine, inbox, rest } = self;
        Connected { end: engine.run(machine, inbox), rest }
    }
}

/// No more connections are made, and the machine is as it was.
struct Connected {
    end: EngineEnd,
    rest: Rest,
}

impl Connected {
    /// The observer answers what is claimed, and the merger writes what is complete (steps 8 to 10).
    fn settle(self) -> Result<Settled, RunError> {
        let Connected { end, rest: Rest { closing, watchdog, shown, last } } = self;
        let closed = closing.close(&last.stop, &watchdog)?;
        drop((shown, watchdog));
        Ok(Settled { end, closed, last })
    }
}

/// All records are written.
struct Settled {
    end: EngineEnd,
    closed: Closed,
    last: Last,
}

impl Settled {
    /// Has the plugin end the run, and puts together what it came to (step 11).
    fn finish(self) -> RunEnd {
        let Settled { end, closed, last } = self;
        let Closed { mut summary, counters, output, capture } = closed;
        let Last { measurement, plugin_timeout, threads, stop, began, .. } = last;
        let (fed, feeder) = last.fed;
        let finished = finishing::finish(threads, measurement, plugin_timeout, &stop);
        let finished = finished.unwrap_or_else(|error| {
            summary.count_error(&error);
            Record::new()
        });
        // Nobody takes jobs any more, so the feeder waits for nothing but input.
        let input = fed.close(&feeder);
        fed.say_rest();
        summary.left_of(&input, end.begun as u64);
        summary.rounds = input.of_rounds.map(|_| input.rounds);
        let engine = end.error.map(|error| RunError::Engine { error, denied: end.denied });
        // Where a later stage failed, an engine's error is but its consequence.
        let failure =
            output.map(RunError::from).or(capture.map(RunError::from)).or(engine).or_else(|| {
                feeder_end(feeder, stop.is_asked() || (input.limited && !input.rounds_left))
            });
        let counted = Counted { summary, input, capture: counters };
        let cause = Cause::of(&counted, &here::look(last.interface, counted.summary.a_target));
        RunEnd {
            // It says "finished" of nothing else than all that was to be measured.
            stopped: counted.is_left().then(|| stop.why()),
            counted,
            cause,
            duration: began.elapsed(),
            changed: end.changed,
            finished,
            strays: last.elsewhere.and_then(Elsewhere::close),
            failure,
        }
    }
}

/// The feeder's failure. If it still waits for input that nobody wants any more, it is left.
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
