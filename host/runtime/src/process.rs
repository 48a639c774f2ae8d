//! Processes: how one is forked, which signals are held back meanwhile, and what the kernel tells of
//! them: proc_pid_stat(5), of our children, and of its clock.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{fs, io};

use rustix::process::Pid;

use crate::stop::{REQUESTS, is_ignored};
use crate::threads::SingleThread;

/// Forks a child that does `live`, and ends. It is forked before there are threads, which the child
/// would not have, while it would have the locks that they held.
///
/// # Errors
///
/// There can be no more processes.
pub(crate) fn fork(_single: &SingleThread, live: impl FnOnce()) -> io::Result<Pid> {
    // SAFETY: the child never returns from here, and calls `live`, which needs what other threads may
    // have held: nothing of this program but its allocator. That has locks, and nothing that frees
    // them in a child (mimalloc registers no pthread_atfork(3)); but no other thread of this program
    // is there yet. A plugin's own have the allocator of its library, and get to ours through the
    // contract's `log` alone.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            // A panic must not unwind into the program's code.
            let lived = catch_unwind(AssertUnwindSafe(live));
            // SAFETY: it ends the process at once: nothing of the program's is flushed twice.
            unsafe { libc::_exit(c_int::from(lived.is_err())) }
        }
        pid => Pid::from_raw(pid).ok_or_else(|| io::ErrorKind::InvalidData.into()),
    }
}

/// Signals that ask a run to stop, held back: they wait until somebody takes them, and a process that
/// is forked meanwhile has no handler that could take one and forget it.
#[derive(Debug)]
pub struct Held {
    before: libc::sigset_t,
    waiting: OwnedFd,
}

impl Held {
    /// Holds back those that are not ignored, from now on.
    ///
    /// # Errors
    ///
    /// There are no more descriptors.
    pub fn begin() -> io::Result<Held> {
        let mut set = MaybeUninit::uninit();
        let mut before = MaybeUninit::uninit();
        // SAFETY: the first call makes a valid set, of no signals, and the others are given valid sets.
        // The last one fills `before` with the signals that this thread, the only one, blocks.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in REQUESTS.into_iter().filter(|&signal| !is_ignored(signal)) {
                libc::sigaddset(set.as_mut_ptr(), signal);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), before.as_mut_ptr());
        }
        // SAFETY: the set is valid, as above; a descriptor that is given is nobody else's.
        unsafe {
            match libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
                -1 => Err(io::Error::last_os_error()),
                fd => {
                    let waiting = OwnedFd::from_raw_fd(fd);
                    Ok(Held { before: before.assume_init(), waiting })
                }
            }
        }
    }

    /// Holds them back no more: those that wait come now.
    pub fn end(&self) {
        // SAFETY: the first is a set that the kernel has filled; the second is not wanted.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, std::ptr::null_mut());
        }
    }

    /// Takes one that waits.
    pub fn take(&self) -> Option<c_int> {
        /// Octets of a `signalfd_siginfo`, which begins with the signal's number.
        const LENGTH: usize = size_of::<libc::signalfd_siginfo>();
        let mut came = [0; LENGTH];
        match rustix::io::read(&self.waiting, &mut came) {
            Ok(LENGTH) => Some(c_int::from_ne_bytes([came[0], came[1], came[2], came[3]])),
            _ => None,
        }
    }
}

/// It can be read when a signal waits.
impl AsFd for Held {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waiting.as_fd()
    }
}

/// Has the kernel keep the end of each child until it is asked for. Whoever started us may ignore
/// SIGCHLD, which is inherited: then no child can be waited for, and how a command ended, which had
/// changed the system, would not be known (wait(2)).
pub fn keep_children() {
    // SAFETY: the kernel's own action runs no code of ours.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// How well the system's clock is kept, as the kernel knows it (adjtimex(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// Whether somebody keeps it: an NTP daemon, say.
    pub is_synchronised: bool,
    /// Microseconds that it is wrong at the most, if somebody does.
    pub max_error_us: std::ffi::c_long,
}

impl Clock {
    /// `None` where the kernel does not tell.
    pub fn now() -> Option<Clock> {
        // SAFETY: the struct has numbers alone, and no modes: nothing is changed.
        let (answer, told) = unsafe {
            let mut told: libc::timex = std::mem::zeroed();
            (libc::adjtimex(&raw mut told), told)
        };
        (answer != -1).then_some(Clock {
            is_synchronised: told.status & libc::STA_UNSYNC == 0,
            max_error_us: told.maxerror,
        })
    }
}

/// The fields that follow a process's name, from its state on; `None` where it is gone.
pub fn stat(pid: i32) -> Option<Stat> {
    Stat::parse(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// Of one process.
#[derive(Debug, PartialEq, Eq)]
pub struct Stat {
    /// Whether it runs no more, and waits to be buried.
    pub is_dead: bool,
    /// Its parent's number.
    pub parent: i32,
    /// In clock ticks since the boot.
    pub start: u64,
}

impl Stat {
    /// `pid (name) state ppid …`, where the name may be anything.
    fn parse(text: &[u8]) -> Option<Stat> {
        let after = text.iter().rposition(|&octet| octet == b')')? + 1;
        let fields = std::str::from_utf8(&text[after..]).ok()?;
        let mut fields = fields.split_ascii_whitespace();
        let is_dead = matches!(fields.next()?, "Z" | "X");
        let parent = fields.next()?.parse().ok()?;
        let start = fields.nth(17)?.parse().ok()?;
        Some(Stat { is_dead, parent, start })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_what_the_kernel_says() {
        let clock = Clock::now().unwrap();
        // After 16 s without a word the kernel takes nobody for its keeper (NTP_PHASE_LIMIT).
        assert!(
            clock.max_error_us >= 0 && (!clock.is_synchronised || clock.max_error_us < 16_000_000)
        );
    }

    #[test]
    fn processes_of_any_name() {
        let text = b"7 (x) 1 2) \xff) S 42 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 9876 1 1";
        assert_eq!(Stat::parse(text), Some(Stat { is_dead: false, parent: 42, start: 9876 }));
        assert_eq!(Stat::parse(b"7 (x"), None);
        let own = stat(std::process::id() as i32).unwrap();
        assert_eq!(own.parent, std::os::unix::process::parent_id() as i32);
        assert_eq!(stat(-1), None);
    }
}
