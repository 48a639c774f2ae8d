//! Threads on which a plugin may block. Which of them are over their time is the course's to know.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::SystemTime;

use pathspider_observer::{ConnectionId, Visit};
use pathspider_plugin_api::driver::Driver;
use tokio::sync::mpsc;

use super::cargo::{Plan, Real};
use super::course::{Call, Event};
use super::queue::Queue;
use super::work::{Measured, Work};

/// A thread's stack: plugins' own connects need little, and there may be thousands of threads.
const STACK: usize = 512 * 1024;

enum Task {
    Prepare(Visit, Call, Arc<Work>),
    Connect(ConnectionId, Call, Arc<Work>),
}

/// A pool of threads, one for each job in flight.
pub(super) struct Workers {
    queue: Arc<Queue<Task>>,
    threads: usize,
    measurement: Arc<Measured>,
    events: mpsc::UnboundedSender<Event<Real>>,
}

impl Workers {
    /// Starts the threads. They end when the pool is dropped; one that is stuck in the plugin is
    /// left behind.
    pub(super) fn start(
        count: usize,
        measurement: &Arc<Measured>,
        events: mpsc::UnboundedSender<Event<Real>>,
    ) -> io::Result<Workers> {
        let (queue, measurement) = (Arc::default(), Arc::clone(measurement));
        let mut workers = Workers { queue, threads: 0, measurement, events };
        (0..count).try_for_each(|_| workers.add())?;
        Ok(workers)
    }

    /// Starts one more thread, in the place of one that is stuck.
    pub(super) fn add(&mut self) -> io::Result<()> {
        let (queue, events) = (Arc::clone(&self.queue), self.events.clone());
        let measurement = Arc::clone(&self.measurement);
        thread::Builder::new()
            .name(format!("worker-{}", self.threads))
            .stack_size(STACK)
            .spawn(move || work(&queue, &measurement.driver(), &events))?;
        self.threads += 1;
        Ok(())
    }

    pub(super) fn prepare(&self, visit: Visit, call: Call, work: Arc<Work>) {
        self.queue.push(Task::Prepare(visit, call, work));
    }

    pub(super) fn connect(&self, id: ConnectionId, call: Call, work: Arc<Work>) {
        self.queue.push(Task::Connect(id, call, work));
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.queue.close();
    }
}

fn work(queue: &Queue<Task>, driver: &Driver<'_>, events: &mpsc::UnboundedSender<Event<Real>>) {
    while let Some(task) = queue.next() {
        let event = match task {
            Task::Prepare(visit, call, work) => Event::Prepared(visit, call, work.prepare(driver)),
            Task::Connect(id, call, work) => {
                let started = SystemTime::now();
                Event::Answered(id, call, Plan::Own(started, Box::new(work.ask(driver, id))))
            }
        };
        if events.send(event).is_err() {
            return;
        }
    }
}
