//! The parent's end: starts guardian and worker, and gets the answer or the reason why there is none.

use std::fs::File;
use std::io::{self, IoSlice, PipeReader};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::stream::Stream;
use super::{CLEARING, GUARDIAN, Message, Order, Task, again};
use pathspider_runtime::text::visible;

/// Octets of standard output and of standard error that are kept.
const OUTPUT_LIMIT: usize = 4096;
/// Octets of messages that are kept.
const MESSAGES_LIMIT: usize = 4 << 20;
/// How often a dead child's messages are read: more than a socket's buffers hold.
const LAST_READS: usize = 64;

/// How a child came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum How {
    /// With an answer.
    Answered(serde_json::Value),
    /// By itself, without one.
    Exited(i32),
    /// By a signal of this number.
    Signal(i32),
    /// By us, when its time was over.
    TimedOut(Duration),
}

/// What a child left.
#[derive(Debug)]
pub(crate) struct ChildEnd {
    /// How it ended.
    pub(crate) how: How,
    /// What it was doing.
    pub(crate) step: String,
    /// The beginning of its standard output.
    pub(crate) stdout: Vec<u8>,
    /// The beginning of its standard error.
    pub(crate) stderr: Vec<u8>,
}

impl ChildEnd {
    /// How it ended without an answer, in words: `it crashed (SIGSEGV) while it was loaded`.
    pub(crate) fn reason(&self) -> String {
        let step = &self.step;
        let what = match &self.how {
            How::Answered(_) => format!("it gave an answer that makes no sense while {step}"),
            How::Exited(status) => format!("it ended the process (status {status}) while {step}"),
            How::Signal(signal) => format!("it crashed ({}) while {step}", signal_name(*signal)),
            How::TimedOut(limit) => {
                format!("it did not come to an end within {} s while {step}", limit.as_secs_f32())
            }
        };
        let said = String::from_utf8_lossy(&self.stderr);
        match said.lines().map(str::trim).rfind(|line| !line.is_empty()) {
            Some(line) => format!("{what}; its last words: {}", visible(line, 400)),
            None => what,
        }
    }
}

fn signal_name(number: i32) -> String {
    match signal_hook::low_level::signal_name(number) {
        Some(name) => name.to_owned(),
        None => format!("signal {number}"),
    }
}

/// Has a child of this process do a task with a plugin's file.
///
/// # Errors
///
/// The child cannot be started.
pub(crate) fn run(task: Task, name: &str, file: &File, limit: Duration) -> io::Result<ChildEnd> {
    let nonce = nonce();
    let (ours, theirs) = UnixStream::pair()?;
    let (out, out_writer) = io::pipe()?;
    let (err, err_writer) = io::pipe()?;
    let line = ours.try_clone()?;
    let mut child = again(GUARDIAN)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(out_writer)
        .stderr(err_writer)
        .spawn()?;
    let life = pidfd_open(Pid::from_child(&child), PidfdFlags::empty());
    let watched = life.as_ref().map_err(|&error| io::Error::from(error)).and_then(|life| {
        order(&ours, &Order { task, name: name.to_owned(), nonce: nonce.clone() }, file)?;
        let mut watch = Watch::new(&nonce, ours, out, err)?;
        let over = watch.until_over(life, Instant::now() + limit)?;
        Ok((watch, over))
    });
    let _ = line.shutdown(Shutdown::Both);
    let status = end(&mut child, life.ok().as_ref())?;
    let (watch, over) = watched?;
    Ok(watch.ended(over, status, limit))
}

/// Waits for the guardian, which was hung up on, to end; kills it where it does not.
fn end(child: &mut Child, life: Option<&OwnedFd>) -> io::Result<ExitStatus> {
    let deadline = Instant::now() + 2 * CLEARING;
    while let Some(life) = life {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(life, PollFlags::IN)], Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => {}
            Ok(1..) => return child.wait(),
            _ => break,
        }
    }
    // While it is not waited for, its process group is nobody else's.
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    child.kill()?;
    child.wait()
}

/// A number that cannot be guessed; it keeps what a plugin prints from being taken for an answer.
fn nonce() -> String {
    use std::hash::{BuildHasher, RandomState};
    let part = || RandomState::new().hash_one(std::process::id());
    format!("{:016x}{:016x}", part(), part())
}

