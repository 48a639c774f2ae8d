//! The lock of a network namespace: one run at a time configures it.
//!
//! It is a listening socket with an abstract name. Such names belong to the network namespace
//! itself, whatever users, containers and file systems are in it; the kernel frees them when the
//! last process that holds the socket is gone, and tells who that is. No file can be left behind.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

const NAME: &str = "pathspider.configures";

/// The lock, for as long as this or an inherited copy of it is open.
#[derive(Debug)]
pub(super) struct Lock {
    socket: UnixListener,
}

/// Who holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Holder {
    /// Its process, where that can be seen from here.
    pub(super) pid: Option<i32>,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "process {pid}"),
            None => f.write_str("another process"),
        }
    }
}

impl Lock {
    /// Takes the lock; `Ok(Err)` says who has it.
    ///
    /// # Errors
    ///
    /// There are no such sockets here.
    pub(super) fn take() -> io::Result<Result<Lock, Holder>> {
        let name = SocketAddr::from_abstract_name(NAME)?;
        match UnixListener::bind_addr(&name) {
            Ok(socket) => Ok(Ok(Lock { socket })),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(Err(holder(&name))),
            Err(error) => Err(error),
        }
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn holder(name: &SocketAddr) -> Holder {
    let stream = UnixStream::connect_addr(name).ok();
    let credentials = stream.and_then(|s| rustix::net::sockopt::socket_peercred(&s).ok());
    // A process of another process namespace has the number 0 here, which rustix has no type for.
    let pid = credentials.map(|c| c.pid.as_raw_nonzero().get()).filter(|&pid| pid > 0);
    Holder { pid }
}
