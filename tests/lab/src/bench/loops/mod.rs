//! Owns the bare loops: the least a program must do to exchange something twice with every target
//! and close. What they manage is the most any A/B measurement could on the same machine.

mod connect;
mod dns;
mod http;
mod http3;
mod https;

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::error::{Context, Result};

/// Connections to each target.
const CONNECTIONS: u8 = 2;

/// After this long without any event, what may have been lost is sent again; and after this many times
/// that what is still open has failed.
const QUIET_MILLIS: u16 = 1000;
const PATIENCE: u32 = 5;

/// What a loop exchanges with each target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchanged {
    /// A handshake of TCP.
    Connect,
    /// A GET request by HTTP/1.1 and its whole response.
    Http,
    /// The same over TLS.
    Https,
    /// The same by HTTP/3.
    Http3,
    /// A DNS query over UDP and its answer.
    DnsUdp,
}

/// What the loop did.
#[derive(Clone, Copy, Debug)]
pub struct LoopResult {
    /// From the first connection to the last close.
    pub elapsed: Duration,
    /// Processor time of its thread, in user and kernel mode.
    pub cpu: Duration,
    /// Connections that came to their end.
    pub done: usize,
    /// Connections that failed.
    pub failed: usize,
}

/// Exchanges it with every address twice, one after the other, `in_flight` addresses at a time.
///
/// The second connection starts when the first is closed. Nothing is bound, so the kernel chooses
/// ports for each address apart and never runs out of them.
///
/// # Errors
/// When no socket can be made at all; a refused connection is counted instead.
pub fn bare_loop(
    exchanged: Exchanged,
    addresses: &[SocketAddr],
    in_flight: usize,
) -> Result<LoopResult> {
    match exchanged {
        Exchanged::Connect => run(connect::Handshake, addresses, in_flight),
        Exchanged::Http => run(http::Get, addresses, in_flight),
        Exchanged::Https => run(https::SecureGet::new()?, addresses, in_flight),
        Exchanged::Http3 => http3::run(addresses, in_flight),
        Exchanged::DnsUdp => run(dns::Query, addresses, in_flight),
    }
}

/// How one connection goes.
trait Exchange {
    /// What it has to remember while it waits.
    type State;

    /// What it waits for; each is reported when it comes, once.
    const EVENTS: EpollFlags;

    /// Begins it.
    fn begin(&self, address: &SockAddr) -> io::Result<(Socket, Self::State)>;

    /// Goes on after an event; says whether it has come to its end.
    fn advance(&self, socket: &Socket, state: &mut Self::State) -> io::Result<bool>;

    /// Sends again what may have been lost.
    fn again(&self, _socket: &Socket) {}
}

struct Slot<S> {
    socket: Socket,
    state: S,
    target: usize,
    /// Connections to this target still to come after this one.
    left: u8,
}

struct Loop<E: Exchange> {
    exchange: E,
    epoll: Epoll,
    addresses: Vec<SockAddr>,
    /// By the number of the socket.
    slots: Vec<Option<Slot<E::State>>>,
    open: usize,
    done: usize,
    failed: usize,
}

fn run<E: Exchange>(exchange: E, addresses: &[SocketAddr], in_flight: usize) -> Result<LoopResult> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).context(|| "make an epoll set")?;
    let mut state = Loop {
        exchange,
        epoll,
        addresses: addresses.iter().copied().map(SockAddr::from).collect(),
        slots: Vec::new(),
        open: 0,
        done: 0,
        failed: 0,
    };
    let (started, had) = (Instant::now(), own_time()?);
    state.run(in_flight).context(|| "run the bare loop")?;
    let (elapsed, cpu) = (started.elapsed(), own_time()?.saturating_sub(had));
    Ok(LoopResult { elapsed, cpu, done: state.done, failed: state.failed })
}

/// Processor time that the calling thread has had.
fn own_time() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).context(|| "read the loop's processor time")?;
    let time = usage.user_time() + usage.system_time();
    Ok(Duration::from_micros(time.num_microseconds().unsigned_abs()))
}

impl<E: Exchange> Loop<E> {
    fn run(&mut self, in_flight: usize) -> io::Result<()> {
        let (mut next, mut quiet) = (0, 0);
        let mut events = vec![EpollEvent::empty(); 1024];
        loop {
            while self.open < in_flight && next < self.addresses.len() {
                self.start(next, CONNECTIONS - 1)?;
                next += 1;
            }
            if self.open == 0 {
                return Ok(());
            }
            let ready = match self.epoll.wait(&mut events, EpollTimeout::from(QUIET_MILLIS)) {
                Ok(ready) => ready,
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(errno.into()),
            };
            quiet = if ready == 0 { quiet + 1 } else { 0 };
            if ready == 0 {
                self.stir(quiet >= PATIENCE)?;
            }
            for event in &events[..ready] {
                self.advance(event.data() as usize)?;
            }
        }
    }

    fn start(&mut self, target: usize, left: u8) -> io::Result<()> {
        let Ok((socket, state)) = self.exchange.begin(&self.addresses[target]) else {
            self.failed += 1;
            return if left > 0 { self.start(target, left - 1) } else { Ok(()) };
        };
        let index = socket.as_raw_fd() as usize;
        self.epoll.add(&socket, EpollEvent::new(E::EVENTS | EpollFlags::EPOLLET, index as u64))?;
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, || None);
        }
        self.slots[index] = Some(Slot { socket, state, target, left });
        self.open += 1;
        Ok(())
    }

    fn advance(&mut self, index: usize) -> io::Result<()> {
        let Some(slot) = &mut self.slots[index] else {
            return Ok(());
        };
        match self.exchange.advance(&slot.socket, &mut slot.state) {
            Ok(false) => Ok(()),
            Ok(true) => self.finish(index, true),
            Err(_) => self.finish(index, false),
        }
    }

    fn finish(&mut self, index: usize, succeeded: bool) -> io::Result<()> {
        let Some(Slot { socket, target, left, .. }) = self.slots[index].take() else {
            return Ok(());
        };
        drop(socket);
        *(if succeeded { &mut self.done } else { &mut self.failed }) += 1;
        self.open -= 1;
        if left > 0 { self.start(target, left - 1) } else { Ok(()) }
    }

    /// Sends again what may have been lost, or gives it up.
    fn stir(&mut self, give_up: bool) -> io::Result<()> {
        for index in 0..self.slots.len() {
            match &self.slots[index] {
                Some(_) if give_up => self.finish(index, false)?,
                Some(slot) => self.exchange.again(&slot.socket),
                None => {}
            }
        }
        Ok(())
    }
}

/// A socket of TCP that is connecting.
fn connecting(address: &SockAddr) -> io::Result<Socket> {
    let socket = unconnected(address, Type::STREAM, Protocol::TCP)?;
    match socket.connect(address) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(socket),
    }
}

fn unconnected(address: &SockAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let domain = Domain::from(i32::from(address.family()));
    Socket::new(domain, kind.nonblocking(), Some(protocol))
}

/// What a call on a socket gave; `None` where it would have to wait.
fn ready<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
