//! A child process that watches this one, and does or says what this one cannot when it is gone.
//!
//! It is forked before there are threads, and sees the end of this process by a pidfd. What it has to
//! know comes through a pipe. This process ends it when it is not needed any more.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, kill_process, pidfd_open, waitpid};

use crate::process::fork;
use crate::threads::SingleThread;

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

/// Signals whose action is the kernel's own: those of crashes, which the program handles, and the alarm.
const DEFAULT: [i32; 6] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT, libc::SIGALRM];

/// Seconds that a reader of standard error has to take the last words.
const LAST_WORDS: u32 = 5;

/// The program's end of it.
pub struct Survivor {
    pid: Pid,
    pipe: PipeWriter,
}

/// What the child sees of the program.
pub struct Watching {
    reader: PipeReader,
    program: OwnedFd,
}

impl Survivor {
    /// Forks it: before there are threads, which the child would not have, while it would have the
    /// locks that they held. It keeps standard error and the descriptors of `kept`, gives up what
    /// `reduce` gives up, does what `live` does, and ends.
    ///
    /// # Errors
    ///
    /// There can be no more processes, or the kernel is older than 5.3.
    pub fn start(
        single: &SingleThread,
        name: &CStr,
        kept: &[BorrowedFd<'_>],
        reduce: fn(),
        live: impl FnOnce(Watching),
    ) -> io::Result<Survivor> {
        let (reader, writer) = io::pipe()?;
        let program = pidfd_open(rustix::process::getpid(), PidfdFlags::empty())?;
        let mut ends = Some((reader, writer));
        let pid = fork(single, || {
            // The writer is the program's alone.
            let Some((reader, _)) = ends.take() else { return };
            let watching = Watching { reader, program };
            reduce();
            watching.leave_program(name, kept);
            live(watching);
        })?;
        let (_, pipe) = ends.ok_or(io::ErrorKind::InvalidData)?;
        Ok(Survivor { pid, pipe })
    }

    /// Tells it something. It has it when this returns, whatever becomes of us.
    ///
    /// # Errors
    ///
    /// It is gone.
    pub fn write(&mut self, line: &[u8]) -> io::Result<()> {
        self.pipe.write_all(line)
    }

    /// Its process, for [`end`].
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Ends it.
    pub fn dismiss(self) {
        end(self.pid);
    }
}

/// Ends a survivor. This may be called in a signal's handler.
///
/// While the program lives, a survivor does nothing but listen, so it can be killed. It is not asked to
/// go, for it could not answer where somebody has stopped it.
pub(crate) fn end(pid: Pid) {
    // When it is gone already its number may be another's, where a plugin has SIGCHLD ignored.
    if let Ok(None) = waitpid(Some(pid), WaitOptions::NOHANG)
        && kill_process(pid, Signal::KILL).is_ok()
    {
        let _ = waitpid(Some(pid), WaitOptions::empty());
    }
}

impl Watching {
    /// Leaves the program's terminal, signals and descriptors: who waits for the end of its output is
    /// not to wait for us.
    fn leave_program(&self, name: &CStr, kept: &[BorrowedFd<'_>]) {
        let _ = rustix::process::setsid();
        let _ = rustix::thread::set_name(name);
        for signal in IGNORED {
            // SAFETY: ignoring a signal runs no code of ours.
            unsafe { libc::signal(signal, libc::SIG_IGN) };
        }
        for signal in DEFAULT {
            // SAFETY: as above: the kernel's own action.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        let own = [libc::STDERR_FILENO, self.reader.as_raw_fd(), self.program.as_raw_fd()];
        let mut kept: Vec<i32> = kept.iter().map(AsRawFd::as_raw_fd).chain(own).collect();
        kept.sort_unstable();
        let mut first = 0;
        for fd in kept.into_iter().chain([i32::MAX]) {
            if first < fd {
                // SAFETY: the descriptors between those that are kept belong to objects of the
                // program; this process neither uses nor drops them any more.
                unsafe { libc::close_range(first as u32, fd as u32 - 1, 0) };
            }
            first = fd.saturating_add(1);
        }
    }

    /// Waits for the program's end, whatever it says.
    pub(crate) fn wait(&self) {
        while poll(&mut [PollFd::new(&self.program, PollFlags::IN)], None) != Ok(1) {}
    }

    /// All that the program says, until it is gone.
    ///
    /// Its process tells its end, too: a plugin's own children may hold its end of the pipe.
    pub fn listen(&mut self) -> Vec<u8> {
        let mut lines = Vec::new();
        let mut gone = false;
        loop {
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            let (pipe, program) = (self.reader.as_fd(), self.program.as_fd());
            let mut ends =
                [PollFd::new(&pipe, PollFlags::IN), PollFd::new(&program, PollFlags::IN)];
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
}

/// The child's last words, and nothing after them. Where nobody takes them, it ends without.
pub fn say<'m>(messages: impl IntoIterator<Item = &'m str>) {
    // SAFETY: the alarm ends the process, which has done its work. The descriptor was not closed, and
    // nothing is done to it but to write: standard error's own lock may have been taken when we were
    // forked.
    let stderr = unsafe {
        libc::alarm(LAST_WORDS);
        BorrowedFd::borrow_raw(libc::STDERR_FILENO)
    };
    for message in messages {
        let _ = rustix::io::write(stderr, format!("pathspider: {message}\n").as_bytes());
    }
}
