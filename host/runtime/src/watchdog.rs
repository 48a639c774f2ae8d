//! Notices a plugin that does not come back from a function on a thread that the run cannot do
//! without, and ends the run for it. Workers, on which plugins may block, are the engine's to watch.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{RecvTimeoutError, Sender, bounded};
use pathspider_plugin_api::abi::{Running, Shown, show};

use crate::patience::LAST_WORDS;
use crate::stop::Stop;
use crate::threads::Threads;
use crate::{ending, say};

/// The threads that are watched.
static THREADS: Mutex<Vec<&'static Shown>> = Mutex::new(Vec::new());

/// Has the present thread watched.
pub fn watch_this_thread() {
    THREADS.lock().unwrap_or_else(PoisonError::into_inner).push(show());
}

/// Watches until it is dropped.
pub struct Watchdog {
    end: Option<Sender<()>>,
    course: Arc<Course>,
}

impl Watchdog {
    /// Lets no function of a plugin take longer than `limit`: no new targets are begun then, and
    /// where it has not come back after as long again, the process ends. The keeper gives the
    /// system's settings back. Before, what was to be [remembered](ending::remember) is done.
    ///
    /// # Errors
    ///
    /// The thread cannot be started.
    pub fn start(threads: Threads, limit: Duration, stop: Arc<Stop>) -> io::Result<Watchdog> {
        let (end, ends) = bounded(0);
        let look = (limit / 4).clamp(Duration::from_millis(10), Duration::from_secs(1));
        let course = Arc::<Course>::default();
        let theirs = Arc::clone(&course);
        threads.start("watchdog", move || {
            let mut calls = Calls { limit, stop, course: theirs, calls: HashMap::new() };
            while ends.recv_timeout(look) == Err(RecvTimeoutError::Timeout) {
                let threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let stays = threads.into_iter().find_map(|thread| calls.look(thread));
                if let Some(running) = stays {
                    give_up(running);
                }
            }
        })?;
        Ok(Watchdog { end: Some(end), course })
    }

    /// Whether it is about to give the run up, or does: whoever waits for a thread that may be in a
    /// plugin leaves the decision to it.
    pub fn is_deciding(&self) -> bool {
        matches!(self.course.0.load(Ordering::SeqCst), DECIDING | GIVEN_UP)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.end.take());
        // Where it has given the run up, it ends the process soon.
        while !self.course.end() {
            thread::sleep(LAST_WORDS);
        }
    }
}

/// Who ends the run, its stages or the watchdog: the first, and nobody else.
#[derive(Default)]
struct Course(AtomicU8);

const WATCHING: u8 = 0;
const DECIDING: u8 = 1;
const GIVEN_UP: u8 = 2;
const ENDED: u8 = 3;

impl Course {
    fn change(&self, from: u8, to: u8) -> bool {
        self.0.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Whether the run ends by itself.
    fn end(&self) -> bool {
        self.change(WATCHING, ENDED)
            || self.change(DECIDING, ENDED)
            || self.0.load(Ordering::SeqCst) == ENDED
    }
}

/// The calls that were under way at the last look, by their thread.
struct Calls {
    limit: Duration,
    stop: Arc<Stop>,
    course: Arc<Course>,
    calls: HashMap<*const Shown, Call>,
}

struct Call {
    number: u64,
    since: Instant,
    was_told: bool,
}

impl Calls {
    /// Looks at a thread; gives the call for which the run is given up.
    fn look(&mut self, thread: &'static Shown) -> Option<Running> {
        let Some((number, running)) = thread.call() else {
            self.calls.remove(&std::ptr::from_ref(thread));
            return None;
        };
        let now = Instant::now();
        let call = self.calls.entry(thread).or_insert(Call { number, since: now, was_told: false });
        if call.number != number {
            *call = Call { number, since: now, was_told: false };
        }
        let lasted = now.duration_since(call.since);
        if lasted > self.limit && !call.was_told {
            call.was_told = true;
            self.stop.finish("the plugin");
            tell(running, self.limit);
        }
        if lasted <= self.limit * 2 || !self.course.change(WATCHING, DECIDING) {
            return None;
        }
        self.stop.terminate("the plugin");
        thread::sleep(LAST_WORDS);
        let stays = thread.call().is_some_and(|(present, _)| present == number);
        let gives_up = stays && self.course.change(DECIDING, GIVEN_UP);
        self.course.change(DECIDING, WATCHING);
        gives_up.then_some(running)
    }
}

/// Ends the process for a call that does not come back.
fn give_up(running: Running) -> ! {
    let why = format!("{running} does not come back");
    say!("{why}: the run ends here; the metadata say how far it came, and --resume goes on");
    ending::give_up(why)
}

fn tell(running: Running, limit: Duration) {
    let limit = limit.as_secs_f64();
    say!(
        "{running} has not come back for {limit} s (--plugin-timeout) (rule blocking): no new \
         targets; a plugin that blocks has to declare it (Info::blocking)"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_alone_ends_the_run() {
        let course = Course::default();
        assert!(course.change(WATCHING, DECIDING) && course.change(DECIDING, GIVEN_UP));
        assert!(!course.end(), "the watchdog does");
        for begin in [WATCHING, DECIDING] {
            let course = Course(AtomicU8::new(begin));
            assert!(course.end() && course.end());
            assert!(!course.change(WATCHING, DECIDING) && !course.change(DECIDING, GIVEN_UP));
        }
    }
}
