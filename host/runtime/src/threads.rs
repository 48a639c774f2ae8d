//! When the process may fork and when it may start threads, as values.
//!
//! A forked child has only the thread that forked it, and the locks that others held stay locked in
//! it for good. So what forks asks for [`SingleThread`], what starts a thread asks for [`Threads`],
//! and the only way to the second consumes the first.

use std::io;
use std::thread::{self, JoinHandle};

use crate::privileges;

/// This program has started no thread yet, so it may fork.
#[derive(Debug)]
pub struct SingleThread(());

impl SingleThread {
    /// For the program's `main`, which has started nothing. Nobody else calls it.
    pub fn at_start() -> SingleThread {
        SingleThread(())
    }

    /// For a child that the only thread has forked.
    pub(crate) fn in_child() -> SingleThread {
        SingleThread(())
    }

    /// From here on, threads may be started, and nothing forks any more.
    pub fn end(self) -> Threads {
        Threads(())
    }
}

/// Threads may be started.
#[derive(Debug, Clone, Copy)]
pub struct Threads(());

impl Threads {
    /// Starts a thread, which gives up the privileges that only the main thread needs.
    ///
    /// # Errors
    ///
    /// There can be no more threads.
    pub fn start<T: Send + 'static>(
        self,
        name: &'static str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<JoinHandle<T>> {
        thread::Builder::new().name(name.into()).spawn(move || {
            privileges::give_up();
            work()
        })
    }
}
