//! The stages after the engine: their start, and their end.

use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam::channel::{bounded, unbounded};
use pathspider_plugin_api::abi::ChainSet;
use pathspider_plugin_api::chains::rtt;
use tokio::sync::mpsc;

use super::known::Known;
use super::plan::Plan;
use super::{RunError, RunOptions};
use crate::engine::{Feedback, JOBS_BEHIND, Measured, Report};
use crate::forward;
use crate::job::Feed;
use crate::locating::{Stage, Wire};
use crate::merger::{Asking, Merger, Searches};
use crate::output::{OutputError, RecordWriter, Summary};
use crate::rounds::Standings;
use pathspider_observer::{Counters, Observation, PcapWriter, Source, SourceError, Told, Watch};
use pathspider_runtime::patience::LAST_WORDS;
use pathspider_runtime::say;
use pathspider_runtime::stop::{Stop, Urgency};
use pathspider_runtime::threads::Threads;
use pathspider_runtime::watchdog::{self, Watchdog};

/// The stages after the engine, running.
pub(super) struct Pipeline {
    pub(super) measured: Arc<Measured>,
    pub(super) notices: crossbeam::channel::Sender<pathspider_observer::Notice>,
    pub(super) reports: crossbeam::channel::Sender<Report>,
    pub(super) places: crossbeam::channel::Sender<()>,
    /// From the merger to the engine.
    pub(super) heard: mpsc::UnboundedReceiver<Feedback>,
    /// From the observer to the engine.
    pub(super) answers: mpsc::UnboundedReceiver<Told>,
    /// How many jobs have ended.
    pub(super) ended: Arc<AtomicUsize>,
    pub(super) waiting: Arc<AtomicU64>,
    pub(super) watch: Watch,
    pub(super) merger: JoinHandle<Option<OutputError>>,
    pub(super) summary: Arc<Mutex<Summary>>,
}

