//! Work that is done in a process of its own, with the privileges of this one.
//!
//! The child is forked and not executed, for this program has `no_new_privs` set, so that nothing it
//! starts would get its file's capabilities. It waits until it is given its work. So all children can
//! be forked first, and this process then gives its privileges up before it reads anything of theirs.
//! What a child writes to its standard streams comes to this process line by line, and so does its end.

use std::collections::VecDeque;
use std::ffi::c_int;
use std::fs::File;
use std::io::{self, BufRead, BufReader, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, kill_process, pidfd_open,
    set_parent_process_death_signal, setpgid, waitpid,
};
use rustix::stdio;

use crate::ending;
use crate::exit::Exit;
use crate::process::{Held, fork};
use crate::threads::SingleThread;

/// A line longer than this is cut: it bounds the memory that a child can take here.
const LONGEST_LINE: usize = 64 << 20;

/// What ends the text that a child is given. It is no end of a file: children that were forked later
/// have this process's end of the pipe, too.
const END: u8 = 0;

/// How long the keeper of a child that crashed may take to restore the machine: longer than the
/// commands that undo a change may.
const RESTORING: Duration = Duration::from_secs(30);

/// A child, which waits for its work or does it.
pub struct Apart {
    pid: Pid,
    process: OwnedFd,
    input: PipeWriter,
    output: Stream,
    messages: Stream,
    /// How it ended, and until when what it left is listened to.
    ended: Option<(How, Option<Instant>)>,
    ready: VecDeque<Event>,
}

/// What a child did, or somebody to this process.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// It wrote a line to standard output.
    Output(Vec<u8>),
    /// It wrote a line to standard error.
    Message(Vec<u8>),
    /// A signal came that was [held back](Held).
    Signal(c_int),
    /// It ended, and everything that it wrote was given. Nothing follows.
    Ended(How),
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// With this exit status.
    Status(i32),
    /// By this signal.
    Signal(i32),
}

impl How {
    /// Whether it is this exit status.
    pub fn is(self, exit: Exit) -> bool {
        self == How::Status(exit as i32)
    }
}

impl Apart {
    /// Forks a child that does this with the text that it is [given](Apart::give). It is in a process
    /// group of its own, so that a terminal's signals come to this process alone, which
    /// [passes them on](Apart::signal). It is asked to stop when this process is gone.
    ///
    /// # Errors
    ///
    /// There can be no more processes, or descriptors.
    pub fn start(
        single: &SingleThread,
        held: &Held,
        work: impl FnOnce(SingleThread, &str) -> Exit,
    ) -> io::Result<Apart> {
        let (given, input) = io::pipe()?;
        let (output, to_output) = io::pipe()?;
        let (messages, to_messages) = io::pipe()?;
        let parent = pidfd_open(rustix::process::getpid(), PidfdFlags::empty())?;
        let mut ours = Some((input, output, messages));
        let pid = fork(single, || {
            drop(ours.take());
            let _ = setpgid(None, None);
            let _ = set_parent_process_death_signal(Some(Signal::TERM));
            // From here on a signal ends it, until a run takes them.
            held.end();
            let placed = File::open("/dev/null").and_then(|nothing| {
                stdio::dup2_stdin(&nothing)?;
                stdio::dup2_stdout(&to_output)?;
                Ok(stdio::dup2_stderr(&to_messages)?)
            });
            drop((to_output, to_messages));
            if placed.is_err() || is_over(&parent) {
                return;
            }
            let mut text = Vec::new();
            let read = BufReader::new(given).read_until(END, &mut text);
            if read.is_err() || text.pop() != Some(END) {
                return;
            }
            ending::watch();
            let text = String::from_utf8_lossy(&text);
            let done = catch_unwind(AssertUnwindSafe(|| work(SingleThread::in_child(), &text)));
            ending::end(done.unwrap_or(Exit::Failed) as u8)
        })?;
        let (input, output, messages) = ours.ok_or(io::ErrorKind::InvalidData)?;
        Ok(Apart {
            pid,
            process: pidfd_open(pid, PidfdFlags::empty())?,
            input,
            output: Stream::new(output)?,
            messages: Stream::new(messages)?,
            ended: None,
            ready: VecDeque::new(),
        })
    }

    /// Gives it its work, once.
    pub fn give(&mut self, text: &str) {
        // Where it is gone already, its end says so.
        let _ = self.input.write_all(text.as_bytes()).and_then(|()| self.input.write_all(&[END]));
    }

