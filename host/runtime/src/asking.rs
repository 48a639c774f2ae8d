//! How long a plugin may take for what it is asked before the run, when there is no thread yet that
//! could watch it: a timer's signal ends the process then. Nothing was sent and nothing changed.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::time::Duration;

use pathspider_plugin_api::abi::{Shown, show};

use crate::ending::leave;
use crate::line::Line;

/// The exit status of a plugin that cannot be used (`docs/exit-status.md`).
const REFUSED: c_int = 4;

/// How long a plugin may take where nobody says.
pub const ASKING: Duration = Duration::from_secs(60);

/// The limit in milliseconds, for the handler.
static LIMIT: AtomicU64 = AtomicU64::new(0);

/// The thread that asks, for the handler: the signal may come to one of the plugin's own.
static ASKS: AtomicPtr<Shown> = AtomicPtr::new(std::ptr::null_mut());

/// While this lives, the plugin is asked.
pub struct Asking {
    before: libc::sigaction,
    /// Another that lasts longer: its time and its limit.
    around: (libc::itimerval, u64),
}

impl Asking {
    /// Ends the process where this lives longer than `limit`.
    pub fn within(limit: Duration) -> Asking {
        ASKS.store(std::ptr::from_ref(show()).cast_mut(), Ordering::Relaxed);
        let milliseconds = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let limit_around = LIMIT.swap(milliseconds, Ordering::Relaxed);
        let mut before = MaybeUninit::zeroed();
        // SAFETY: a `sigaction` of zeros is valid, as is one in which a handler is set. The handler
        // keeps to what handlers may do.
        let before = unsafe {
            let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
            let handler: extern "C" fn(c_int) = over;
            action.sa_sigaction = handler as usize;
            libc::sigaction(libc::SIGALRM, &raw const action, before.as_mut_ptr());
            before.assume_init()
        };
        let around = (set(timer(limit)), limit_around);
        Asking { before, around }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        set(timer(Duration::ZERO));
        // SAFETY: it is what the kernel gave.
        unsafe { libc::sigaction(libc::SIGALRM, &raw const self.before, std::ptr::null_mut()) };
        LIMIT.store(self.around.1, Ordering::Relaxed);
        set(self.around.0);
    }
}

/// A timer of this time, or none for zero.
fn timer(limit: Duration) -> libc::itimerval {
    let time = libc::timeval {
        tv_sec: libc::time_t::try_from(limit.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_usec: libc::suseconds_t::from(limit.subsec_micros()),
    };
    libc::itimerval { it_interval: libc::timeval { tv_sec: 0, tv_usec: 0 }, it_value: time }
}

/// Sets the timer, and gives what was left of the one before.
fn set(timer: libc::itimerval) -> libc::itimerval {
    let mut before = MaybeUninit::zeroed();
    // SAFETY: both point to such structs, and one of zeros is valid.
    unsafe {
        libc::setitimer(libc::ITIMER_REAL, &raw const timer, before.as_mut_ptr());
        before.assume_init()
    }
}

/// The handler. It uses no lock and no allocation.
extern "C" fn over(_: c_int) {
    // SAFETY: it is null, or what `show` gave, which is never freed.
    let asks = unsafe { ASKS.load(Ordering::Relaxed).as_ref() };
    let mut line = Line::new();
    line.add("pathspider: ");
    match asks.and_then(Shown::call) {
        Some((_, call)) => {
            line.add("the plugin ");
            line.add(call.plugin.name());
            line.add(" has not come back from `");
            line.add(call.function.name());
            line.add("` after ");
        }
        None => line.add("the plugin has not been loaded after "),
    }
    line.add_seconds(LIMIT.load(Ordering::Relaxed));
    line.add(" s (see --plugin-timeout); nothing was sent\n");
    line.write();
    leave(REFUSED)
}
