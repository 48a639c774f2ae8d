//! The guardian: starts the worker, and kills what that leaves behind.

use std::fs;
use std::io;
use std::process::{ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, WaitOptions, WaitStatus, getpid, kill_process,
    pidfd_open, set_child_subreaper, setrlimit, setsid, wait,
};
use rustix::thread::{CapabilitySet, set_no_new_privs};

use super::{CLEARING, WORKER, again};
use pathspider_runtime::privileges::has_privileges_of_its_own;
use pathspider_runtime::privileges::shed_all_but;
use pathspider_runtime::process;

/// Ends as the worker did.
pub(super) fn main() -> io::Result<ExitCode> {
    if has_privileges_of_its_own() {
        shed_all_but(CapabilitySet::empty())?;
    }
    set_no_new_privs(true)?;
    // The worker has no terminal to write to, and cannot leave for its parent's process group.
    setsid()?;
    set_child_subreaper(Some(getpid()))?;
    // A plugin that crashes here is no news to whoever collects the dumps of crashes.
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    let worker = again(WORKER).stdin(Stdio::inherit()).spawn()?;
    let worker = Pid::from_child(&worker);
    wait_for(worker)?;
    Ok(end_as(clear(worker)))
}

/// Waits until the worker is dead, or the parent has hung up.
fn wait_for(worker: Pid) -> io::Result<()> {
    let life = pidfd_open(worker, PidfdFlags::empty())?;
    loop {
        let mut fds = [
            PollFd::new(&life, PollFlags::IN),
            // That it is hung up is reported in any case; what is to be read is the worker's.
            PollFd::from_borrowed_fd(rustix::stdio::stdin(), PollFlags::empty()),
        ];
        match poll(&mut fds, None) {
            Ok(_) if fds.iter().any(|fd| !fd.revents().is_empty()) => return Ok(()),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Kills all that is left, and tells how the worker ended.
fn clear(worker: Pid) -> Option<WaitStatus> {
    let deadline = Instant::now() + CLEARING;
    let mut of_worker = None;
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => {
                if pid == worker {
                    of_worker = Some(status);
                }
                continue;
            }
            Ok(None) if Instant::now() < deadline => {}
            Err(rustix::io::Errno::INTR) => continue,
            // There is none any more, or they are too quick.
            _ => return of_worker,
        }
        for child in children() {
            let _ = kill_process(child, Signal::KILL);
        }
        sleep(Duration::from_millis(1));
    }
}

/// This process's children, which are also those whose parents have ended. It has one thread.
fn children() -> Vec<Pid> {
    let own = getpid().as_raw_nonzero().get();
    // Not every kernel has this list; on a machine with many processes, all else takes long.
    if let Ok(list) = fs::read_to_string(format!("/proc/self/task/{own}/children")) {
        let numbers = list.split_ascii_whitespace().filter_map(|number| number.parse().ok());
        return numbers.filter_map(Pid::from_raw).collect();
    }
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let child = |entry: fs::DirEntry| {
        let number = entry.file_name().to_str()?.parse().ok()?;
        (process::stat(number)?.parent == own).then(|| Pid::from_raw(number)).flatten()
    };
    entries.filter_map(|entry| child(entry.ok()?)).collect()
}

/// Ends this process by the signal that ended the worker, or gives its status.
fn end_as(worker: Option<WaitStatus>) -> ExitCode {
    let Some(status) = worker else { return ExitCode::from(2) };
    if let Some(status) = status.exit_status() {
        return ExitCode::from(status as u8);
    }
    let number = status.terminating_signal().unwrap_or_default();
    if let Some(signal) = Signal::from_named_raw(number) {
        // The first time the standard library's handler of SIGSEGV and SIGBUS may take it.
        for _ in 0..2 {
            let _ = kill_process(getpid(), signal);
        }
    }
    ExitCode::from(128u8.saturating_add(number as u8))
}
