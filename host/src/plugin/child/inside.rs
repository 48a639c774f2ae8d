//! The child's end: takes the task, shuts itself in, does it, and reports.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs};

use super::{MARK, Message, Order, Task};
use crate::plugin::{check, examine};

/// The most memory that an examination may take: a plugin that wants more is broken, and must not
/// have the kernel choose another victim.
const MEMORY: u64 = 2 << 30;

/// The number from which on the socket's descriptor stands, out of the way of those who close all.
const OUT_OF_THE_WAY: i32 = 500;

/// Does the parent's task and returns `Some`, where the arguments say that this is such a child.
pub(crate) fn main(arguments: &[OsString]) -> Option<ExitCode> {
    if arguments.get(1)? != MARK {
        return None;
    }
    // Nobody reads what is said here but who starts it by hand.
    Some(match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(2),
    })
}

fn serve() -> io::Result<()> {
    let (socket, line, file) = receive()?;
    let order: Order = serde_json::from_slice(&line)?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // A plugin that crashes here is no news to whoever collects the dumps of crashes.
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    set_no_new_privs(true)?;
    let mut reporter = Reporter { socket, nonce: order.nonce };
    let answer = match order.task {
        Task::Examine => {
            setrlimit(Resource::Data, Rlimit { current: Some(MEMORY), maximum: Some(MEMORY) })?;
            drop_capabilities();
            serde_json::to_value(examine::inside(file, &order.name, &mut reporter))?
        }
        Task::Check { rule, seed, options } => {
            let order_of_rule = (rule.as_str(), seed, options);
            serde_json::to_value(check::inside(file, &order.name, order_of_rule, &mut reporter))?
        }
    };
    reporter.send(&Message::Answer(answer))
}

/// What a plugin does when it is loaded and described needs no privilege.
fn drop_capabilities() {
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    let _ = set_capabilities(None, sets);
}

/// Takes the order and the file from standard input, in place of which there is nothing then.
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
        // Where the parent is gone, so is this process.
        let _ = self.send(&Message::Step(step.to_owned()));
    }

    fn send(&mut self, message: &Message) -> io::Result<()> {
        let line = format!("{} {}\n", self.nonce, serde_json::to_string(message)?);
        self.socket.write_all(line.as_bytes())
    }
}
