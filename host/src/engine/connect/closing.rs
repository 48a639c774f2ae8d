//! Closes sockets on a thread of its own, so that the engine need not wait for it.
//!
//! To close a connection is to send its FIN, and the kernel often takes the answers to it in the same
//! call. That is a seventh of what a connection costs.

use std::cell::OnceCell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded};
use pathspider_runtime::privileges;

/// Sockets that wait to be closed, at the most. Where there are more, the engine closes them itself.
pub const CLOSING: usize = 128;

/// How long sockets gather, for waking a thread costs as much as closing some. It is little beside the time
/// that late packets are waited for.
const MOMENT: Duration = Duration::from_micros(500);

/// Who closes sockets. When it is dropped, all are closed.
#[derive(Default)]
pub(super) struct Closer {
    /// Set by the first socket; nothing where there is no thread for them.
    running: OnceCell<Option<Running>>,
}

struct Running {
    sockets: Sender<OwnedFd>,
    thread: JoinHandle<()>,
}

impl Closer {
    /// Has a socket closed in a moment. Its owner closes it as well: the kernel closes the connection
    /// when both have.
    pub(super) fn close(&self, socket: &impl AsFd) {
        if let Some(Running { sockets, .. }) = self.running.get_or_init(|| start().ok())
            && let Ok(socket) = socket.as_fd().try_clone_to_owned()
        {
            // One that finds no room is closed here.
            let _ = sockets.try_send(socket);
        }
    }

    /// Whether it was given a socket.
    #[cfg(test)]
    pub(super) fn has_begun(&self) -> bool {
        self.running.get().is_some()
    }
}

impl Drop for Closer {
    fn drop(&mut self) {
        if let Some(Running { sockets, thread }) = self.running.take().flatten() {
            drop(sockets);
            // Nothing in it panics.
            let _ = thread.join();
        }
    }
}

fn start() -> io::Result<Running> {
    let (sockets, given) = bounded(CLOSING);
    let work = move || {
        privileges::give_up();
        close_all(&given);
    };
    let thread = thread::Builder::new().name("closer".into()).spawn(work)?;
    Ok(Running { sockets, thread })
}

fn close_all(given: &Receiver<OwnedFd>) {
    while let Ok(socket) = given.recv() {
        drop(socket);
        loop {
            thread::sleep(MOMENT);
            if given.try_iter().map(drop).count() == 0 {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn every_socket_is_closed_also_where_there_is_no_room() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let closer = Closer::default();
        let mut ends = Vec::new();
        for _ in 0..CLOSING * 3 {
            let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            ends.push(listener.accept().unwrap().0);
            closer.close(&socket);
        }
        drop(closer);
        assert!(ends.iter_mut().all(|end| end.read(&mut [0]).unwrap() == 0));
    }
}
