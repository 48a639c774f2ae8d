//! Threads on which a plugin may block, and what becomes of one that never comes back.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use pathspider_plugin_api::abi::MeasurementObject;
use pathspider_plugin_api::{Error, Job};
use tokio::sync::mpsc;

use super::queue::Queue;
use super::work::{Ticket, Work};
use super::{EngineError, Event};
use pathspider_plugins::rules::RunRule;

/// A thread's stack: plugins' own connects need little, and there may be thousands of threads.
const STACK: usize = 512 * 1024;

/// Threads that may be stuck in the plugin before the run ends: each keeps its stack.
const MOST_STUCK: usize = 4096;

enum Task {
    Prepare(Job),
    Connect(Ticket),
}

/// A pool of threads, one for each job in flight.
pub(super) struct Workers {
    queue: Arc<Queue<Task>>,
    slots: Vec<Arc<Slot>>,
    measurement: Arc<MeasurementObject>,
    events: mpsc::UnboundedSender<Event>,
    limit: Duration,
    stuck: usize,
}

/// What a thread is at. Whoever takes it out answers for it: the thread itself, or, when its time
/// is over, the pool.
#[derive(Default)]
struct Slot(Mutex<Option<Busy>>);

struct Busy {
    since: Instant,
    started: SystemTime,
    /// What is needed to answer.
    task: Task,
}

impl Slot {
    fn set(&self, busy: Busy) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(busy);
    }

    fn take_if(&self, over: impl FnOnce(&mut Busy) -> bool) -> Option<Busy> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take_if(over)
    }
}

impl Workers {
    /// Starts the threads. They end when the pool is dropped; one that is stuck in the plugin is
    /// left behind.
    pub(super) fn start(
        count: usize,
        measurement: &Arc<MeasurementObject>,
        events: mpsc::UnboundedSender<Event>,
        limit: Duration,
    ) -> io::Result<Workers> {
        let queue = Arc::default();
        let measurement = Arc::clone(measurement);
        let slots = Vec::with_capacity(count);
        let mut workers = Workers { queue, slots, measurement, events, limit, stuck: 0 };
        for index in 0..count {
            let slot = workers.spawn(index)?;
            workers.slots.push(slot);
        }
        Ok(workers)
    }

    fn spawn(&self, index: usize) -> io::Result<Arc<Slot>> {
        let (queue, events) = (Arc::clone(&self.queue), self.events.clone());
        let measurement = Arc::clone(&self.measurement);
        let slot = Arc::new(Slot::default());
        let own = Arc::clone(&slot);
        thread::Builder::new()
            .name(format!("worker-{index}"))
            .stack_size(STACK)
            .spawn(move || work(&queue, &own, &measurement, &events))?;
        Ok(slot)
    }

    pub(super) fn prepare(&self, job: Job) {
        self.queue.push(Task::Prepare(job));
    }

    pub(super) fn connect(&self, ticket: Ticket) {
        self.queue.push(Task::Connect(ticket));
    }

    /// How often to look for threads that are over their time.
    pub(super) fn patience(&self) -> Duration {
        (self.limit / 4).clamp(Duration::from_millis(10), Duration::from_secs(1))
    }

    /// Gives up threads that have been in the plugin for too long: others take their places, and
    /// their jobs are answered with the reason.
    ///
    /// # Errors
    ///
    /// No thread can be started, or too many are stuck.
    pub(super) fn give_up_overdue(&mut self) -> Result<Vec<Event>, EngineError> {
        let mut answers = Vec::new();
        for index in 0..self.slots.len() {
            let limit = self.limit;
            let Some(busy) = self.slots[index].take_if(|busy| busy.since.elapsed() > limit) else {
                continue;
            };
            self.stuck += 1;
            if self.stuck > MOST_STUCK {
                return Err(EngineError::Stuck(self.stuck));
            }
            self.slots[index] = self.spawn(index)?;
            answers.push(busy.given_up(limit));
        }
        Ok(answers)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl Busy {
    /// The answer in place of a thread that does not come back.
    fn given_up(self, limit: Duration) -> Event {
        let error = |function| {
            let limit = limit.as_secs_f64();
            let what = format_args!("it did not return within {limit} s (--plugin-timeout)");
            Error::from(RunRule::Blocking.broken(function, what))
        };
        match self.task {
            Task::Prepare(job) => Event::Prepared(Err((job, error("pre_connect")))),
            Task::Connect(ticket) => {
                let answer = Err(error("connect"));
                Event::Answered { ticket, started: self.started, answer }
            }
        }
    }
}

fn work(
    queue: &Queue<Task>,
    slot: &Slot,
    measurement: &MeasurementObject,
    events: &mpsc::UnboundedSender<Event>,
) {
    while let Some(task) = queue.next() {
        let started = SystemTime::now();
        let busy = |task| Busy { since: Instant::now(), started, task };
        let event = match task {
            Task::Prepare(job) => {
                slot.set(busy(Task::Prepare(job.clone())));
                Event::Prepared(Work::prepare(measurement, job))
            }
            Task::Connect(ticket) => {
                slot.set(busy(Task::Connect(ticket.clone())));
                let answer = ticket.ask(measurement);
                Event::Answered { ticket, started, answer }
            }
        };
        // Where the pool has answered already, another thread stands in this one's place.
        if slot.take_if(|_| true).is_none() || events.send(event).is_err() {
            return;
        }
    }
}
