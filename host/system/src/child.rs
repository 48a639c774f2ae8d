//! Waits for a child process that is to end in time.
//!
//! Without threads: the keeper, which was forked, waits here too.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Output};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

/// How long is waited for a child that was killed. One that stays is held by the kernel.
const BURIAL: Duration = Duration::from_secs(1);

/// How often is looked where the kernel (before 5.3) does not say when a process ends.
const LOOK: Duration = Duration::from_millis(10);

/// What is kept of what a child writes; the rest is read and dropped.
const KEPT: usize = 1 << 20;

/// How often is read at once.
const READS: usize = 32;

/// What a child writes to one of its outputs.
struct Stream {
    /// `None` at its end.
    pipe: Option<OwnedFd>,
    text: Vec<u8>,
}

impl Stream {
    fn new(pipe: Option<impl Into<OwnedFd>>) -> io::Result<Stream> {
        let pipe = pipe.map(Into::into);
        if let Some(pipe) = &pipe {
            fcntl_setfl(pipe, OFlags::NONBLOCK)?;
        }
        Ok(Stream { pipe, text: Vec::new() })
    }

    /// Takes what is there, but no more than a pipe has at once: one that never stops writing is not
    /// to hold us.
    fn take(&mut self) {
        let mut buffer = [0; 4096];
        for _ in 0..READS {
            let Some(pipe) = &self.pipe else { return };
            match rustix::io::read(pipe, &mut buffer) {
                Ok(0) => self.pipe = None,
                Ok(length) => {
                    let left = KEPT.saturating_sub(self.text.len());
                    self.text.extend_from_slice(&buffer[..length.min(left)]);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return,
                Err(_) => self.pipe = None,
            }
        }
    }
}

/// Waits until a child ends that leads a process group; gives what it wrote until then. `None` where it
/// did not end in time: then it was killed, with its group. What it has started and left behind is not
/// waited for.
///
/// # Errors
///
/// The system does not tell how it ended.
pub(super) fn wait(mut child: Child, limit: Duration) -> io::Result<Option<Output>> {
    let mut streams = [Stream::new(child.stdout.take())?, Stream::new(child.stderr.take())?];
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let end = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    let begun = Instant::now();
    loop {
        let status = child.try_wait()?;
        for stream in &mut streams {
            stream.take();
        }
        if let Some(status) = status {
            let [stdout, stderr] = streams.map(|stream| stream.text);
            return Ok(Some(Output { status, stdout, stderr }));
        }
        let left = limit.saturating_sub(begun.elapsed());
        if left.is_zero() {
            break;
        }
        let most = if end.is_some() { left } else { left.min(LOOK) };
        let pipes = streams.iter().filter_map(|stream| stream.pipe.as_ref());
        wait_for_any(pipes.chain(&end), most);
    }
    if let Some(pid) = pid {
        let _ = kill_process_group(pid, Signal::KILL);
    }
    let killed = Instant::now();
    while child.try_wait()?.is_none() && killed.elapsed() < BURIAL {
        wait_for_any(end.iter(), LOOK);
    }
    Ok(None)
}

/// Waits until one of these has something, or this long.
fn wait_for_any<'a>(these: impl Iterator<Item = &'a OwnedFd>, long: Duration) {
    let mut polled: Vec<PollFd<'_>> =
        these.map(|one| PollFd::from_borrowed_fd(one.as_fd(), PollFlags::IN)).collect();
    // Where it cannot wait, the caller looks again.
    let _ = poll(&mut polled, Timespec::try_from(long).ok().as_ref());
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    use super::*;

    fn started(script: &str) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null()).process_group(0);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Whether a process of this group runs; a zombie does not.
    fn works(group: Pid) -> bool {
        let stats = std::fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("stat")).ok());
        let group = group.as_raw_nonzero().to_string();
        stats.into_iter().any(|stat| {
            let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
            fields[2] == group && !matches!(fields[0], "Z" | "X")
        })
    }

    #[test]
    fn a_child_that_ends_gives_what_it_wrote() {
        let long = Duration::from_secs(60);
        // More than a pipe takes.
        let script = "head -c 200000 /dev/zero; echo no >&2; exit 3";
        let output = wait(started(script), long).unwrap().unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!((output.stdout.len(), &*output.stderr), (200_000, &b"no\n"[..]));
        // What it leaves behind has its outputs open.
        let output = wait(started("sleep 1000 & echo $!"), long).unwrap().unwrap();
        let left = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
        rustix::process::kill_process(Pid::from_raw(left).unwrap(), Signal::KILL).unwrap();
    }

    #[test]
    fn a_child_that_does_not_end_is_killed_with_what_it_started() {
        for script in ["sleep 1000 & wait", "trap '' TERM; yes"] {
            let child = started(script);
            let group = Pid::from_raw(child.id() as i32).unwrap();
            assert!(wait(child, Duration::from_millis(200)).unwrap().is_none(), "{script}");
            // A process that was killed is gone a moment later.
            let end = Instant::now() + Duration::from_secs(60);
            while works(group) && Instant::now() < end {
                std::thread::yield_now();
            }
            assert!(!works(group), "{script}");
        }
    }
}
