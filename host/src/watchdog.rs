//! Notices a plugin that does not come back from a function on a thread that the run cannot do
//! without, and ends the run for it. Workers, on which plugins may block, are the engine's to watch.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{RecvTimeoutError, Sender, bounded};
use pathspider_plugin_api::abi::{Running, Shown, show};

use crate::say::{self, say};
use crate::stop::{LAST_WORDS, Stop};

/// The exit status (`docs/exit-status.md`).
const FAILED: i32 = 1;

/// The threads that are watched.
static THREADS: Mutex<Vec<&'static Shown>> = Mutex::new(Vec::new());

/// Has the present thread watched.
pub(crate) fn watch_this_thread() {
    THREADS.lock().unwrap_or_else(PoisonError::into_inner).push(show());
}

/// Watches until it is dropped.
pub(crate) struct Watchdog {
    _ended: Sender<()>,
}

impl Watchdog {
    /// Lets no function of a plugin take longer than `limit`: no new targets are begun then, and
    /// where it has not come back after as long again, the process ends. The keeper gives the
    /// system's settings back.
    ///
    /// # Errors
    ///
    /// The thread cannot be started.
    pub(crate) fn start(limit: Duration, stop: Arc<Stop>) -> io::Result<Watchdog> {
        let (ended, ends) = bounded(0);
        let look = (limit / 4).clamp(Duration::from_millis(10), Duration::from_secs(1));
        thread::Builder::new().name("watchdog".into()).spawn(move || {
            crate::privileges::give_up();
            let mut calls = Calls::default();
            while ends.recv_timeout(look) == Err(RecvTimeoutError::Timeout) {
                let threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner).clone();
                for thread in threads {
                    calls.look(thread, limit, &stop);
                }
            }
        })?;
        Ok(Watchdog { _ended: ended })
    }
}

/// The calls that were under way at the last look, by their thread.
#[derive(Default)]
struct Calls(HashMap<*const Shown, Call>);

struct Call {
    number: u64,
    since: Instant,
    was_told: bool,
}

impl Calls {
    fn look(&mut self, thread: &'static Shown, limit: Duration, stop: &Stop) {
        let Some((number, running)) = thread.call() else {
            self.0.remove(&std::ptr::from_ref(thread));
            return;
        };
        let now = Instant::now();
        let call = self.0.entry(thread).or_insert(Call { number, since: now, was_told: false });
        if call.number != number {
            *call = Call { number, since: now, was_told: false };
        }
        let lasted = now.duration_since(call.since);
        if lasted > limit && !call.was_told {
            call.was_told = true;
            stop.finish("the plugin");
            tell(running, limit);
        }
        if lasted > limit * 2 {
            stop.terminate("the plugin");
            thread::sleep(LAST_WORDS);
            if thread.call().is_some_and(|(present, _)| present == number) {
                say!(
                    "{running} does not come back: the run is given up; the metadata and \
                     --resume tell how far it came"
                );
                say::end_soon();
                signal_hook::low_level::exit(FAILED);
            }
        }
    }
}

fn tell(running: Running, limit: Duration) {
    let limit = limit.as_secs_f64();
    say!(
        "{running} has not come back for {limit} s (--plugin-timeout) (rule blocking): no new \
         targets; a plugin that blocks has to declare it (Info::blocking)"
    );
}
