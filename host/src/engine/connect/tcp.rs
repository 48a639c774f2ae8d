//! The asynchronous part of a TCP connection.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use socket2::Socket;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::progress::Progress;

/// A TCP connection that tells how far it has come.
pub(super) struct Wire {
    stream: TcpStream,
    progress: Rc<Progress>,
    /// Its SYN has yet to be sent, or answered (`Opened::is_deferred`).
    is_deferred: bool,
}

/// Waits until the handshake is over; not where it begins with the data.
pub(super) async fn established(
    socket: Socket,
    is_deferred: bool,
    progress: &Rc<Progress>,
) -> io::Result<Wire> {
    let stream = TcpStream::from_std(socket.into())?;
    if !is_deferred {
        stream.writable().await?;
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
        progress.shaken();
    }
    Ok(Wire { stream, progress: Rc::clone(progress), is_deferred })
}

impl Drop for Wire {
    /// Where the SYN was answered and no data came, nothing has told of the handshake: a socket has
    /// a peer from then on.
    fn drop(&mut self) {
        if self.is_deferred && self.stream.peer_addr().is_ok() {
            self.progress.shaken();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if self.is_deferred && matches!(read, Poll::Ready(Ok(()))) {
            self.is_deferred = false;
            self.progress.shaken();
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
        if !self.is_deferred {
            return written;
        }
        if let Poll::Ready(Err(error)) = &written
            && error.raw_os_error() == Some(libc::EINPROGRESS)
        {
            // The kernel chose to send the SYN without data: wait until more can be written.
            let wait = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
            let _ = self.stream.try_io(Interest::WRITABLE, wait);
            written = Pin::new(&mut self.stream).poll_write(context, bytes);
            self.progress.initiated();
        }
        if matches!(written, Poll::Ready(Ok(_))) {
            self.progress.initiated();
        }
        written
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
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
