//! Owns children: how they are put into a namespace, tied to the life of the lab, and reaped with
//! what they used. The only file of the lab that forks.
#![allow(unsafe_code)] // `pre_exec` and `wait4` have no safe form.

use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::getppid;

use super::limits;
use crate::error::{Context, Result};

/// Makes `command` enter the network namespace behind `fd` and die with the thread that starts it.
///
/// `shown` are files that stand in the place of others there; without it, the child sees no `/sys` of its own either.
pub(super) fn place(command: &mut Command, fd: Arc<OwnedFd>, shown: Option<Vec<Shown>>) {
    let parent = nix::unistd::getpid();
    let open_files = limits::original();
    let enter = move || -> io::Result<()> {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        if getppid() != parent {
            // The lab died between the fork and the line above, so no signal will come.
            return Err(io::Error::other("the lab has ended"));
        }
        setns(&*fd, CloneFlags::CLONE_NEWNET)?;
        if let Some(shown) = &shown {
            show(shown);
        }
        if let Some(open_files) = open_files {
            limits::restore(open_files)?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes only system calls; it takes no lock and
    // allocates nothing (the paths handed to mount are short enough for the stack).
    unsafe { command.pre_exec(enter) };
}

/// A file, and the one in whose place it stands.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) file: CString,
    pub(super) place: CString,
}

/// Gives the child a `/sys` that shows its own namespace's interfaces, and these files in the place of
/// others.
///
/// `/sys/class/net` belongs to the namespace it was mounted in. A refusal leaves the old view,
/// which most programs never look at, so it is no error.
fn show(files: &[Shown]) {
    let nothing: Option<&str> = None;
    if unshare(CloneFlags::CLONE_NEWNS).is_err() {
        return;
    }
    let private = MsFlags::MS_SLAVE | MsFlags::MS_REC;
    if mount(nothing, "/", nothing, private, nothing).is_ok() {
        // Over the old one: inside a user namespace that one may not be taken away.
        let _ = mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), nothing);
        for Shown { file, place } in files {
            let _ = mount(Some(&**file), &**place, nothing, MsFlags::MS_BIND, nothing);
        }
    }
}

/// A child whose time and memory are watched.
#[derive(Debug)]
pub struct Running {
    child: Child,
    started: Instant,
}

/// What became of a child.
#[derive(Clone, Copy, Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// From its start to its end.
    pub elapsed: Duration,
    /// The most memory it held at once, in bytes.
    pub peak_memory: u64,
    /// Processor time it used, in user and kernel mode.
    pub cpu: Duration,
}

impl Running {
    /// Starts `command`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        let started = Instant::now();
        let child = command
            .spawn()
            .context(|| format!("run {}", command.get_program().to_string_lossy()))?;
        Ok(Self { child, started })
    }

    /// The child itself, for its pipes and number.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// When the child has been waited for already.
    pub fn finish(mut self) -> Result<Finished> {
        drop(self.child.stdin.take());
        let mut status = 0;
        // SAFETY: all-zero bytes are a valid rusage, a plain C struct of integers.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        loop {
            let pid = self.child.id().cast_signed();
            // SAFETY: both pointers are to live local variables of the types wait4 fills in.
            let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
            if waited == pid {
                break;
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error).context(|| format!("wait for process {pid}"));
            }
        }
        let time = |t: libc::timeval| {
            Duration::new(t.tv_sec.cast_unsigned(), t.tv_usec.cast_unsigned() as u32 * 1000)
        };
        Ok(Finished {
            status: ExitStatus::from_raw(status),
            elapsed: self.started.elapsed(),
            // The kernel counts it in KiB.
            peak_memory: usage.ru_maxrss.cast_unsigned() * 1024,
            cpu: time(usage.ru_utime) + time(usage.ru_stime),
        })
    }
}
