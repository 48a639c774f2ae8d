//! The keeper: a child process that undoes the run's changes when the run cannot.
//!
//! It is forked before the run has threads, holds the journal's lines in memory and the lock, and
//! waits for the run's end. When that comes before it was dismissed (a crash of a plugin, SIGKILL,
//! the kernel short of memory) it undoes them. Why a process, and why forked:
//! `docs/architecture.md`.
#![allow(unsafe_code)]

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, kill_process, pidfd_open, waitpid};

use super::change::Restoration;
use super::journal::{self, Head, Journal};
use super::leash::{self, Leash};
use super::lock::Lock;
use super::place::Place;
use pathspider_runtime::privileges;
use pathspider_runtime::threads::SingleThread;

/// Signals that end other processes of ours, and are not to end this one.
const IGNORED: [i32; 7] = [
    libc::SIGINT,
    libc::SIGTERM,
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGTSTP,
    libc::SIGTTOU,
    libc::SIGPIPE,
];

/// Signals whose action is the kernel's own: those of crashes, which the run handles, and the alarm.
const DEFAULT: [i32; 6] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT, libc::SIGALRM];

/// Seconds that a reader of standard error has to take our last words.
const LAST_WORDS: u32 = 5;

/// The run's end of it.
pub(super) struct Keeper {
    pid: Pid,
    pipe: PipeWriter,
}

impl Keeper {
    /// Forks the keeper: before there are threads, which the child would not have, while it would
    /// have the locks that they held.
    ///
    /// # Errors
    ///
    /// There can be no more processes, or the kernel is older than 5.3.
    pub(super) fn start(
        _single: &SingleThread,
        head: &Head,
        journal: Option<&Journal>,
        leash: &Leash,
        lock: &Lock,
    ) -> io::Result<Keeper> {
        let (reader, writer) = io::pipe()?;
        let run = pidfd_open(rustix::process::getpid(), PidfdFlags::empty())?;
        let plugin = head.plugin.clone();
        // SAFETY: the child never returns from here, and calls `keep`, which needs what other
        // threads may have held: nothing of this program but its allocator. That has locks, and
        // nothing that frees them in a child (mimalloc registers no pthread_atfork(3)); but no
        // other thread of this program is there yet. A plugin's own have the allocator of its
        // library, and get to ours through the contract's `log` alone.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                drop(writer);
                let journal = journal.map(Journal::place);
                let lock = lock.as_fd();
                let duty = Duty { reader, run, plugin: &plugin, journal, leash, lock };
                duty.prepare();
                // A panic must not unwind into the run's code.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| duty.keep()));
                // SAFETY: it ends the process at once: nothing of the run's is flushed twice.
                unsafe { libc::_exit(0) }
            }
            pid => {
                let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidData)?;
                Ok(Keeper { pid, pipe: writer })
            }
        }
    }

    /// Gives it a line to keep. It has it when this returns, whatever becomes of us.
    ///
    /// # Errors
    ///
    /// It is gone.
    pub(super) fn write(&mut self, line: &[u8]) -> io::Result<()> {
        self.pipe.write_all(line)
    }

    /// Ends it, and with it its hold on the lock: the run has undone what could be.
    ///
    /// While the run lives the keeper does nothing but listen, so it can be killed. It is not asked
    /// to go, for it could not answer where somebody has stopped it.
    pub(super) fn dismiss(self) {
        // When it is gone already its number may be another's, where a plugin has SIGCHLD ignored.
        if let Ok(None) = waitpid(Some(self.pid), WaitOptions::NOHANG)
            && kill_process(self.pid, Signal::KILL).is_ok()
        {
            let _ = waitpid(Some(self.pid), WaitOptions::empty());
        }
    }
}

/// What the child works with.
struct Duty<'a> {
    reader: PipeReader,
    run: OwnedFd,
    plugin: &'a str,
    journal: Option<(&'a Place, &'a str)>,
    leash: &'a Leash,
    lock: BorrowedFd<'a>,
}