impl Pipeline {
    pub(super) fn start(
        threads: Threads,
        (options, plan, standings): (&RunOptions<'_>, &Plan, Option<Arc<Standings>>),
        (chains, source, save): (ChainSet, Option<Source>, Option<PcapWriter>),
        wire: Option<Wire>,
        writer: RecordWriter,
        stop: &Arc<Stop>,
    ) -> Result<Pipeline, RunError> {
        // What stands in these is bounded by the places: a few messages for each connection of a
        // job that has one. So no stage ever waits to send, and all can be told to stop.
        let (notices, noticed) = unbounded();
        let (observed, observations) = unbounded::<Observation>();
        let (reports, reported) = unbounded();
        let (places, freed) = bounded(options.workers + JOBS_BEHIND);
        let slots = Arc::clone(chains.slots());
        let (told, answers) = mpsc::unbounded_channel();
        let keep = pathspider_observer::Settings {
            answers: options.measurement.info.forges.then_some(told),
            save,
            ..pathspider_observer::Settings::default()
        };
        let (capture_stop, output_stop) = (Arc::clone(stop), Arc::clone(stop));
        let failed = move || {
            capture_stop.finish("the capture");
            say!("the capture failed: no new targets");
        };
        let watch = pathspider_observer::watch(source, chains, keep, noticed, observed, failed)
            .map_err(RunError::no_thread)?;
        let summary = Arc::<Mutex<Summary>>::default();
        let ended = Arc::<AtomicUsize>::default();
        let (tell, heard) = mpsc::unbounded_channel();
        let waiting = writer.waiting();
        let measured = Arc::new(Measured {
            object: Arc::clone(&plan.measurement),
            info: options.measurement.info.clone(),
            configurations: plan.configurations.len(),
            slots,
        });
        // What the merger asks, with threads of their own. They end when it asks no more.
        let mut asked_stages = Vec::new();
        let locating = options.locating;
        let searches = match (locating, wire) {
            (Some(locating), Some(wire)) => {
                let (ask, asked) = unbounded();
                let (tell, found) = unbounded();
                let stage = Stage::new(wire, locating, (asked, tell), Arc::clone(stop));
                let thread = threads.start("locator", move || stage.run());
                asked_stages.push(thread.map_err(RunError::no_thread)?);
                Searches::new(ask, found)
            }
            _ => Searches::none(),
        };
        let asking = match &options.responders {
            Some(responders) => {
                let (ask, asked) = unbounded();
                let (tell, answered) = unbounded();
                let (responders, interface) = (responders.clone(), options.interface.clone());
                let (ends, stop) = ((asked, tell), Arc::clone(stop));
                let stage = forward::Stage::new(responders, interface, ends, stop);
                let thread = threads.start("responders", move || stage.run());
                asked_stages.push(thread.map_err(RunError::no_thread)?);
                Asking::new(ask, answered)
            }
            None => Asking::none(),
        };
        let merger = Merger {
            locating: locating.map(|locating| locating.when),
            most_located: locating.map_or(0, |locating| locating.most),
            configurations: plan.configurations.clone(),
            measurement: Arc::clone(&measured),
            run: plan.run,
            // People want the evidence.
            with_flows: options.with_flows || options.answers.is_some(),
            with_round_trips: plan.chains.iter().any(|chain| chain.0 == rtt::CHAIN.name),
            summary: Arc::clone(&summary),
            ends: options.ends.clone(),
            standings,
            places: freed,
        };
        let merger = threads
            .start("merger", move || {
                watchdog::watch_this_thread();
                let failure = merger.run(reported, observations, tell, (asking, searches), writer);
                if failure.is_some() {
                    // What cannot be written need not be measured.
                    output_stop.terminate("the output");
                }
                // They have their last words before the run has its own.
                for stage in asked_stages {
                    let _ = stage.join();
                }
                failure
            })
            .map_err(RunError::no_thread)?;
        Ok(Pipeline {
            measured,
            notices,
            reports,
            places,
            heard,
            answers,
            ended,
            waiting,
            watch,
            merger,
            summary,
        })
    }
}

impl Pipeline {
    /// What is known of the run while it goes on.
    pub(super) fn known(
        &self,
        fed: &Feed,
        in_flight: &Arc<AtomicUsize>,
    ) -> Known<impl Fn() -> Counters + Send + 'static> {
        Known {
            fed: fed.clone(),
            summary: Arc::clone(&self.summary),
            counters: self.watch.counters(),
            in_flight: Arc::clone(in_flight),
            ended: Arc::clone(&self.ended),
            waiting: Arc::clone(&self.waiting),
            places: self.places.clone(),
        }
    }
}

/// How the later stages ended.
pub(super) struct Closed {
    pub(super) summary: Summary,
    pub(super) counters: Counters,
    pub(super) output: Option<OutputError>,
    pub(super) capture: Option<SourceError>,
}

/// The later stages, when no more connections are made.
pub(super) struct Closing {
    pub(super) watch: Watch,
    pub(super) merger: JoinHandle<Option<OutputError>>,
    pub(super) summary: Arc<Mutex<Summary>>,
    /// Places that are still taken are jobs that wait for their record.
    pub(super) waiting: crossbeam::channel::Sender<()>,
    pub(super) output: String,
}

impl Closing {
    /// Waits for them; after a second signal no longer than it takes to write what is complete.
    pub(super) fn close(self, stop: &Stop, watchdog: &Watchdog) -> Result<Closed, RunError> {
        let mut hurried = None;
        while !self.merger.is_finished() {
            if stop.urgency() == Urgency::Terminate {
                self.watch.hurry();
                if watchdog.is_deciding() {
                    // It may be the plugin that holds them up, and no output.
                    hurried = None;
                }
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
        let output = self.merger.join().map_err(|_| RunError::Panicked("merger"))?;
        let summary = self.summary.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.watch.hurry();
        let (counters, capture) = self.watch.join().ok_or(RunError::Panicked("observer"))?;
        Ok(Closed { summary, counters, output, capture: capture.err() })
    }
}
