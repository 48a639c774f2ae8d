//! The worker's end: takes the task, shuts itself in, does it, and reports.
//!
//! Whoever may run the program may start it like this too, with an order and a file of their own. So
//! where the program has privileges of its own, none is left before the first octet is read, and
//! only files that the program itself would take are loaded.

use std::fs::File;
use std::io::{self, BufRead, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};
use rustix::thread::{CapabilitySet, set_no_new_privs};

use super::{Message, Order, Task, Work};
use crate::trust::Trust;
use pathspider_runtime::privileges::Privileges;
use pathspider_runtime::privileges::shed_all_but;
use pathspider_runtime::{crash, ending, say};

/// The most memory that a plugin may take here: one that wants more is broken, and must not have the
/// kernel choose another victim.
const MEMORY: u64 = 2 << 30;

/// The status of a worker that cannot answer.
const FAILED: u8 = 2;

/// The number from which on the socket's descriptor stands, out of the way of those who close all.
const OUT_OF_THE_WAY: i32 = 500;

/// Has the parent's task done.
pub(super) fn main(work: Work) -> io::Result<ExitCode> {
    let privileges = Privileges::own();
    if privileges == Privileges::OfItsFile {
        shed_all_but(CapabilitySet::empty())?;
    }
    let (socket, line, file) = receive()?;
    let order: Order = serde_json::from_slice(&line)?;
    if privileges == Privileges::OfItsFile {
        Trust::of(privileges, rustix::process::geteuid().as_raw())
            .judge("the file", Path::new(&order.name), &file.metadata()?)
            .map_err(io::Error::other)?;
    }
    set_parent_process_death_signal(Some(Signal::KILL))?;
    set_no_new_privs(true)?;
    setrlimit(Resource::Data, Rlimit { current: Some(MEMORY), maximum: Some(MEMORY) })?;
    let mut reporter = Reporter { socket, nonce: order.nonce };
    if matches!(order.task, Task::Check { .. }) {
        // Its last words say in which function it ended this process.
        ending::watch();
        crash::watch();
    }
    let answer = work(order.task, file, &order.name, &mut reporter)?;
    let sent = reporter.send(&Message::Answer(answer));
    if sent.is_err() {
        say!("it has closed descriptors that are not its own");
    }
    // What its libraries registered for the end is not called.
    ending::end(if sent.is_ok() { 0 } else { FAILED })
}

/// Takes the order and the file from standard input, and puts an empty input in its place.
fn receive() -> io::Result<(UnixStream, Vec<u8>, File)> {
    let mut octets = vec![0; 1 << 16];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut passed = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(
        rustix::stdio::stdin(),
        &mut [IoSliceMut::new(&mut octets)],
        &mut passed,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    octets.truncate(received.bytes);
    let file: OwnedFd = passed
        .drain()
        .find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut files) => files.next(),
            _ => None,
        })
        .ok_or(io::ErrorKind::InvalidData)?;
    let dup = |from| rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), from);
    let socket = UnixStream::from(dup(OUT_OF_THE_WAY).or_else(|_| dup(3))?);
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    let line = octets.lines().next().ok_or(io::ErrorKind::UnexpectedEof)??;
    Ok((socket, line.into_bytes(), file.into()))
}

/// Sends messages to the parent.
pub(crate) struct Reporter {
    socket: UnixStream,
    nonce: String,
}

impl Reporter {
    /// Says what comes next, as it is to be read after "while".
    pub(crate) fn step(&mut self, step: &str) {
        // Without its parent, this process has ended too.
        let _ = self.send(&Message::Step(step.to_owned()));
    }

    fn send(&mut self, message: &Message) -> io::Result<()> {
        let line = format!("{} {}\n", self.nonce, serde_json::to_string(message)?);
        self.socket.write_all(line.as_bytes())
    }
}
