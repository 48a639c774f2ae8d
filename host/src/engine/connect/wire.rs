//! The asynchronous part of a TCP connection, which tells how far it has come.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use pathspider_plugin_api::carriage::Handshake;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::closing::Closer;
use super::kind::Opened;
use super::progress::Progress;

/// A TCP connection.
///
/// What the target sent before it reset the connection is still read: a server may answer before it
/// is asked, and reset what comes then. So a write that the reset refuses counts as written, and
/// reading tells of the reset.
pub(super) struct Wire {
    stream: TcpStream,
    progress: Rc<Progress>,
    /// Its SYN has yet to be sent, or answered (`Opened::is_deferred`).
    is_deferred: bool,
    /// It was reset, and the socket has said so already.
    is_reset: bool,
    closer: Option<Rc<Closer>>,
}

impl Wire {
    /// Waits until the handshake is over; not where it begins with the data. A connection that was
    /// reset since is given too.
    ///
    /// # Errors
    ///
    /// The handshake did not come about.
    pub(super) async fn established(opened: Opened, progress: &Rc<Progress>) -> io::Result<Wire> {
        let Opened { socket, is_deferred, closer } = opened;
        let stream = TcpStream::from_std(socket.into())?;
        let progress = Rc::clone(progress);
        let mut wire = Wire { stream, progress, is_deferred, is_reset: false, closer };
        if wire.is_deferred {
            return Ok(wire);
        }
        loop {
            wire.stream.writable().await?;
            match wire.stream.take_error()? {
                None if wire.has_peer() => {
                    wire.progress.shaken(Handshake::Made);
                    return Ok(wire);
                }
                // It was woken for nothing, or reset since.
                None => wire.wait_again(),
                Some(error) if is_reset(&error) => {
                    wire.is_reset = true;
                    wire.progress.shaken(Handshake::Presumed);
                    return Ok(wire);
                }
                Some(error) => return Err(error),
            }
        }
    }

    /// Whether its handshake is over and it was not reset: a socket has a peer as long as that is so.
    fn has_peer(&self) -> bool {
        self.stream.peer_addr().is_ok()
    }

    /// Has what waits for it to be writable wait for the next word of the kernel.
    fn wait_again(&self) {
        let wait = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
        let _ = self.stream.try_io(Interest::WRITABLE, wait);
    }

    /// Fails where it was reset, as far as is known.
    pub(super) fn intact(&self) -> io::Result<()> {
        if self.is_reset { Err(reset()) } else { Ok(()) }
    }

    /// What came of a write of `length` octets, where a reset lets all be written.
    fn or_reset(
        &mut self,
        written: Poll<io::Result<usize>>,
        length: usize,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Err(error)) if is_reset(&error) => {
                self.is_reset = true;
                self.answered(Handshake::Presumed);
                Poll::Ready(Ok(length))
            }
            written => written,
        }
    }

    /// The SYN with data was answered.
    fn answered(&mut self, handshake: Handshake) {
        if std::mem::take(&mut self.is_deferred) {
            self.progress.shaken(handshake);
        }
    }
}

/// Whether an error is a reset of a connection whose handshake is over: before that, the kernel
/// says "refused".
fn is_reset(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ECONNRESET | libc::EPIPE))
}

fn reset() -> io::Error {
    io::Error::from_raw_os_error(libc::ECONNRESET)
}

impl Drop for Wire {
    /// Where the SYN was answered and no data came, nothing has told of the handshake.
    fn drop(&mut self) {
        if self.is_deferred && self.has_peer() {
            self.progress.shaken(Handshake::Made);
        }
        // What a configuration holds for must be over when it ends.
        if let Some(closer) = self.closer.as_ref().filter(|_| !self.progress.is_held_for()) {
            closer.close(&self.stream);
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        match &read {
            Poll::Ready(Ok(())) => {
                self.answered(Handshake::Made);
                if buffer.filled().len() > before {
                    self.progress.heard();
                } else if self.is_reset {
                    return Poll::Ready(Err(reset()));
                }
            }
            Poll::Ready(Err(error)) if is_reset(error) => self.answered(Handshake::Presumed),
            _ => {}
        }
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if self.is_deferred {
            if let Poll::Ready(Err(error)) = &written
                && error.raw_os_error() == Some(libc::EINPROGRESS)
            {
                // The kernel chose to send the SYN without data: wait until more can be written.
                self.wait_again();
                written = Pin::new(&mut self.stream).poll_write(context, bytes);
                self.progress.initiated();
            }
            if matches!(written, Poll::Ready(Ok(_))) {
                self.progress.initiated();
            }
        }
        self.or_reset(written, bytes.len())
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_deferred {
            // One slice is all that the SYN would take of most.
            let first = slices.iter().find(|slice| !slice.is_empty());
            return self.poll_write(context, first.map_or(&[], |slice| slice));
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.or_reset(written, slices.iter().map(|slice| slice.len()).sum())
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use pathspider_plugin_api::Hold;
    use socket2::{Domain, Socket, Type};

    use super::*;

    /// Whether a connection is left to the closer that a configuration holds for until this point.
    fn is_left(awaited: Option<Hold>) -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let closer: Rc<Closer> = Rc::default();
        runtime.block_on(async {
            let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None).unwrap();
            let _ = socket.connect(&listener.local_addr().unwrap().into());
            let closer = Some(Rc::clone(&closer));
            let progress = Rc::new(Progress::new(awaited, |_| {}));
            let opened = Opened { socket, is_deferred: false, closer };
            Wire::established(opened, &progress).await.unwrap().intact().unwrap();
        });
        closer.has_begun()
    }

    #[test]
    fn what_a_configuration_still_holds_for_is_closed_at_once() {
        assert!(is_left(None) && is_left(Some(Hold::Handshake)));
        assert!(!is_left(Some(Hold::Completion)));
    }
}
