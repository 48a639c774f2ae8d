//! Threads that call conversations. A call that takes long keeps one of them, and another one is
//! started for those that wait: so a conversation that is slow harms itself alone.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::engine::queue::Queue;

/// Threads at the begin, so that one slow call delays nobody.
const AT_FIRST: usize = 2;

/// Threads at the most.
const MOST: usize = 64;

/// How long a call waits for a thread before another one is started.
const PATIENCE: Duration = Duration::from_millis(20);

/// A thread's stack: as for workers.
const STACK: usize = 512 * 1024;

type Task = Box<dyn FnOnce() + Send>;

/// The threads of a run, which are started when there is a first call. They end when it is dropped;
/// one that is stuck in the plugin is left behind.
pub(in crate::engine) struct Pool {
    queue: Arc<Queue<Task>>,
    threads: Cell<usize>,
    grown: Cell<Option<Instant>>,
    /// How long a call may take.
    limit: Duration,
}

/// Why a call has no result.
#[derive(Debug)]
pub(super) enum Lost {
    /// It did not come back within this time; what it holds is its thread's.
    TooSlow(Duration),
    /// There is no thread for it.
    NoThread(io::Error),
}

impl Pool {
    /// A pool whose calls may take this long.
    pub(in crate::engine) fn new(limit: Duration) -> Rc<Pool> {
        Rc::new(Pool {
            queue: Arc::default(),
            threads: Cell::new(0),
            grown: Cell::new(None),
            limit,
        })
    }

    /// Runs a call on one of the threads.
    ///
    /// # Errors
    ///
    /// It did not come back, or there is no thread.
    pub(super) async fn call<R: Send + 'static>(
        &self,
        call: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, Lost> {
        while self.threads.get() < AT_FIRST {
            match self.grow() {
                Ok(()) => {}
                Err(error) if self.threads.get() == 0 => return Err(Lost::NoThread(error)),
                Err(_) => break,
            }
        }
        let (tell, mut told) = oneshot::channel();
        // Who asked may be gone.
        self.queue.push(Box::new(move || drop(tell.send(call()))));
        let began = Instant::now();
        loop {
            match tokio::time::timeout(PATIENCE, &mut told).await {
                Ok(Ok(result)) => return Ok(result),
                // Its thread is gone: the call panicked outside of the plugin's guard.
                Ok(Err(_)) => return Err(Lost::TooSlow(self.limit)),
                Err(_) if began.elapsed() >= self.limit => return Err(Lost::TooSlow(self.limit)),
                Err(_) => self.relieve(),
            }
        }
    }

    /// Has one of the threads drop a value, which may be the plugin's to do.
    pub(super) fn dispose<T: Send + 'static>(&self, value: T) {
        self.queue.push(Box::new(move || drop(value)));
    }

    /// Starts another thread where calls wait for one, no more often than once in a while.
    fn relieve(&self) {
        let is_new = self.grown.get().is_some_and(|grown| grown.elapsed() < PATIENCE);
        if !is_new && self.threads.get() < MOST && !self.queue.is_empty() {
            self.grown.set(Some(Instant::now()));
            // Without one more, those that wait do so for longer.
            let _ = self.grow();
        }
    }

    fn grow(&self) -> io::Result<()> {
        let queue = Arc::clone(&self.queue);
        let work = move || {
            while let Some(task) = queue.next() {
                task();
            }
        };
        let name = format!("talker-{}", self.threads.get());
        thread::Builder::new().name(name).stack_size(STACK).spawn(work)?;
        self.threads.set(self.threads.get() + 1);
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.queue.close();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::channel;

    use super::*;

    fn run<F: Future>(work: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(work)
    }

    #[test]
    fn calls_that_hang_are_given_up_and_others_go_on() {
        let pool = Pool::new(Duration::from_millis(200));
        let (release, wait) = channel::<()>();
        let wait = Arc::new(Mutex::new(wait));
        let hang = || {
            let wait = Arc::clone(&wait);
            move || drop(wait.lock().map(|wait| wait.recv()))
        };
        let hanging = [hang(), hang(), hang()];
        run(async {
            let [a, b, c] = hanging.map(|hang| pool.call(hang));
            let quick = async {
                let mut sum = 0;
                for n in 0..100 {
                    sum += pool.call(move || n).await.unwrap();
                }
                sum
            };
            let (a, b, c, sum) = tokio::join!(a, b, c, quick);
            for given_up in [a, b, c] {
                assert!(matches!(given_up, Err(Lost::TooSlow(limit)) if limit == pool.limit));
            }
            assert_eq!(sum, 4950);
        });
        assert!(pool.threads.get() > AT_FIRST);
        drop(release);
    }
}
