//! A request by HTTP/2 (RFC 9113).

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2;
use hyper::header::{CONNECTION, HOST, HeaderMap};
use hyper::http::uri::{Authority, PathAndQuery, Scheme};
use hyper::rt::Executor;
use hyper::{Response, Uri};
use hyper_util::rt::TokioIo;
use pathspider_plugin_api::Record;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use super::super::failure::Failure;
use super::super::progress::{Phase, Progress};
use super::request::Request;

/// Octets of one response that a peer may send unasked (RFC 9113, section 6.9.2: the protocol's own
/// default).
const WINDOW: u32 = 65_535;

/// Sends the request, and reads the response up to the limit.
pub(in super::super) async fn get<S>(
    stream: S,
    request: Request,
    progress: &Progress,
) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    progress.enter(Phase::Request);
    let tasks = Tasks::default();
    let mut builder = http2::Builder::new(tasks.clone());
    builder.initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    let limit = request.body_limit;
    let message = message(request.headers, request.authority).map(|()| Empty::<Bytes>::new());
    let response = sender.send_request(message);
    let end = drive(connection, async { read(response.await?, limit, progress).await }).await;
    tasks.0.borrow_mut().abort_all();
    end
}

/// The request as this version has it, and the next one.
pub(super) fn message(mut headers: HeaderMap, authority: Authority) -> hyper::Request<()> {
    // They say these in their own way (RFC 9113, sections 8.2.2 and 8.3.1; RFC 9114, 4.2 and 4.3.1).
    headers.remove(HOST);
    headers.remove(CONNECTION);
    let mut parts = hyper::http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTPS);
    parts.authority = Some(authority);
    parts.path_and_query = Some(PathAndQuery::from_static("/"));
    let mut message = hyper::Request::new(());
    *message.headers_mut() = headers;
    *message.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    message
}

/// The tasks of one HTTP/2 connection, which end with it.
#[derive(Clone, Default)]
struct Tasks(Rc<RefCell<JoinSet<()>>>);

impl<F: Future + 'static> Executor<F> for Tasks {
    fn execute(&self, task: F) {
        self.0.borrow_mut().spawn_local(async move {
            task.await;
        });
    }
}

/// Runs an exchange on its connection, whose future drives it and may end before it.
async fn drive(
    connection: impl Future<Output = hyper::Result<()>>,
    exchange: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    tokio::pin!(exchange);
    tokio::select! {
        end = &mut exchange => end,
        end = connection => match end {
            Ok(()) => exchange.await,
            Err(error) => Err(error.into()),
        },
    }
}

async fn read(
    response: Response<Incoming>,
    limit: usize,
    progress: &Progress,
) -> Result<(), Failure> {
    let (head, mut body) = response.into_parts();
    let info = note_head(&head, progress);
    let (bytes, truncated) = read_body(&mut body, limit).await?;
    note_body(bytes, truncated, info, progress);
    Ok(())
}

/// Keeps what the head of a response says; gives what the record has of it.
pub(super) fn note_head(head: &hyper::http::response::Parts, progress: &Progress) -> Record {
    progress.note("http_response_code", head.status.as_u16());
    progress.note("http_response_header", lines(&head.headers));
    let info = Record::new().with("version", format!("{:?}", head.version));
    progress.note("http_info", info.clone());
    info
}

/// Keeps the body of a response that came to its end or the limit.
pub(super) fn note_body(bytes: Vec<u8>, truncated: bool, info: Record, progress: &Progress) {
    progress.note("http_response_body", bytes);
    progress.note("http_info", info.with("body_truncated", truncated));
}

async fn read_body(body: &mut Incoming, limit: usize) -> Result<(Vec<u8>, bool), Failure> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            let room = limit - bytes.len();
            bytes.extend_from_slice(&data[..data.len().min(room)]);
            if data.len() > room {
                return Ok((bytes, true));
            }
        }
    }
    Ok((bytes, false))
}

/// The header as HTTP/1.1 has it on the wire, names in lower case.
fn lines(headers: &HeaderMap) -> Vec<u8> {
    let mut lines = Vec::new();
    for (name, value) in headers {
        lines.extend_from_slice(name.as_str().as_bytes());
        lines.extend_from_slice(b": ");
        lines.extend_from_slice(value.as_bytes());
        lines.extend_from_slice(b"\r\n");
    }
    lines
}
