//! The observer's thread in a measurement.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender};
use pathspider_plugin_api::abi::ChainSet;

use super::counters::Counters;
use super::measuring::Measuring;
use super::notice::{Notice, Observation};
use super::source::{Progress, Source, SourceError};
use super::tracker::Tracker;
use super::{Settings, nanoseconds};
use pathspider_runtime::privileges;
use pathspider_runtime::watchdog;

/// The observer's thread. It ends when no notice can come any more and all claims are answered.
pub struct Watch {
    thread: JoinHandle<Result<(), SourceError>>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    counters: Mutex<Counters>,
    hurry: AtomicBool,
}

/// Observes the connections that notices announce, on a thread of its own.
///
/// Without a source, every claim is answered with nothing. Every claim is answered once on `observations`, which may be bounded: the observer waits for
/// room in it. Should the source fail, `failed` is called, on that thread, and claims are answered
/// with what was seen. It is called, too, when packets cannot be saved any more.
///
/// # Errors
///
/// The thread cannot be started.
pub fn watch(
    source: impl Into<Option<Source>>,
    chains: ChainSet,
    mut settings: Settings,
    notices: Receiver<Notice>,
    observations: Sender<Observation>,
    failed: impl FnOnce() + Send + 'static,
) -> io::Result<Watch> {
    let source = source.into();
    let save = settings.save.take();
    let span = settings.idle.max(settings.linger);
    let tracker = Tracker::new(chains, nanoseconds(span));
    let measuring = Measuring::new(tracker, &settings, notices, observations, save);
    let shared = Arc::new(Shared::default());
    let theirs = shared.clone();
    let thread = std::thread::Builder::new().name("observer".into()).spawn(move || {
        privileges::give_up();
        watchdog::watch_this_thread();
        let (begun, waited) = (Instant::now(), LONGEST_WAIT);
        Thread { source, measuring, shared: theirs, begun, waited }.run(failed)
    })?;
    Ok(Watch { thread, shared })
}

impl Watch {
    /// Reads the counters as they were a moment ago. Cheap: the thread is not disturbed.
    pub fn counters(&self) -> impl Fn() -> Counters + Send + 'static {
        let shared = Arc::clone(&self.shared);
        move || shared.counters()
    }

    /// Has claims wait for no late packets from now on: what was sent and received until their connections
    /// ended is all that they are answered with.
    pub fn hurry(&self) {
        self.shared.hurry.store(true, Ordering::Relaxed);
    }

    /// Waits for the thread's end, which comes when the notices' senders are gone.
    ///
    /// The error is the source's, if it failed; all claims were answered nevertheless. `None`
    /// when the thread panicked.
    pub fn join(self) -> Option<(Counters, Result<(), SourceError>)> {
        let result = self.thread.join().ok()?;
        Some((self.shared.counters(), result))
    }
}

impl Shared {
    fn counters(&self) -> Counters {
        // The counters are plain numbers: no panic can leave them half-written.
        *self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Thread {
    source: Option<Source>,
    measuring: Measuring,
    shared: Arc<Shared>,
    begun: Instant,
    /// How long the source waits for a packet.
    waited: Duration,
}

/// How long the source waits for a packet, at the least and at the most.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
const LONGEST_WAIT: Duration = Duration::from_millis(20);

/// Batches of packets between two looks at the kernel's counters of drops.
const BATCHES_PER_LOOK: u32 = 16;

impl Thread {
    fn run(mut self, failed: impl FnOnce()) -> Result<(), SourceError> {
        let mut failed = Some(failed);
        let mut fail = || {
            if let Some(failed) = failed.take() {
                failed();
            }
        };
        let captured = self.capture(&mut fail);
        if captured.is_err() {
            fail();
        }
        self.look();
        self.serve();
        let saved = match self.measuring.finish() {
            Some((path, error)) => Err(SourceError::NotWritable {
                path: path.display().to_string(),
                reason: error.to_string(),
            }),
            None => Ok(()),
        };
        self.publish();
        captured.and(saved)
    }

    /// Takes packets until the run is over or the source is.
    fn capture(&mut self, fail: &mut impl FnMut()) -> Result<(), SourceError> {
        let mut batches = 0;
        while !self.measuring.is_over() {
            let measuring = &mut self.measuring;
            let Some(source) = &mut self.source else { return Ok(()) };
            let progress = source.read(&mut |frames| {
                frames.iter().for_each(|frame| measuring.frame(frame));
            })?;
            // Before claims are answered: no record is to be kept without its packets.
            self.measuring.flush_saved();
            match progress {
                Progress::More => {
                    batches += 1;
                    if batches % BATCHES_PER_LOOK == 0 {
                        self.look();
                    }
                    let clock_ns = self.measuring.clock_ns();
                    self.measuring.turn(clock_ns, self.begun.elapsed(), true);
                    self.wait(clock_ns, Duration::ZERO);
                }
                Progress::Idle => {
                    let clock_ns = source.given_until_ns();
                    self.look();
                    self.measuring.turn(clock_ns, self.begun.elapsed(), false);
                    self.wait(clock_ns, self.waited.saturating_mul(2));
                }
                Progress::End => return Ok(()),
            }
            if self.measuring.save_failed() {
                // What is seen still counts; only no more targets are to come.
                fail();
            }
            self.hurry();
            self.publish();
        }
        Ok(())
    }

    /// Has the next call of `read` wait until a claim is due; without one, this long. The run may end in a moment, so
    /// the first waits after an answer are short, and each is twice as long.
    fn wait(&mut self, clock_ns: i64, long: Duration) {
        self.waited = match self.measuring.next_due_ns() {
            Some(due_ns) => Duration::from_nanos(due_ns.saturating_sub(clock_ns).max(0) as u64),
            None => long,
        };
        self.waited = self.waited.clamp(SHORTEST_WAIT, LONGEST_WAIT);
        if let Some(source) = &mut self.source {
            source.wait_for(self.waited);
        }
    }

    /// Answers claims when no more packets can come, until the run is over.
    fn serve(&mut self) {
        const WAIT: Duration = Duration::from_millis(100);
        self.measuring.settle_all();
        while !self.measuring.is_over() {
            self.measuring.wait(WAIT);
            self.measuring.settle_all();
            self.publish();
        }
    }

    fn hurry(&mut self) {
        if self.shared.hurry.load(Ordering::Relaxed) {
            self.measuring.hurry();
        }
    }

    fn look(&mut self) {
        let Some(source) = &mut self.source else { return };
        let (kernel, interface) = source.dropped();
        let counters = self.measuring.counters();
        counters.kernel_dropped = kernel;
        counters.interface_dropped = interface;
    }

    fn publish(&mut self) {
        let counters = *self.measuring.counters();
        *self.shared.counters.lock().unwrap_or_else(PoisonError::into_inner) = counters;
    }
}
