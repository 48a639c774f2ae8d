//! Owns what the kernel is asked of one interface, where starting `ip` would take longer than all else.
#![allow(unsafe_code)] // Such requests have no safe form.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;

/// A request about the interface `name`.
pub(super) fn request(name: &str) -> libc::ifreq {
    // SAFETY: all-zero bytes are a valid ifreq, a plain C struct.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // One byte short of the field, so that the name always ends in a zero.
    for (to, from) in request.ifr_name[..libc::IFNAMSIZ - 1].iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    request
}

/// Brings an interface of this thread's namespace up. It must have no other flags that were set.
pub(super) fn up(name: &str) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let mut request = request(name);
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads an ifreq, which this is.
    let set = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw mut request) };
    if set < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
