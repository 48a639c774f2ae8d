//! Who changes what: this boot of the machine, this network namespace, this process.
#![allow(unsafe_code)]

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;

use serde::{Deserialize, Serialize};

use pathspider_runtime::process;

/// The number that a boot of the machine has and no other.
///
/// # Errors
///
/// There is no `/proc`.
pub(super) fn boot() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// A network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Namespace {
    /// As in the link `/proc/self/ns/net`. Used again when a namespace is gone.
    inode: u64,
    /// Never used again during a boot; kernels before 5.14 do not tell it.
    cookie: Option<u64>,
}

impl Namespace {
    /// The one that this thread is in.
    ///
    /// # Errors
    ///
    /// There is no `/proc`.
    pub(super) fn here() -> io::Result<Namespace> {
        let inode = fs::metadata("/proc/thread-self/ns/net")?.ino();
        Ok(Namespace { inode, cookie: cookie() })
    }

    /// The name that `ip netns identify` and `lsns` go by.
    pub(super) fn name(&self) -> String {
        format!("net:[{}]", self.inode)
    }
}

fn cookie() -> Option<u64> {
    let socket = UnixDatagram::unbound().ok()?;
    let mut cookie = 0_u64;
    let mut length = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the descriptor is open, and the kernel writes at most `length` octets to `cookie`,
    // which has as many.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    (result == 0).then_some(cookie)
}

/// A process. Its number may be used again, together with its start it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Process {
    pub(super) pid: u32,
    /// In clock ticks since the boot, as in proc_pid_stat(5).
    start: u64,
}

impl Process {
    /// This one.
    pub(super) fn this() -> Process {
        let pid = std::process::id();
        Process { pid, start: start_of(pid).unwrap_or(0) }
    }

    /// Whether it still runs. A zombie does not.
    pub(super) fn is_alive(&self) -> bool {
        start_of(self.pid) == Some(self.start)
    }
}

fn start_of(pid: u32) -> Option<u64> {
    let stat = process::stat(i32::try_from(pid).ok()?)?;
    (!stat.is_dead).then_some(stat.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_another_of_its_number_is_not() {
        let this = Process::this();
        assert!(this.is_alive() && this.start > 0);
        assert!(!Process { start: this.start - 1, ..this }.is_alive());
    }

    #[test]
    fn a_namespace_is_itself() {
        assert_eq!(Namespace::here().unwrap(), Namespace::here().unwrap());
        assert!(Namespace::here().unwrap().name().starts_with("net:["));
        assert_eq!(boot().unwrap().len(), 36);
    }
}
