//! Owns the bare GET request: connect, send, read the whole response, close.

use std::io::{self, Read, Write};

use nix::sys::epoll::EpollFlags;
use socket2::{SockAddr, Socket};

use super::{Exchange, connecting, ready};

/// As long as what pathspider sends.
pub(super) const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: 10.1.0.1\r\n\
    user-agent: pathspider-lab/0.1.0 (https://github.com/pathspider/pathspider)\r\n\
    connection: close\r\n\r\n";

pub(super) struct Get;

/// How far it has come.
pub(super) struct State {
    asked: bool,
    response: Response,
}

impl Exchange for Get {
    type State = State;

    const EVENTS: EpollFlags = EpollFlags::EPOLLOUT.union(EpollFlags::EPOLLIN);

    fn begin(&self, address: &SockAddr) -> io::Result<(Socket, State)> {
        Ok((connecting(address)?, State { asked: false, response: Response::default() }))
    }

    fn advance(&self, mut socket: &Socket, state: &mut State) -> io::Result<bool> {
        if !state.asked {
            // It is small enough for any send buffer that is empty.
            if ready(socket.write(REQUEST))?.is_none() {
                return Ok(false);
            }
            state.asked = true;
        }
        let mut buffer = [0; 4096];
        while let Some(length) = ready(socket.read(&mut buffer))? {
            if state.response.is_over(&buffer[..length])? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// What has come of a response.
#[derive(Default)]
pub(super) struct Response {
    bytes: Vec<u8>,
    /// Where it ends; known when its head is complete.
    end: Option<usize>,
}

impl Response {
    /// Takes more of it, and says whether it is complete. Nothing more is its early end.
    pub(super) fn is_over(&mut self, more: &[u8]) -> io::Result<bool> {
        if more.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.bytes.extend_from_slice(more);
        if self.end.is_none() {
            self.end = end(&self.bytes)?;
        }
        Ok(self.end.is_some_and(|end| self.bytes.len() >= end))
    }
}

/// Where a response ends, by the length that its head states (RFC 9112, section 6.3); `None` when
/// the head is not complete.
fn end(bytes: &[u8]) -> io::Result<Option<usize>> {
    const BREAK: &[u8] = b"\r\n\r\n";
    let Some(at) = bytes.windows(BREAK.len()).position(|window| window == BREAK) else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..at]).unwrap_or_default();
    let length = head.lines().filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    match length {
        Some(length) if head.starts_with("HTTP/1.1 200 ") => Ok(Some(at + BREAK.len() + length)),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_over_when_all_of_it_has_come() {
        let mut response = Response::default();
        for part in ["HTTP/1.1 200 OK\r\nContent-", "Length: 3\r\n\r\n", "ab"] {
            assert!(!response.is_over(part.as_bytes()).unwrap(), "{part}");
        }
        assert!(response.is_over(b"c").unwrap());
    }

    #[test]
    fn what_ends_early_or_refuses_is_none() {
        assert!(Response::default().is_over(b"").is_err());
        assert!(
            Response::default().is_over(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n").is_err()
        );
    }
}
