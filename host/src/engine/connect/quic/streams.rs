//! The streams of a connection, as the library of HTTP/3 wants them.
//!
//! Nothing here wakes anybody: whoever drives the connection polls the exchange again after all that may
//! have changed.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::{Buf, Bytes};
use h3::error::Code;
use h3::quic::{self, ConnectionErrorIncoming, StreamErrorIncoming, WriteBuf};
use quinn_proto::{Dir, ReadError, StreamId, VarInt, WriteError};

use super::course::Course;

/// All streams of a connection.
#[derive(Clone)]
pub(super) struct Streams(pub(super) Rc<RefCell<Course>>);

/// One of them, or one side of it.
pub(super) struct Stream {
    course: Rc<RefCell<Course>>,
    id: StreamId,
    /// The same by the other library's name.
    name: quic::StreamId,
    /// What is still to be written.
    rest: Option<WriteBuf<Bytes>>,
}

impl Streams {
    fn stream(&self, id: Option<StreamId>) -> Poll<Stream> {
        let name = |id| quic::StreamId::try_from(u64::from(VarInt::from(id))).ok();
        match id.and_then(|id| Some((id, name(id)?))) {
            Some((id, name)) => {
                Poll::Ready(Stream { course: Rc::clone(&self.0), id, name, rest: None })
            }
            None => Poll::Pending,
        }
    }

    fn open(&self, direction: Dir) -> Poll<Stream> {
        let mut course = self.0.borrow_mut();
        let id = course.connection.streams().open(direction);
        // Where the target grants none, nothing has changed: to say so again and again would leave no
        // time to hear it.
        course.is_touched |= id.is_some();
        drop(course);
        self.stream(id)
    }

    fn accept(&self, direction: Dir) -> Poll<Stream> {
        let id = self.0.borrow_mut().connection.streams().accept(direction);
        self.stream(id)
    }
}

impl quic::OpenStreams<Bytes> for Streams {
    type BidiStream = Stream;
    type SendStream = Stream;

    fn poll_open_bidi(&mut self, _: &mut Context<'_>) -> Poll<Result<Stream, StreamErrorIncoming>> {
        self.open(Dir::Bi).map(Ok)
    }

    fn poll_open_send(&mut self, _: &mut Context<'_>) -> Poll<Result<Stream, StreamErrorIncoming>> {
        self.open(Dir::Uni).map(Ok)
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        let code = u32::try_from(code.value()).unwrap_or(u32::MAX >> 2);
        self.0.borrow_mut().close(Instant::now(), code, reason);
    }
}

impl quic::Connection<Bytes> for Streams {
    type RecvStream = Stream;
    type OpenStreams = Streams;

    fn poll_accept_recv(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<Result<Stream, ConnectionErrorIncoming>> {
        self.accept(Dir::Uni).map(Ok)
    }

    fn poll_accept_bidi(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<Result<Stream, ConnectionErrorIncoming>> {
        self.accept(Dir::Bi).map(Ok)
    }

    fn opener(&self) -> Streams {
        self.clone()
    }
}

impl quic::SendStream<Bytes> for Stream {
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        let mut course = self.course.borrow_mut();
        while let Some(rest) = self.rest.as_mut().filter(|rest| rest.has_remaining()) {
            match course.connection.send_stream(self.id).write(rest.chunk()) {
                Ok(written) => {
                    rest.advance(written);
                    course.is_touched = true;
                }
                Err(WriteError::Blocked) => return Poll::Pending,
                Err(WriteError::Stopped(code)) => return Poll::Ready(Err(terminated(code))),
                Err(WriteError::ClosedStream) => return Poll::Ready(Err(gone())),
            }
        }
        self.rest = None;
        Poll::Ready(Ok(()))
    }

    fn send_data<T: Into<WriteBuf<Bytes>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        if self.rest.is_some() {
            return Err(gone());
        }
        self.rest = Some(data.into());
        Ok(())
    }

    fn poll_finish(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        let ready = self.poll_ready(context);
        if let Poll::Ready(Ok(())) = ready {
            // Where the target wants no more, that is as good as an end.
            let mut course = self.course.borrow_mut();
            course.is_touched |= course.connection.send_stream(self.id).finish().is_ok();
        }
        ready
    }

    fn reset(&mut self, reset_code: u64) {
        let mut course = self.course.borrow_mut();
        course.is_touched = true;
        if let Ok(code) = VarInt::from_u64(reset_code) {
            let _ = course.connection.send_stream(self.id).reset(code);
        }
    }

    fn send_id(&self) -> quic::StreamId {
        self.name
    }
}

impl quic::RecvStream for Stream {
    type Buf = Bytes;

    fn poll_data(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        let mut course = self.course.borrow_mut();
        let mut stream = course.connection.recv_stream(self.id);
        // A stream that was read to its end has no more.
        let Ok(mut chunks) = stream.read(true) else { return Poll::Ready(Ok(None)) };
        let next = chunks.next(usize::MAX);
        let is_touched = chunks.finalize().should_transmit();
        course.is_touched |= is_touched;
        match next {
            Ok(chunk) => Poll::Ready(Ok(chunk.map(|chunk| chunk.bytes))),
            Err(ReadError::Blocked) => Poll::Pending,
            Err(ReadError::Reset(code)) => Poll::Ready(Err(terminated(code))),
        }
    }

    fn stop_sending(&mut self, error_code: u64) {
        let mut course = self.course.borrow_mut();
        course.is_touched = true;
        if let Ok(code) = VarInt::from_u64(error_code) {
            let _ = course.connection.recv_stream(self.id).stop(code);
        }
    }

    fn recv_id(&self) -> quic::StreamId {
        self.name
    }
}

fn terminated(code: VarInt) -> StreamErrorIncoming {
    StreamErrorIncoming::StreamTerminated { error_code: code.into_inner() }
}

fn gone() -> StreamErrorIncoming {
    StreamErrorIncoming::Unknown("the stream is over".into())
}
