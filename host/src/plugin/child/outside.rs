//! The parent's end: starts the child, and gets its answer or the reason why there is none.

use std::fs::File;
use std::io::{self, IoSlice, PipeReader, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::{MARK, Message, Order, Task};
use crate::text::visible;

/// Octets of standard output and of standard error that are kept.
const OUTPUT_LIMIT: usize = 4096;
/// Octets of messages that are kept.
const MESSAGES_LIMIT: usize = 4 << 20;

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
pub(crate) struct Ended {
    pub(crate) how: How,
    /// What it was doing.
    pub(crate) step: String,
    /// The beginning of its standard output.
    pub(crate) stdout: Vec<u8>,
    /// The beginning of its standard error.
    pub(crate) stderr: Vec<u8>,
}

impl Ended {
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
            Some(line) => format!("{what}; its last words: {}", visible(line, 200)),
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
pub(crate) fn run(task: Task, name: &str, file: &File, limit: Duration) -> io::Result<Ended> {
    let nonce = nonce();
    let (ours, theirs) = UnixStream::pair()?;
    let (out, out_writer) = io::pipe()?;
    let (err, err_writer) = io::pipe()?;
    let mut child = Command::new("/proc/self/exe")
        .arg0("pathspider")
        .arg(MARK)
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(out_writer)
        .stderr(err_writer)
        .process_group(0)
        .spawn()?;
    let pid = Pid::from_child(&child);
    let watched = order(&ours, &Order { task, name: name.to_owned(), nonce: nonce.clone() }, file)
        .and_then(|()| pidfd_open(pid, PidfdFlags::empty()).map_err(io::Error::from))
        .and_then(|life| {
            let mut watch = Watch::new(&nonce, ours, out, err)?;
            let over = watch.until_over(&life, Instant::now() + limit)?;
            Ok((watch, over))
        });
    // While the child is not waited for, its process group is nobody else's.
    let _ = kill_process_group(pid, Signal::KILL);
    let (watch, over) = watched.inspect_err(|_| {
        let _ = child.wait();
    })?;
    watch.ended(over, &mut child, limit)
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
                return Ok(Over::Dead);
            }
            if left.is_zero() {
                return Ok(Over::Late);
            }
        }
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

    fn ended(mut self, over: Over, child: &mut Child, limit: Duration) -> io::Result<Ended> {
        let status = child.wait()?;
        self.stdout.read();
        self.stderr.read();
        let how = match (over, status.signal()) {
            (Over::Answered(answer), _) => How::Answered(answer),
            (Over::Late, _) => How::TimedOut(limit),
            (Over::Dead, Some(signal)) => How::Signal(signal),
            (Over::Dead, None) => How::Exited(status.code().unwrap_or(-1)),
        };
        Ok(Ended { how, step: self.step, stdout: self.stdout.kept, stderr: self.stderr.kept })
    }
}

/// A stream that is read as far as there is something, and kept to a limit.
struct Stream<R> {
    source: Option<R>,
    kept: Vec<u8>,
    limit: usize,
}

impl<R: Read + AsFd> Stream<R> {
    fn new(source: R, limit: usize) -> io::Result<Stream<R>> {
        rustix::io::ioctl_fionbio(&source, true)?;
        Ok(Stream { source: Some(source), kept: Vec::new(), limit })
    }

    fn open(&self) -> Option<BorrowedFd<'_>> {
        self.source.as_ref().map(AsFd::as_fd)
    }

    /// Reads some of what is there; a child that never stops to print must not keep us here.
    fn read(&mut self) {
        const AT_ONCE: usize = 16;
        let mut buffer = [0; 4096];
        for _ in 0..AT_ONCE {
            let Some(source) = &mut self.source else { return };
            match source.read(&mut buffer) {
                Ok(0) => self.source = None,
                Ok(read) => {
                    let room = self.limit.saturating_sub(self.kept.len());
                    self.kept.extend_from_slice(&buffer[..read.min(room)]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.source = None,
            }
        }
    }
}
