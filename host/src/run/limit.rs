//! The limit of `--max-runtime`: of all that a run does, what it waits for before it measures too.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use pathspider_runtime::say;
use pathspider_runtime::stop::Stop;
use pathspider_runtime::threads::Threads;

/// When no more targets are begun.
#[derive(Clone, Copy)]
pub(super) struct Limit {
    began: Instant,
    /// `None` where there is no limit.
    after: Option<Duration>,
}

impl Limit {
    pub(super) fn new(began: Instant, after: Option<Duration>) -> Limit {
        Limit { began, after }
    }

    /// Asks for no new targets where the time is over: while there is no thread yet that does.
    pub(super) fn look(self, stop: &Stop) {
        if self.after.is_some_and(|after| self.began.elapsed() >= after) && !stop.is_asked() {
            stop.finish("--max-runtime");
            say!("the time of --max-runtime is over");
        }
    }

    /// Ends the run in order when the time is over, as a first signal does.
    ///
    /// # Errors
    ///
    /// There can be no more threads.
    pub(super) fn start(self, threads: Threads, stop: Arc<Stop>) -> io::Result<()> {
        let Some(after) = self.after else { return Ok(()) };
        // It is left behind where the run ends before.
        threads.start("limit", move || {
            thread::sleep(after.saturating_sub(self.began.elapsed()));
            if !stop.is_asked() {
                stop.finish("--max-runtime");
                say!(
                    "the time of --max-runtime is over: no new targets; finishing those in flight"
                );
            }
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_counted_from_the_begin() {
        let limit = |after| Limit::new(Instant::now(), after);
        for (after, is_over) in
            [(None, false), (Some(Duration::MAX), false), (Some(Duration::ZERO), true)]
        {
            let stop = Stop::new();
            limit(after).look(&stop);
            assert_eq!(stop.is_asked(), is_over, "{after:?}");
        }
    }
}