    /// Passes a signal on to it.
    pub fn signal(&self, signal: c_int) {
        // Its number is its own until it is waited for.
        if let (None, Some(signal)) = (&self.ended, Signal::from_named_raw(signal)) {
            let _ = kill_process(self.pid, signal);
        }
    }

    /// Waits for what is next.
    pub fn next(&mut self, held: &Held) -> Event {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return event;
            }
            if let Some(signal) = held.take() {
                return Event::Signal(signal);
            }
            if let Some((how, until)) = self.ended
                && until.is_none_or(|until| self.messages.pipe.is_none() || Instant::now() >= until)
            {
                self.ready.extend(self.output.rest().map(Event::Output));
                self.ready.extend(self.messages.rest().map(Event::Message));
                self.ready.push_back(Event::Ended(how));
                continue;
            }
            self.wait(held);
            self.ready.extend(self.output.lines().into_iter().map(Event::Output));
            self.ready.extend(self.messages.lines().into_iter().map(Event::Message));
        }
    }

    /// Waits until there is something to be read, or it ended.
    fn wait(&mut self, held: &Held) {
        let mut fds = vec![PollFd::new(held, PollFlags::IN)];
        let pipes = [&self.output, &self.messages].into_iter().filter_map(|s| s.pipe.as_ref());
        fds.extend(pipes.map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        let timeout = match &self.ended {
            None => {
                fds.push(PollFd::new(&self.process, PollFlags::IN));
                None
            }
            Some((_, until)) => {
                let left = until.map(|until| until.saturating_duration_since(Instant::now()));
                Timespec::try_from(left.unwrap_or_default()).ok()
            }
        };
        if poll(&mut fds, timeout.as_ref()).is_err() || self.ended.is_some() {
            return;
        }
        if let Ok(Some((_, status))) = waitpid(Some(self.pid), WaitOptions::NOHANG) {
            let how = match (status.exit_status(), status.terminating_signal()) {
                (Some(status), _) => How::Status(status),
                (None, signal) => How::Signal(signal.unwrap_or_default()),
            };
            // One that crashed leaves a keeper, who says what it restores and then ends. Of others,
            // nobody is waited for: a plugin's own children may hold the pipes for long.
            let is_crash = matches!(how, How::Signal(_));
            self.ended = Some((how, is_crash.then(|| Instant::now() + RESTORING)));
        }
    }
}

/// Whether a process has ended.
fn is_over(process: &OwnedFd) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&now)) == Ok(1)
}

/// A child that was given no work, or that nobody listens to any more.
impl Drop for Apart {
    fn drop(&mut self) {
        if self.ended.is_none() {
            let _ = kill_process(self.pid, Signal::KILL);
            let _ = waitpid(Some(self.pid), WaitOptions::empty());
        }
    }
}

/// One of a child's streams.
struct Stream {
    /// `None` once it is at its end.
    pipe: Option<PipeReader>,
    begun: Vec<u8>,
}

impl Stream {
    fn new(pipe: PipeReader) -> io::Result<Stream> {
        rustix::fs::fcntl_setfl(pipe.as_fd(), OFlags::NONBLOCK)?;
        Ok(Stream { pipe: Some(pipe), begun: Vec::new() })
    }

    /// The lines that are there by now, without their ends.
    fn lines(&mut self) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        let mut buffer = [0; 64 << 10];
        while let Some(pipe) = &mut self.pipe {
            match pipe.read(&mut buffer) {
                Ok(0) => self.pipe = None,
                Ok(length) => {
                    for piece in buffer[..length].split_inclusive(|&octet| octet == b'\n') {
                        let (text, is_whole) = match piece.strip_suffix(b"\n") {
                            Some(text) => (text, true),
                            None => (piece, false),
                        };
                        let room = LONGEST_LINE.saturating_sub(self.begun.len());
                        self.begun.extend_from_slice(&text[..text.len().min(room)]);
                        if is_whole {
                            lines.push(std::mem::take(&mut self.begun));
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => self.pipe = None,
            }
        }
        lines
    }

    /// All that is left of it.
    fn rest(&mut self) -> impl Iterator<Item = Vec<u8>> {
        let mut lines = self.lines();
        let begun = std::mem::take(&mut self.begun);
        if !begun.is_empty() {
            lines.push(begun);
        }
        lines.into_iter()
    }
}
