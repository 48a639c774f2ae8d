//! Owns the bare DNS query over UDP: connect, send, await the answer, close. Like pathspider it asks
//! again when a second has brought nothing.

use std::io::{self, Read};

use nix::sys::epoll::EpollFlags;
use socket2::{Protocol, SockAddr, Socket, Type};

use super::{Exchange, ready, unconnected};

/// For the address of `example.com`, as pathspider asks where a target has no name.
const QUERY: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07example\x03com\0\0\x01\0\x01";

pub(super) struct Query;

impl Exchange for Query {
    type State = ();

    const EVENTS: EpollFlags = EpollFlags::EPOLLIN;

    fn begin(&self, address: &SockAddr) -> io::Result<(Socket, ())> {
        let socket = unconnected(address, Type::DGRAM, Protocol::UDP)?;
        socket.connect(address)?;
        socket.send(QUERY)?;
        Ok((socket, ()))
    }

    fn advance(&self, mut socket: &Socket, (): &mut ()) -> io::Result<bool> {
        let mut buffer = [0; 4096];
        while let Some(length) = ready(socket.read(&mut buffer))? {
            // The identifier of the query, and the flag of a response.
            if length >= QUERY.len() && buffer[..2] == QUERY[..2] && buffer[2] & 0x80 != 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn again(&self, socket: &Socket) {
        // The next read reports an error.
        let _ = socket.send(QUERY);
    }
}
