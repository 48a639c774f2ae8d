//! The lock of a network namespace: one run at a time configures it.
//!
//! It is a listening socket with an abstract name. Such names belong to the network namespace
//! itself, whatever users, containers and file systems are in it; the kernel frees them when the
//! last process that holds the socket is gone, and tells who that is. No file can be left behind.
//!
//! Its limit: any user of the machine may take the name, and so keep runs waiting. They say for
//! whom.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

const NAME: &str = "pathspider.configures";

/// The lock, for as long as this or an inherited copy of it is open.
#[derive(Debug)]
pub(super) struct Lock {
    socket: UnixListener,
}

/// Who holds it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Holder {
    /// Its process, where that can be seen from here.
    pid: Option<i32>,
    /// Its user, where that is neither root nor this one.
    user: Option<u32>,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "process {pid}")?,
            None => f.write_str("another process")?,
        }
        self.user.map_or(Ok(()), |user| write!(f, " of user {user}"))
    }
}

impl Lock {
    /// Takes the lock; `None` where somebody has it.
    ///
    /// # Errors
    ///
    /// There are no such sockets here.
    pub(super) fn take() -> io::Result<Option<Lock>> {
        match UnixListener::bind_addr(&SocketAddr::from_abstract_name(NAME)?) {
            Ok(socket) => Ok(Some(Lock { socket })),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Holder {
    /// Who has the lock now.
    ///
    /// Each call puts one more connection into the holder's queue, which it never empties, so it is
    /// for those who tell it to somebody, once. Where the queue is full it is not known: nobody
    /// waits for a place there.
    pub(super) fn find() -> Holder {
        let credentials = || {
            let name = SocketAddrUnix::new_abstract_name(NAME.as_bytes())?;
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
            connect(&socket, &name)?;
            rustix::net::sockopt::socket_peercred(&socket)
        };
        let Ok(found) = credentials() else { return Holder::default() };
        let user = found.uid.as_raw();
        let is_usual = user == 0 || user == rustix::process::geteuid().as_raw();
        // A process of another process namespace has the number 0 here, which rustix has no type
        // for.
        let pid = Some(found.pid.as_raw_nonzero().get()).filter(|&pid| pid > 0);
        Holder { pid, user: (!is_usual).then_some(user) }
    }
}