fn order(socket: &UnixStream, order: &Order, file: &File) -> io::Result<()> {
    let mut line = serde_json::to_vec(order)?;
    line.push(b'\n');
    let files = [file.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut passed = SendAncillaryBuffer::new(&mut space);
    passed.push(SendAncillaryMessage::ScmRights(&files));
    let sent = sendmsg(socket, &[IoSlice::new(&line)], &mut passed, SendFlags::NOSIGNAL)?;
    if sent == line.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Why watching ended.
enum Over {
    Answered(serde_json::Value),
    Dead,
    Late,
}

/// The ends of what the child writes to.
struct Watch {
    prefix: String,
    messages: Stream<UnixStream>,
    stdout: Stream<PipeReader>,
    stderr: Stream<PipeReader>,
    step: String,
}

impl Watch {
    fn new(
        nonce: &str,
        messages: UnixStream,
        stdout: PipeReader,
        stderr: PipeReader,
    ) -> io::Result<Watch> {
        Ok(Watch {
            prefix: format!("{nonce} "),
            messages: Stream::new(messages, MESSAGES_LIMIT)?,
            stdout: Stream::new(stdout, OUTPUT_LIMIT)?,
            stderr: Stream::new(stderr, OUTPUT_LIMIT)?,
            step: "it was started".to_owned(),
        })
    }

    fn until_over(&mut self, life: &OwnedFd, deadline: Instant) -> io::Result<Over> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let dead = self.wait(life, left)?;
            self.messages.read();
            self.stdout.read();
            self.stderr.read();
            if let Some(answer) = self.read_messages() {
                return Ok(Over::Answered(answer));
            }
            if dead {
                return Ok(self.last_words().map_or(Over::Dead, Over::Answered));
            }
            if left.is_zero() {
                return Ok(Over::Late);
            }
        }
    }

    /// The answer among what a dead child has left to read, however much that is.
    fn last_words(&mut self) -> Option<serde_json::Value> {
        for _ in 0..LAST_READS {
            let more = self.messages.read();
            let answer = self.read_messages();
            if answer.is_some() || !more {
                return answer;
            }
        }
        None
    }

    /// Waits until there is something to read, or the child is dead: then `true`.
    fn wait(&self, life: &OwnedFd, left: Duration) -> io::Result<bool> {
        let streams = [self.messages.open(), self.stdout.open(), self.stderr.open()];
        let mut fds = vec![PollFd::new(life, PollFlags::IN)];
        fds.extend(
            streams.into_iter().flatten().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)),
        );
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut fds, Some(&left)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(!fds[0].revents().is_empty()),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads the whole messages that came; the answer is the last of them.
    fn read_messages(&mut self) -> Option<serde_json::Value> {
        let whole = self.messages.kept.iter().rposition(|&octet| octet == b'\n')? + 1;
        let lines: Vec<u8> = self.messages.kept.drain(..whole).collect();
        for line in String::from_utf8_lossy(&lines).lines() {
            let Some(text) = line.strip_prefix(&self.prefix) else { continue };
            match serde_json::from_str(text) {
                Ok(Message::Step(step)) => self.step = step,
                Ok(Message::Answer(answer)) => return Some(answer),
                Err(_) => {}
            }
        }
        None
    }

    fn ended(mut self, over: Over, status: ExitStatus, limit: Duration) -> ChildEnd {
        self.stdout.read();
        self.stderr.read();
        let how = match (over, status.signal()) {
            (Over::Answered(answer), _) => How::Answered(answer),
            (Over::Late, _) => How::TimedOut(limit),
            (Over::Dead, Some(signal)) => How::Signal(signal),
            (Over::Dead, None) => How::Exited(status.code().unwrap_or(-1)),
        };
        ChildEnd { how, step: self.step, stdout: self.stdout.kept, stderr: self.stderr.kept }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::Command;

    use super::*;

    /// A process that is dead, and a watch of what it wrote.
    fn dead_after(words: &[u8]) -> Over {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(words).unwrap();
        drop(theirs);
        let mut child = Command::new("true").spawn().unwrap();
        let life = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
        let (out, err) = (io::pipe().unwrap().0, io::pipe().unwrap().0);
        let mut watch = Watch::new("7", ours, out, err).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        let over = watch.until_over(&life, Instant::now() + Duration::from_secs(10)).unwrap();
        child.wait().unwrap();
        over
    }

    #[test]
    fn an_answer_is_found_behind_whatever_was_written_before_it() {
        for length in [0, 80_000, 150_000] {
            let mut words = vec![b'x'; length];
            words.extend(b"\n7 {\"Answer\":1}\n");
            assert!(matches!(dead_after(&words), Over::Answered(one) if one == 1), "{length}");
        }
        assert!(matches!(dead_after(b"8 {\"Answer\":1}\n"), Over::Dead));
    }
}
