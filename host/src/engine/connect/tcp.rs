//! The asynchronous part of a TCP connection.

use std::future::Future;
use std::io;
use std::time::Duration;

use pathspider_plugin_api::Outcome;
use socket2::Socket;
use tokio::net::TcpStream;

use super::failure;

/// Waits until the handshake is over.
pub(super) async fn established(socket: Socket) -> io::Result<TcpStream> {
    let stream = TcpStream::from_std(socket.into())?;
    stream.writable().await?;
    match stream.take_error()? {
        Some(error) => Err(error),
        None => Ok(stream),
    }
}

/// Runs a connection for at most this long; any error becomes its outcome.
pub(super) async fn within(
    timeout: Duration,
    connection: impl Future<Output = io::Result<Outcome>>,
) -> Outcome {
    match tokio::time::timeout(timeout, connection).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => failure::outcome(&error),
        Err(_) => failure::outcome(&io::ErrorKind::TimedOut.into()),
    }
}
