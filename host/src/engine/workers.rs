//! Threads on which a plugin may block.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::SystemTime;

use crossbeam::channel::{Receiver, Sender, unbounded};
use pathspider_plugin_api::Job;
use pathspider_plugin_api::abi::MeasurementObject;
use tokio::sync::mpsc;

use super::work::{Ticket, Work};
use super::{EngineError, Event};

/// A thread's stack: plugins' own connects need little, and there may be thousands of threads.
const STACK: usize = 512 * 1024;

enum Task {
    Prepare(Job),
    Connect(Ticket),
}

/// A pool of threads, one for each job in flight.
pub(super) struct Workers {
    tasks: Sender<Task>,
}

impl Workers {
    /// Starts the threads. They end when the pool is dropped; one that is stuck in the plugin is
    /// left behind.
    pub(super) fn start(
        count: usize,
        measurement: &Arc<MeasurementObject>,
        events: mpsc::UnboundedSender<Event>,
    ) -> io::Result<Workers> {
        // Bounded by the jobs in flight.
        let (tasks, queue) = unbounded();
        for index in 0..count {
            let (queue, events) = (queue.clone(), events.clone());
            let measurement = Arc::clone(measurement);
            thread::Builder::new()
                .name(format!("worker-{index}"))
                .stack_size(STACK)
                .spawn(move || work(&queue, &measurement, &events))?;
        }
        Ok(Workers { tasks })
    }

    pub(super) fn prepare(&self, job: Job) -> Result<(), EngineError> {
        self.send(Task::Prepare(job))
    }

    pub(super) fn connect(&self, ticket: Ticket) -> Result<(), EngineError> {
        self.send(Task::Connect(ticket))
    }

    fn send(&self, task: Task) -> Result<(), EngineError> {
        self.tasks.send(task).map_err(|_| EngineError::Gone("pool of workers"))
    }
}

fn work(
    queue: &Receiver<Task>,
    measurement: &MeasurementObject,
    events: &mpsc::UnboundedSender<Event>,
) {
    for task in queue {
        let event = match task {
            Task::Prepare(job) => Event::Prepared(Work::prepare(measurement, job)),
            Task::Connect(ticket) => {
                let started = SystemTime::now();
                let answer = ticket.ask(measurement);
                Event::Answered { ticket, started, answer }
            }
        };
        if events.send(event).is_err() {
            return;
        }
    }
}
