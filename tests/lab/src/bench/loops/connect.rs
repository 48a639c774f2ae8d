//! Owns the bare handshake: connect, wait until it is over, close.

use std::io;

use nix::sys::epoll::EpollFlags;
use socket2::{SockAddr, Socket};

use super::{Exchange, connecting};

pub(super) struct Handshake;

impl Exchange for Handshake {
    type State = ();

    const EVENTS: EpollFlags = EpollFlags::EPOLLOUT;

    fn begin(&self, address: &SockAddr) -> io::Result<(Socket, ())> {
        Ok((connecting(address)?, ()))
    }

    fn advance(&self, socket: &Socket, (): &mut ()) -> io::Result<bool> {
        socket.take_error()?.map_or(Ok(true), Err)
    }
}
