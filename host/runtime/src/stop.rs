//! How a run is told to stop: in order, or at once.

use std::ffi::c_int;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::{fs, io};

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::sync::Notify;

use crate::say;
use crate::threads::Threads;

/// The signals that ask a run to stop.
pub(crate) const REQUESTS: [c_int; 4] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT];

/// How urgently a run should stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Not at all.
    None,
    /// No new jobs; finish those in flight.
    Finish,
    /// Leave those in flight; write what is finished.
    Terminate,
}

/// A request to stop, shared by all threads of a run. It only ever becomes more urgent.
#[derive(Debug, Default)]
pub struct Stop {
    level: AtomicU8,
    changed: Notify,
    why: OnceLock<&'static str>,
}

impl Stop {
    /// No request yet.
    pub fn new() -> Arc<Stop> {
        Arc::new(Stop::default())
    }

    /// Asks for no new jobs, and says what does.
    pub fn finish(&self, why: &'static str) {
        let _ = self.why.set(why);
        self.raise(1);
    }

    /// Asks to stop at once, and says what does.
    pub fn terminate(&self, why: &'static str) {
        let _ = self.why.set(why);
        self.raise(2);
    }

    /// What asked first.
    pub fn why(&self) -> &'static str {
        self.why.get().copied().unwrap_or_default()
    }

    /// One step more urgent than before.
    fn escalate(&self, why: &'static str) {
        let _ = self.why.set(why);
        self.raise(self.level.load(Ordering::SeqCst) + 1);
    }

    fn raise(&self, level: u8) {
        self.level.fetch_max(level.min(2), Ordering::SeqCst);
        self.changed.notify_waiters();
        self.changed.notify_one();
    }

    /// The present request.
    pub fn urgency(&self) -> Urgency {
        match self.level.load(Ordering::SeqCst) {
            0 => Urgency::None,
            1 => Urgency::Finish,
            _ => Urgency::Terminate,
        }
    }

    /// Whether there is any request.
    pub fn is_asked(&self) -> bool {
        self.urgency() != Urgency::None
    }

    /// Waits until the request changes.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// Says whether the run was told to stop, for code that waits before there is a thread that takes signals.
pub type Asked<'a> = &'a dyn Fn() -> bool;

/// Signals that are turned into requests: the first SIGINT, SIGTERM or SIGHUP finishes, the second
/// terminates, and so does the first SIGQUIT. Those that whoever started us had us ignore, as
/// nohup(1) does, stay ignored.
pub struct Caught {
    signals: Signals,
    stop: Arc<Stop>,
    then: Box<dyn Fn(Urgency) + Send>,
}

impl Caught {
    /// Catches them from now on. What comes is kept until somebody looks. `then` is called when the
    /// request is made already.
    ///
    /// # Errors
    ///
    /// The handlers cannot be installed.
    pub fn new(stop: Arc<Stop>, then: impl Fn(Urgency) + Send + 'static) -> io::Result<Caught> {
        let signals = Signals::new(REQUESTS.iter().filter(|&&signal| !is_ignored(signal)))?;
        Ok(Caught { signals, stop, then: Box::new(then) })
    }

    /// Turns those that came into requests: while there is no thread yet that does.
    pub fn look(&mut self) {
        let Caught { signals, stop, then } = self;
        signals.pending().for_each(|signal| ask(stop, signal, then));
    }

    /// Turns all that came and come into requests, on a thread of its own.
    ///
    /// # Errors
    ///
    /// There can be no more threads.
    pub fn listen(self, threads: Threads) -> io::Result<()> {
        let Caught { mut signals, stop, then } = self;
        threads.start("signals", move || {
            signals.forever().for_each(|signal| ask(&stop, signal, &then));
        })?;
        Ok(())
    }
}

fn ask(stop: &Stop, signal: i32, then: &impl Fn(Urgency)) {
    match signal {
        SIGQUIT => stop.terminate("a signal"),
        _ => stop.escalate("a signal"),
    }
    say::hurry();
    then(stop.urgency());
}

/// Whether this process ignores a signal.
pub fn is_ignored(signal: c_int) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignored(&status) >> (signal - 1) & 1 == 1
}

/// The signals that are ignored, the first in the lowest bit: `SigIgn` of proc_pid_status(5).
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read() {
        let status = "Name:\tx\nSigBlk:\t0000000000000002\nSigIgn:\t0000000000001001\n";
        assert_eq!(ignored(status), 1 << (SIGHUP - 1) | 1 << (libc::SIGPIPE - 1));
        assert_eq!(ignored(""), 0);
    }

    #[test]
    fn only_ever_more_urgent() {
        let stop = Stop::default();
        assert!(!stop.is_asked());
        stop.escalate("x");
        assert_eq!(stop.urgency(), Urgency::Finish);
        stop.escalate("x");
        stop.finish("y");
        stop.escalate("x");
        assert_eq!(stop.urgency(), Urgency::Terminate);
        assert_eq!(stop.why(), "x", "the first");
    }
}