impl Duty<'_> {
    /// Leaves the run's privileges, terminal and descriptors: who waits for the end of the run's output is not
    /// to wait for us.
    fn prepare(&self) {
        privileges::reduce_to_restoring();
        let _ = rustix::process::setsid();
        let _ = rustix::thread::set_name(c"pathspider-keep");
        for signal in IGNORED {
            // SAFETY: ignoring a signal runs no code of ours.
            unsafe { libc::signal(signal, libc::SIG_IGN) };
        }
        for signal in DEFAULT {
            // SAFETY: as above: the kernel's own action.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        let (reader, run, lock) =
            (self.reader.as_raw_fd(), self.run.as_raw_fd(), self.lock.as_raw_fd());
        let mut kept = vec![libc::STDERR_FILENO, reader, run, lock, self.leash.as_fd().as_raw_fd()];
        kept.extend(self.journal.map(|(place, _)| place.as_fd().as_raw_fd()));
        kept.sort_unstable();
        let mut first = 0;
        for fd in kept.into_iter().chain([i32::MAX]) {
            if first < fd {
                // SAFETY: the descriptors between those that are kept belong to objects of the
                // run, none of which this process uses or drops any more.
                unsafe { libc::close_range(first as u32, fd as u32 - 1, 0) };
            }
            first = fd.saturating_add(1);
        }
    }

    /// Waits for the run's end, and does what it could not do.
    fn keep(mut self) {
        let lines = self.listen();
        let mut changes = journal::entries(&lines).changes;
        if changes.is_empty() {
            let _ = self.journal.map(|(place, name)| place.remove(name));
            return;
        }
        let commands = self.leash.waiting();
        // Not said: whoever reads what we say is not to hold us up before all is undone.
        let _ = commands.as_ref().map(|commands| leash::wait(commands, |_| {}));
        let mut over = Vec::new();
        let Restoration { restored, left, failed } = changes.undo(|entry| over.push(entry));
        if let Some((place, name)) = self.journal {
            let _ = match failed.is_empty() {
                true => place.remove(name),
                false => journal::amend(place, name, &over),
            };
        }
        // Nobody is to wait for who reads what we say: the lock goes first, and then we do, be it
        // said or not.
        // SAFETY: the descriptor is open, and nothing of this process uses it any more; the alarm
        // ends the process, which has done its work.
        unsafe {
            libc::close(self.lock.as_raw_fd());
            libc::alarm(LAST_WORDS);
        }
        let what = match restored.is_empty() {
            true => "no setting was restored".to_owned(),
            false => format!("restored: {}", restored.join("; ")),
        };
        self.say(&format!("the {} run ended without a word; {what}", self.plugin));
        left.iter().chain(&failed).for_each(|complaint| self.say(complaint));
        if commands.is_ok_and(|commands| leash::is_held(&commands)) {
            self.say(leash::STILL_WORKS);
        }
    }

    /// All that the run says, until it is gone.
    ///
    /// Its end is told by its process, too: a plugin's own children may hold its end of the pipe.
    fn listen(&mut self) -> Vec<u8> {
        let mut lines = Vec::new();
        let mut gone = false;
        loop {
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            let (pipe, run) = (self.reader.as_fd(), self.run.as_fd());
            let mut ends = [PollFd::new(&pipe, PollFlags::IN), PollFd::new(&run, PollFlags::IN)];
            if poll(&mut ends, gone.then_some(&now)).is_err() {
                continue;
            }
            let (talks, ended) = (!ends[0].revents().is_empty(), !ends[1].revents().is_empty());
            if talks {
                let mut buffer = [0; 4096];
                match self.reader.read(&mut buffer) {
                    Ok(0) => return lines,
                    Ok(length) => lines.extend_from_slice(&buffer[..length]),
                    Err(_) => {}
                }
            } else if gone {
                return lines;
            }
            gone |= ended;
        }
    }

    /// Standard error's own lock may have been taken when we were forked.
    fn say(&self, message: &str) {
        let line = format!("pathspider: {message}\n");
        // SAFETY: the descriptor was not closed, and nothing is done to it but to write.
        let stderr = unsafe { BorrowedFd::borrow_raw(libc::STDERR_FILENO) };
        let _ = rustix::io::write(stderr, line.as_bytes());
    }
}
