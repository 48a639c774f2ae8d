//! Owns TUN devices: interfaces whose other end is this process.
#![allow(unsafe_code)] // The ioctl that makes one has no safe form.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::errno::Errno;

use super::{Namespace, ip, link};
use crate::error::{Context, Error, Result};

/// One device; it is gone when this is dropped.
#[derive(Debug)]
pub struct Tun {
    file: File,
}

/// Packets the device holds while this process is busy: a burst of connections to thousands of
/// targets must not be lost to it.
const QUEUE: u32 = 20_000;

impl Tun {
    /// Makes a device called `name` inside `namespace` and brings it up.
    ///
    /// # Errors
    /// When `/dev/net/tun` is missing or may not be used.
    pub fn new(namespace: &Namespace, name: &str) -> Result<Self> {
        let file = namespace.enter(|| open(name))?.map_err(|source| {
            let hint = match source.kind() {
                io::ErrorKind::PermissionDenied => {
                    "this user may not use it; run as root, or let it: chmod 0666 /dev/net/tun"
                }
                io::ErrorKind::NotFound => "the kernel lacks TUN devices; modprobe tun loads them",
                _ => {
                    return Error::Io { action: format!("make the device {name}"), source };
                }
            };
            Error::invalid("/dev/net/tun", hint)
        })?;
        ip(namespace, &format!("link set {name} txqueuelen {QUEUE}\nlink set {name} up\n"))?;
        Ok(Self { file })
    }

    /// Reads one packet; `None` when there is none now.
    ///
    /// # Errors
    /// When the device fails.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<Option<usize>> {
        loop {
            match nix::unistd::read(&self.file, buffer) {
                Ok(length) => return Ok(Some(length)),
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno).context(|| "read from a TUN device"),
            }
        }
    }

    /// Writes one packet. One that the kernel finds malformed is lost, as on any link.
    pub fn send(&self, packet: &[u8]) {
        let _ = nix::unistd::write(&self.file, packet);
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn open(name: &str) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open("/dev/net/tun")?;
    let mut request = link::request(name);
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: TUNSETIFF reads an ifreq and writes its name back, both within this one.
    let made = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    if made < 0 { Err(io::Error::last_os_error()) } else { Ok(file) }
}
