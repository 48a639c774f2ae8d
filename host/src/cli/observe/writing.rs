//! Observing on a thread of its own, and its records: an output that takes nothing cannot keep the
//! program from being stopped.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use pathspider_plugin_api::abi::ChainSet;
use pathspider_plugin_api::{Error, FlowRecord};

use crate::cli::exit::{Exit, Failure};
use crate::output::{Keys, OutputError, RecordWriter};
use crate::run::RunError;
use pathspider_observer::{Observed, Settings, Sink, Source, observe};
use pathspider_runtime::patience::LAST_WORDS;
use pathspider_runtime::stop::{Stop, Urgency};
use pathspider_runtime::threads::Threads;

/// Between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(5);

/// How observing ended, and what became of the records.
pub(super) struct ObservingEnd {
    pub(super) source: Source,
    pub(super) observed: Observed,
    /// Why records could not be written.
    pub(super) output: Result<(), OutputError>,
    pub(super) failed_flows: u64,
    pub(super) chain_failure: Option<Error>,
}

/// Observing, under way.
pub(super) struct Observing {
    thread: JoinHandle<ObservingEnd>,
    tally: Arc<Tally>,
}

/// How far the writing is, for threads that wait for it.
struct Tally {
    /// Flows that have ended.
    ended: AtomicU64,
    /// How many of them the output has not taken.
    waiting: Arc<AtomicU64>,
    /// Whether the output is being written.
    writing: AtomicBool,
    /// Whether all flows have ended.
    over: AtomicBool,
}

impl Tally {
    fn now(&self) -> (u64, u64) {
        (self.ended.load(Ordering::Relaxed), self.waiting.load(Ordering::Relaxed))
    }
}

impl Observing {
    /// Begins it.
    ///
    /// # Errors
    ///
    /// The thread cannot be started.
    pub(super) fn start(
        threads: Threads,
        mut source: Source,
        chains: ChainSet,
        settings: Settings,
        records: RecordWriter,
    ) -> io::Result<Observing> {
        let tally = Arc::new(Tally {
            ended: AtomicU64::new(0),
            waiting: records.waiting(),
            writing: AtomicBool::new(false),
            over: AtomicBool::new(false),
        });
        let mut writer = Writer {
            keys: Keys::of(chains.slots()),
            records,
            tally: Arc::clone(&tally),
            failure: None,
            failed_flows: 0,
            chain_failure: None,
        };
        let thread = threads.start("observer", move || {
            let observed = observe(&mut source, chains, &settings, &mut writer);
            writer.tally.over.store(true, Ordering::Relaxed);
            // Also what was there before a failure.
            let finished = writer.writing(|writer| writer.records.finish());
            let output = writer.failure.take().map_or(finished, Err);
            let Writer { failed_flows, chain_failure, .. } = writer;
            ObservingEnd { source, observed, output, failed_flows, chain_failure }
        })?;
        Ok(Observing { thread, tally })
    }

    /// Waits for its end; after a second signal no longer than the output takes something.
    pub(super) fn end(self, stop: &Stop, output: &str) -> Result<ObservingEnd, Failure> {
        // Looks are counted, for where the machine stands still, nobody could take anything.
        let patience = LAST_WORDS.as_millis() / LOOK.as_millis();
        let (mut last, mut looks) = (self.tally.now(), 0);
        while !self.thread.is_finished() {
            let now = self.tally.now();
            looks = match stop.urgency() {
                Urgency::Terminate if now == last => looks + 1,
                _ => 0,
            };
            last = now;
            if looks > patience {
                return Err(self.given_up(output));
            }
            thread::sleep(LOOK);
        }
        self.thread.join().map_err(|_| Failure::new(Exit::Failed, RunError::Panicked("observer")))
    }

    fn given_up(&self, output: &str) -> Failure {
        let (_, lost) = self.tally.now();
        let over = self.tally.over.load(Ordering::Relaxed);
        if over && lost == 0 {
            let what = "all records are written, but the disk has not confirmed that";
            return Failure::new(Exit::NoOutput, format!("{output}: {what}"));
        }
        let others = if over { "" } else { ", and those of flows that went on" };
        let what = format_args!("up to {lost} finished ones are lost{others}");
        if self.tally.writing.load(Ordering::Relaxed) {
            Failure::new(Exit::NoOutput, format!("{output} took no more records; {what}"))
        } else {
            Failure::new(
                Exit::Failed,
                format!("a chain or the source gave no more records; {what}"),
            )
        }
    }
}

/// Writes records, in whole lines, whenever the packets that were there are all seen.
struct Writer {
    keys: Keys,
    records: RecordWriter,
    tally: Arc<Tally>,
    /// The observer only needs to know that it failed; the reason is reported at the end.
    failure: Option<OutputError>,
    failed_flows: u64,
    chain_failure: Option<Error>,
}

impl Writer {
    fn writing(
        &mut self,
        write: impl FnOnce(&mut Writer) -> Result<(), OutputError>,
    ) -> Result<(), OutputError> {
        self.tally.writing.store(true, Ordering::Relaxed);
        let written = write(self);
        self.tally.writing.store(false, Ordering::Relaxed);
        written
    }

    fn note(&mut self, result: Result<(), OutputError>) -> io::Result<()> {
        result.map_err(|error| {
            self.failure = Some(error);
            io::ErrorKind::Other.into()
        })
    }
}

impl Sink for Writer {
    fn flow(&mut self, record: &FlowRecord, failure: Option<Error>) -> io::Result<()> {
        if let Some(failure) = failure {
            self.failed_flows += 1;
            self.chain_failure.get_or_insert(failure);
        }
        self.tally.ended.fetch_add(1, Ordering::Relaxed);
        let written =
            self.writing(|Writer { keys, records, .. }| records.write(&keys.line(record)));
        self.note(written)
    }

    fn pause(&mut self) -> io::Result<()> {
        let result = self.writing(|writer| writer.records.flush());
        self.note(result)
    }
}
