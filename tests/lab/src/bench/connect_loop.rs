//! Owns the bare loop: the least a program must do to connect twice to every target and close. What
//! it manages is the most any A/B measurement could on the same machine.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::error::{Context, Result};

/// Connections to each target.
const CONNECTIONS: u8 = 2;

/// What the loop did.
#[derive(Clone, Copy, Debug)]
pub struct LoopResult {
    /// From the first connect to the last close.
    pub elapsed: Duration,
    /// Connections made.
    pub connected: usize,
    /// Connections that failed.
    pub failed: usize,
}

struct Slot {
    socket: Socket,
    target: usize,
    /// Connections to this target still to come after this one.
    left: u8,
}

struct Loop {
    epoll: Epoll,
    addresses: Vec<SockAddr>,
    slots: Vec<Option<Slot>>,
    open: usize,
    connected: usize,
    failed: usize,
}

/// Connects to every address twice, one after the other, `in_flight` addresses at a time.
///
/// The second connection starts when the first is closed. Nothing is bound, so the kernel chooses
/// ports for each address apart and never runs out of them.
///
/// # Errors
/// When no socket can be made at all; a refused connection is counted instead.
pub fn connect_loop(addresses: &[SocketAddr], in_flight: usize) -> Result<LoopResult> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).context(|| "make an epoll set")?;
    let mut state = Loop {
        epoll,
        addresses: addresses.iter().copied().map(SockAddr::from).collect(),
        slots: Vec::new(),
        open: 0,
        connected: 0,
        failed: 0,
    };
    let started = Instant::now();
    state.run(in_flight).context(|| "run the bare connect loop")?;
    Ok(LoopResult { elapsed: started.elapsed(), connected: state.connected, failed: state.failed })
}

impl Loop {
    fn run(&mut self, in_flight: usize) -> io::Result<()> {
        let mut next = 0;
        let mut events = vec![EpollEvent::empty(); 1024];
        loop {
            while self.open < in_flight && next < self.addresses.len() {
                self.start(next, CONNECTIONS - 1)?;
                next += 1;
            }
            if self.open == 0 {
                return Ok(());
            }
            let ready = match self.epoll.wait(&mut events, EpollTimeout::NONE) {
                Ok(ready) => ready,
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(errno.into()),
            };
            for event in &events[..ready] {
                self.finish(event.data() as usize)?;
            }
        }
    }

    fn start(&mut self, target: usize, left: u8) -> io::Result<()> {
        let address = &self.addresses[target];
        let domain = Domain::from(i32::from(address.family()));
        let socket = Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        match socket.connect(address) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
            Err(_) => {
                self.failed += 1;
                return if left > 0 { self.start(target, left - 1) } else { Ok(()) };
            }
        }
        let index = socket.as_raw_fd() as usize;
        let event = EpollEvent::new(EpollFlags::EPOLLOUT | EpollFlags::EPOLLET, index as u64);
        self.epoll.add(&socket, event)?;
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, || None);
        }
        self.slots[index] = Some(Slot { socket, target, left });
        self.open += 1;
        Ok(())
    }

    fn finish(&mut self, index: usize) -> io::Result<()> {
        let Some(slot) = self.slots[index].take() else {
            return Ok(());
        };
        match slot.socket.take_error()? {
            None => self.connected += 1,
            Some(_) => self.failed += 1,
        }
        drop(slot.socket);
        self.open -= 1;
        if slot.left > 0 { self.start(slot.target, slot.left - 1) } else { Ok(()) }
    }
}
