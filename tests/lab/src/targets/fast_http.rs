//! Owns the fast HTTP/1.1 server: a few epoll threads that accept, answer every request with the
//! same small page, and close once the client has closed. It is made for tens of thousands of
//! short connections a second, so it knows no more of HTTP than where a request's head ends.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{MsgFlags, recv, send};
use socket2::Socket;

use super::sockets::listen;
use crate::error::{Context, Result};
use crate::net::Namespace;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 16\r\n\r\n\
    pathspider lab.\n";
/// The name of its threads.
pub(super) const THREAD: &str = "fast-http";
/// How often an idle thread looks whether it is to stop.
const TICK_MILLIS: u16 = 100;

/// A running server; dropping it stops it.
#[derive(Debug)]
pub struct FastHttp {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<io::Result<()>>>>,
}

impl FastHttp {
    /// Listens on `port` of every local IPv4 and IPv6 address of `namespace` with `threads`
    /// threads, with or without Multipath TCP.
    ///
    /// # Errors
    /// When the port is taken or a thread cannot be made.
    pub fn start(namespace: &Namespace, port: u16, threads: usize, mptcp: bool) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut server = Self { stop: Arc::clone(&stop), threads: Vec::new() };
        // Every thread has a listener of its own, so the kernel spreads connections over them.
        for _ in 0..threads {
            let listener = namespace
                .enter(|| listen(port, mptcp))?
                .context(|| format!("listen on port {port} in {}", namespace.label()))?;
            let stop = Arc::clone(&stop);
            let work = move || Worker::new(listener).and_then(|mut worker| worker.run(&stop));
            server.threads.push(namespace.spawn(THREAD, work)?);
        }
        Ok(server)
    }
}

impl Drop for FastHttp {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

struct Worker {
    listener: Socket,
    epoll: Epoll,
    connections: Vec<Option<Connection>>,
}

struct Connection {
    socket: OwnedFd,
    /// How much of the empty line that ends a request's head has been read.
    head_end: usize,
}

impl Worker {
    fn new(listener: Socket) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let key = listener.as_raw_fd() as u64;
        epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, key))?;
        Ok(Self { listener, epoll, connections: Vec::new() })
    }

    fn run(&mut self, stop: &AtomicBool) -> io::Result<()> {
        let mut events = vec![EpollEvent::empty(); 1024];
        while !stop.load(Ordering::Relaxed) {
            let ready = match self.epoll.wait(&mut events, EpollTimeout::from(TICK_MILLIS)) {
                Ok(ready) => ready,
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(errno.into()),
            };
            for event in &events[..ready] {
                let fd = event.data() as RawFd;
                if fd == self.listener.as_raw_fd() {
                    self.accept();
                } else if self.serve(fd).is_err() {
                    // Closing takes it out of the epoll set too.
                    self.connections[fd as usize] = None;
                }
            }
        }
        Ok(())
    }

    fn accept(&mut self) {
        // Any failure is left to the next event: a client that has gone again, or a full table of
        // files, which empties as clients close.
        while let Ok((socket, _)) = self.listener.accept_raw() {
            if socket.set_nonblocking(true).is_err() {
                continue;
            }
            let fd = socket.as_raw_fd();
            let event = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, fd as u64);
            if self.epoll.add(&socket, event).is_err() {
                continue;
            }
            let index = fd as usize;
            if self.connections.len() <= index {
                self.connections.resize_with(index + 1, || None);
            }
            self.connections[index] = Some(Connection { socket: socket.into(), head_end: 0 });
        }
    }

    /// Reads all there is and answers each complete head; an error means the connection is over.
    fn serve(&mut self, fd: RawFd) -> std::result::Result<(), Errno> {
        let Some(Some(connection)) = self.connections.get_mut(fd as usize) else {
            return Ok(());
        };
        let raw = connection.socket.as_raw_fd();
        let mut buffer = [0; 4096];
        loop {
            let length = match recv(raw, &mut buffer, MsgFlags::empty()) {
                Ok(0) => return Err(Errno::ECONNRESET),
                Ok(length) => length,
                Err(Errno::EAGAIN) => return Ok(()),
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(errno),
            };
            for _ in 0..connection.heads_ended(&buffer[..length]) {
                send(raw, ANSWER, MsgFlags::MSG_NOSIGNAL)?;
            }
        }
    }
}

impl Connection {
    /// Counts the request heads that end within `bytes`, which follow those of earlier calls.
    fn heads_ended(&mut self, bytes: &[u8]) -> usize {
        const END: &[u8] = b"\r\n\r\n";
        let mut ended = 0;
        for &byte in bytes {
            self.head_end = match byte {
                byte if byte == END[self.head_end] => self.head_end + 1,
                b'\r' => 1,
                _ => 0,
            };
            if self.head_end == END.len() {
                self.head_end = 0;
                ended += 1;
            }
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection() -> Connection {
        let epoll = Epoll::new(EpollCreateFlags::empty()).unwrap();
        Connection { socket: epoll.0, head_end: 0 }
    }

    #[test]
    fn a_head_split_over_reads_is_counted_once() {
        let mut connection = connection();
        assert_eq!(connection.heads_ended(b"GET / HTTP/1.1\r\nHost: a\r"), 0);
        assert_eq!(connection.heads_ended(b"\n\r\n"), 1);
    }

    #[test]
    fn requests_in_one_read_are_counted_each() {
        assert_eq!(connection().heads_ended(b"GET /\r\n\r\nGET /\r\n\r\nGET"), 2);
    }
}
