//! The end of the process is the host's: what a plugin, or a C library in it, does to end it is reported,
//! and is never taken for a success.
//!
//! The host ends by `_exit`, so that nothing runs after its last word but what the kernel does: handlers
//! of plugins' libraries might hang, crash, or end the process with another status. Whoever calls `exit`,
//! or the C library's `_exit`, is therefore not the host. The kernel's own call cannot be met: the
//! [`witness`] reports it.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::{process, thread};

use crossbeam::channel::bounded;
use pathspider_plugin_api::abi::running;

use crate::line::Line;
use crate::patience::LAST_WORDS;
use crate::{say, witness};

/// The exit status (`docs/exit-status.md`).
const FAILED: c_int = 1;

/// What finished records need to be written.
const WRITING: Duration = Duration::from_millis(500);

/// The process whose end is reported; 0 while none is. Children that a plugin forks end as they like.
static OURS: AtomicU32 = AtomicU32::new(0);

/// Whether the end was reported.
static WAS_TOLD: AtomicBool = AtomicBool::new(false);

/// What is to be done with the reason, where the process ends before its time.
type LastWord = Box<dyn FnOnce(String) + Send>;

static LAST_WORD: Mutex<Option<LastWord>> = Mutex::new(None);

unsafe extern "C" {
    /// Registers what is called by `quick_exit`, which leaves out what `exit` calls.
    fn at_quick_exit(handler: extern "C" fn()) -> c_int;
}

/// Has calls of `exit` told, from now on.
pub fn watch() {
    if OURS.swap(process::id(), Ordering::SeqCst) == 0 {
        // SAFETY: the handler is there as long as the process, and returns to nobody.
        unsafe {
            libc::atexit(called);
            at_quick_exit(called);
        }
    }
}

/// Ends the process, as the host means to.
pub fn end(status: u8) -> ! {
    leave(status.into())
}

/// Has this done, with the reason, where the process ends before its time; until it is
/// [`forgotten`](forget).
pub fn remember(last: impl FnOnce(String) + Send + 'static) {
    *LAST_WORD.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(last));
}

/// The process comes to its end in order.
pub fn forget() {
    LAST_WORD.lock().unwrap_or_else(PoisonError::into_inner).take();
}

/// Ends the process before its time, for this reason, which was said: does what was to be
/// [remembered](remember), and waits no longer than [`LAST_WORDS`] for it.
pub fn give_up(why: String) -> ! {
    let last = LAST_WORD.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(last) = last
        && !within(LAST_WORDS, move || last(why))
    {
        say!("what the run came to could not be written in time");
    }
    say::end_soon();
    leave(FAILED)
}

/// Does something that a disk may hold up; whether it was done in this time.
fn within(patience: Duration, work: impl FnOnce() + Send + 'static) -> bool {
    let (done, ends) = bounded(1);
    let working = thread::Builder::new().name("last word".into()).spawn(move || {
        work();
        let _ = done.send(());
    });
    working.is_ok() && ends.recv_timeout(patience).is_ok()
}

/// The handler of `exit`.
extern "C" fn called() {
    if OURS.load(Ordering::SeqCst) != process::id() {
        return;
    }
    if WAS_TOLD.swap(true, Ordering::SeqCst) {
        // Another thread does it.
        thread::sleep(LAST_WORDS * 4);
    }
    let why = match running() {
        Some(call) => {
            let (plugin, function) = (call.plugin.name(), call.function.name());
            format!("the plugin {plugin} ended this process: it called exit in `{function}`")
        }
        None => "a plugin ended this process: one of its threads called exit".to_owned(),
    };
    say!("{why}; a plugin returns an error instead");
    thread::sleep(WRITING);
    give_up(why)
}

/// What the program has in place of the C library's `_exit`, which plugins find then.
pub fn at_once(status: c_int) -> ! {
    if OURS.load(Ordering::SeqCst) != process::id() || WAS_TOLD.load(Ordering::SeqCst) {
        leave(status);
    }
    // It may be called in a signal's handler.
    let mut line = Line::new();
    line.add("pathspider: ");
    match running() {
        Some(call) => {
            line.add("the plugin ");
            line.add(call.plugin.name());
            line.add(" ended this process: it called _exit in `");
            line.add(call.function.name());
            line.add("`");
        }
        None => line.add("a plugin ended this process: one of its threads called _exit"),
    }
    line.add("; a plugin returns an error instead\n");
    line.write();
    leave(FAILED)
}

/// What there is to say of this process's end is said. This may be called in a signal's handler.
pub(crate) fn told() {
    if OURS.load(Ordering::SeqCst) == process::id() {
        witness::dismiss();
    }
}

/// Ends the process at once, after its last word: no handler and no destructor is called.
pub(crate) fn leave(status: c_int) -> ! {
    told();
    loop {
        // SAFETY: it does not return, and uses nothing of this process.
        unsafe { libc::syscall(libc::SYS_exit_group, status) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_last_word_that_takes_for_ever_is_not_waited_for() {
        let (never, waits) = bounded::<()>(0);
        let for_ever = move || {
            let _ = waits.recv();
        };
        assert!(!within(Duration::from_millis(10), for_ever));
        drop(never);
        assert!(within(LAST_WORDS * 30, || {}));
    }
}
