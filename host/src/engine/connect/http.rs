//! One GET request over a connection that is established: HTTP/1.1 (RFC 9112), HTTP/2 (RFC 9113).

use std::cell::RefCell;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
    USER_AGENT,
};
use hyper::http::uri::{Authority, PathAndQuery, Scheme};
use hyper::rt::Executor;
use hyper::{Response, StatusCode, Uri, Version};
use hyper_util::rt::TokioIo;
use pathspider_plugin_api::{Connect, Error, Job, Record, Value};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use super::Dialer;
use super::failure::Failure;
use super::progress::{Phase, Progress};

/// Octets that a response's head may have.
const HEAD_LIMIT: usize = 64 * 1024;

/// Octets of one response that an HTTP/2 peer may send unasked (RFC 9113, section 6.9.2: the
/// protocol's own default).
const WINDOW: u32 = 65_535;

/// The `User-Agent` that names this program and whom to ask about it.
pub(super) fn user_agent(contact: Option<&str>) -> String {
    let name = concat!("pathspider/", env!("CARGO_PKG_VERSION"));
    format!("{name} ({})", contact.unwrap_or(env!("CARGO_PKG_REPOSITORY")))
}

/// A request that is ready to be sent.
pub(super) struct Request {
    authority: Authority,
    headers: HeaderMap,
    body_limit: usize,
}

impl Request {
    /// The request for a job: its domain as `Host`, else the address.
    ///
    /// # Errors
    ///
    /// The domain, or a header of the plugin's, cannot stand in a request.
    pub(super) fn new(
        dialer: &Dialer,
        job: &Job,
        connect: &Connect,
        remote: SocketAddr,
    ) -> Result<Request, Error> {
        let address = match remote {
            SocketAddr::V4(a) => a.ip().to_string(),
            SocketAddr::V6(a) => format!("[{}]", a.ip()),
        };
        let name = job.domain().filter(|domain| !domain.is_empty()).unwrap_or(&address);
        let host = match remote.port() {
            port if port == connect.kind().default_port() => name.to_owned(),
            port => format!("{name}:{port}"),
        };
        let authority = Authority::try_from(host.as_str())
            .map_err(|_| Error::new(format!("the domain {name:?} cannot be an HTTP Host")))?;
        let mut headers = HeaderMap::new();
        headers.insert(HOST, header_value(&host)?);
        headers.insert(USER_AGENT, header_value(&dialer.user_agent)?);
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        let extra = connect.settings().get("headers").and_then(Value::as_record);
        for (name, value) in extra.into_iter().flat_map(Record::iter) {
            let header = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| Error::contract(format!("connect: no header is named {name:?}")))?;
            headers.insert(header, header_value(value.as_str().unwrap_or(""))?);
        }
        Ok(Request { authority, headers, body_limit: dialer.body_limit })
    }

    fn message(self, version: Version) -> hyper::Request<Empty<Bytes>> {
        let mut message = hyper::Request::new(Empty::<Bytes>::new());
        *message.headers_mut() = self.headers;
        if version == Version::HTTP_2 {
            // It says these in its own way (RFC 9113, sections 8.2.2 and 8.3.1).
            message.headers_mut().remove(HOST);
            message.headers_mut().remove(CONNECTION);
            let mut parts = hyper::http::uri::Parts::default();
            parts.scheme = Some(Scheme::HTTPS);
            parts.authority = Some(self.authority);
            parts.path_and_query = Some(PathAndQuery::from_static("/"));
            *message.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
        }
        message
    }
}

fn header_value(text: &str) -> Result<HeaderValue, Error> {
    HeaderValue::from_str(text)
        .map_err(|_| Error::contract(format!("connect: {text:?} cannot be a header's value")))
}

/// Sends the request by HTTP/1.1, and reads the response up to the limit.
pub(super) async fn get<S>(stream: S, request: Request, progress: &Progress) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    progress.enter(Phase::Request);
    let mut builder = http1::Builder::new();
    let (mut sender, connection) =
        builder.max_buf_size(HEAD_LIMIT).handshake(TokioIo::new(stream)).await?;
    let limit = request.body_limit;
    let response = sender.send_request(request.message(Version::HTTP_11));
    drive(connection, async { read(response.await?, limit, progress).await }).await
}

/// Sends the request by HTTP/2, and reads the response up to the limit.
pub(super) async fn get2<S>(stream: S, request: Request, progress: &Progress) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    progress.enter(Phase::Request);
    let tasks = Tasks::default();
    let mut builder = http2::Builder::new(tasks.clone());
    builder.initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    let limit = request.body_limit;
    let response = sender.send_request(request.message(Version::HTTP_2));
    let end = drive(connection, async { read(response.await?, limit, progress).await }).await;
    tasks.0.borrow_mut().abort_all();
    end
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
    progress.note("http_response_code", head.status.as_u16());
    progress.note("http_response_header", lines(&head.headers));
    let info = Record::new().with("version", format!("{:?}", head.version));
    progress.note("http_info", info.clone());
    let (bytes, truncated) = match ends_by_closing(&head) {
        true => read_body(&mut body, limit, |failure| failure == Failure::Closed).await?,
        false => read_body(&mut body, limit, |_| false).await?,
    };
    progress.note("http_response_body", bytes);
    progress.note("http_info", info.with("body_truncated", truncated));
    Ok(())
}

/// Whether only the connection's end tells the body's (RFC 9112, section 6.3). Many servers leave
/// out TLS's own goodbye there.
fn ends_by_closing(head: &hyper::http::response::Parts) -> bool {
    head.version < Version::HTTP_2
        && head.status != StatusCode::SWITCHING_PROTOCOLS
        && !head.headers.contains_key(CONTENT_LENGTH)
        && !head.headers.contains_key(TRANSFER_ENCODING)
}

async fn read_body(
    body: &mut Incoming,
    limit: usize,
    is_end: impl Fn(Failure) -> bool,
) -> Result<(Vec<u8>, bool), Failure> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = match frame.map_err(Failure::from) {
            Ok(frame) => frame,
            Err(failure) if is_end(failure) => break,
            Err(failure) => return Err(failure),
        };
        if let Ok(data) = frame.into_data() {
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
