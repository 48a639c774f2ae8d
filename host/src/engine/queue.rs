//! A queue before many threads. One that finds it empty sleeps at once: hundreds of threads that
//! first look again and yield, as those of a general channel do, cost more than what they wait for.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The queue. It never has more than the jobs in flight.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    wake: Condvar,
}

struct State<T> {
    waiting: VecDeque<T>,
    closed: bool,
}

impl<T> Default for Queue<T> {
    fn default() -> Queue<T> {
        let state = Mutex::new(State { waiting: VecDeque::new(), closed: false });
        Queue { state, wake: Condvar::new() }
    }
}

impl<T> Queue<T> {
    /// Adds an item, for one of the threads.
    pub(super) fn push(&self, item: T) {
        self.state().waiting.push_back(item);
        self.wake.notify_one();
    }

    /// The next item; waits for it. `None` once the queue is closed.
    pub(super) fn next(&self) -> Option<T> {
        let mut state = self.state();
        loop {
            if state.closed {
                return None;
            }
            if let Some(item) = state.waiting.pop_front() {
                return Some(item);
            }
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether no item waits.
    pub(super) fn is_empty(&self) -> bool {
        self.state().waiting.is_empty()
    }

    /// Lets no more be taken.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.wake.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    #[test]
    fn each_item_is_taken_once_and_all_threads_end() {
        let queue = Arc::new(Queue::default());
        let threads: Vec<_> = (0..20)
            .map(|_| {
                let queue = Arc::clone(&queue);
                thread::spawn(move || {
                    let mut taken = Vec::new();
                    while let Some(item) = queue.next() {
                        taken.push(item);
                    }
                    taken
                })
            })
            .collect();
        (0..1000).for_each(|item| queue.push(item));
        while !queue.state().waiting.is_empty() {
            thread::yield_now();
        }
        queue.close();
        let mut taken: Vec<i32> = threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
        taken.sort_unstable();
        assert_eq!(taken, (0..1000).collect::<Vec<_>>());
    }
}
