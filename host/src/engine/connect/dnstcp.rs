//! The kind `dnstcp`: one DNS query over TCP, each message's length before it (RFC 7766).

use std::rc::Rc;

use pathspider_plugin_api::{ConnectKind, Error};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::dns::Query;
use super::failure::Failure;
use super::kind::{Asked, Exchange, Kind, Opened, Running};
use super::progress::{Phase, Progress};
use super::wire::Wire;

pub(super) struct DnsTcp;

impl Kind for DnsTcp {
    fn kind(&self) -> ConnectKind {
        ConnectKind::DnsTcp
    }

    fn prepare(&self, asked: &Asked<'_>) -> Result<Box<dyn Exchange>, Error> {
        Ok(Box::new(Stream(Query::new(asked)?)))
    }
}

struct Stream(Query);

impl Exchange for Stream {
    fn run<'a>(self: Box<Self>, opened: Opened, progress: &'a Rc<Progress>) -> Running<'a> {
        Box::pin(async move {
            let wire = Wire::established(opened, progress).await?;
            ask(wire, self.0, progress).await
        })
    }
}

/// Asks over an established connection, and waits for the response to the query.
async fn ask(mut stream: Wire, mut query: Query, progress: &Progress) -> Result<(), Failure> {
    progress.enter(Phase::Request);
    // In one write, so that both come in one segment (RFC 7766, section 8).
    let length = query.message().len() as u16;
    stream.write_all(&[&length.to_be_bytes(), query.message()].concat()).await?;
    loop {
        let message = match message(&mut stream).await {
            Ok(message) => message,
            Err(Failure::Closed) if query.has_ignored() => return Err(Failure::BadResponse),
            Err(failure) => return Err(failure),
        };
        if query.answered(&message, progress) {
            return Ok(());
        }
    }
}

async fn message(stream: &mut Wire) -> Result<Vec<u8>, Failure> {
    let mut message = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}
