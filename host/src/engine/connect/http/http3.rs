//! A request by HTTP/3 (RFC 9114).

use std::future::{Future, poll_fn};

use bytes::{Buf, Bytes};
use h3::client::{self, RequestStream};
use h3::error::StreamError;
use h3::quic;

use super::super::failure::Failure;
use super::super::progress::{Phase, Progress};
use super::http2::{message, note_body, note_head};
use super::request::Request;

/// Octets of a response's header, as the protocol counts them.
const HEADER_LIMIT: u64 = 65_536;

/// Sends the request, and reads the response up to the limit.
pub(in super::super) async fn get<C>(
    connection: C,
    request: Request,
    progress: &Progress,
) -> Result<(), Failure>
where
    C: quic::Connection<Bytes>,
{
    progress.enter(Phase::Request);
    let mut builder = client::builder();
    builder.send_grease(false).max_field_section_size(HEADER_LIMIT);
    let built = builder.build::<_, _, Bytes>(connection).await;
    let (mut driver, mut sender) = built.map_err(|_| Failure::BadResponse)?;
    let limit = request.body_limit;
    let exchange = async {
        let message = message(request.headers, request.authority);
        let mut stream = sender.send_request(message).await.map_err(failure)?;
        stream.finish().await.map_err(failure)?;
        read(&mut stream, limit, progress).await
    };
    // Without it, what the target says of the connection is not heard.
    let broken = poll_fn(|context| driver.poll_close(context));
    either(exchange, broken).await.unwrap_or(Err(Failure::BadResponse))
}

/// The end of the exchange; `None` where the connection broke the rules before.
async fn either<T>(exchange: impl Future<Output = T>, broken: impl Future) -> Option<T> {
    tokio::select! {
        biased;
        end = exchange => Some(end),
        _ = broken => None,
    }
}

async fn read<S>(
    stream: &mut RequestStream<S, Bytes>,
    limit: usize,
    progress: &Progress,
) -> Result<(), Failure>
where
    S: quic::RecvStream,
{
    let (head, ()) = stream.recv_response().await.map_err(failure)?.into_parts();
    let info = note_head(&head, progress);
    let mut bytes = Vec::new();
    let mut is_truncated = false;
    while let Some(mut data) = stream.recv_data().await.map_err(failure)? {
        let room = limit - bytes.len();
        is_truncated = data.remaining() > room;
        bytes.extend_from_slice(&data.copy_to_bytes(data.remaining().min(room)));
        if is_truncated {
            break;
        }
    }
    note_body(bytes, is_truncated, info, progress);
    Ok(())
}

/// The word for what became of the request's stream. The connection's own end has another one, which
/// whoever drives it knows first.
fn failure(error: StreamError) -> Failure {
    match error {
        StreamError::RemoteTerminate { .. } => Failure::Reset,
        _ => Failure::BadResponse,
    }
}
