//! One HTTP/1.1 request (RFC 9112) over a connection that is established.

use std::io;
use std::net::SocketAddr;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Bytes};
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper_util::rt::TokioIo;
use pathspider_plugin_api::{Connect, Error, Job, Outcome, Record, State, Value};
use tokio::net::TcpStream;

use super::Dialer;

/// The `User-Agent` that names this program and whom to ask about it.
pub fn user_agent(contact: Option<&str>) -> String {
    let name = concat!("pathspider/", env!("CARGO_PKG_VERSION"));
    format!("{name} ({})", contact.unwrap_or(env!("CARGO_PKG_REPOSITORY")))
}

/// A request that is ready to be sent.
pub(super) struct Request {
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
        if !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::new(format!("the domain {name:?} cannot be an HTTP Host")));
        }
        let host = match remote.port() {
            port if port == connect.kind().default_port() => name.to_owned(),
            port => format!("{name}:{port}"),
        };
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
        Ok(Request { headers, body_limit: dialer.body_limit })
    }
}

fn header_value(text: &str) -> Result<HeaderValue, Error> {
    HeaderValue::from_str(text)
        .map_err(|_| Error::contract(format!("connect: {text:?} cannot be a header's value")))
}

/// Sends the request, and reads the response up to the limit.
pub(super) async fn get(stream: TcpStream, request: Request) -> io::Result<Outcome> {
    let (sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(reason)?;
    let exchange = exchange(sender, request);
    tokio::pin!(exchange);
    tokio::select! {
        outcome = &mut exchange => outcome,
        // The connection's future drives the exchange, and may end before it.
        end = connection => match end {
            Ok(()) => exchange.await,
            Err(error) => Err(reason(error)),
        },
    }
}

async fn exchange(
    mut sender: hyper::client::conn::http1::SendRequest<Empty<Bytes>>,
    request: Request,
) -> io::Result<Outcome> {
    let mut message = hyper::Request::new(Empty::<Bytes>::new());
    *message.headers_mut() = request.headers;
    let response = sender.send_request(message).await.map_err(reason)?;
    let (head, mut body) = response.into_parts();
    let (bytes, truncated) = read(&mut body, request.body_limit).await?;
    Ok(outcome(&head, bytes, truncated))
}

async fn read<B>(body: &mut B, limit: usize) -> io::Result<(Vec<u8>, bool)>
where
    B: Body<Data = Bytes, Error = hyper::Error> + Unpin,
{
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(reason)?.into_data() {
            let room = limit - bytes.len();
            bytes.extend_from_slice(&data[..data.len().min(room)]);
            if data.len() > room {
                return Ok((bytes, true));
            }
        }
    }
    Ok((bytes, false))
}

fn outcome(head: &hyper::http::response::Parts, body: Vec<u8>, truncated: bool) -> Outcome {
    let mut lines = Vec::new();
    for (name, value) in &head.headers {
        lines.extend_from_slice(name.as_str().as_bytes());
        lines.extend_from_slice(b": ");
        lines.extend_from_slice(value.as_bytes());
        lines.extend_from_slice(b"\r\n");
    }
    let info = Record::new()
        .with("version", format!("{:?}", head.version))
        .with("body_truncated", truncated);
    Outcome::new(State::Ok)
        .with("http_response_code", head.status.as_u16())
        .with("http_response_header", lines)
        .with("http_response_body", body)
        .with("http_info", info)
}

/// The system's reason behind hyper's error, where there is one.
fn reason(error: hyper::Error) -> io::Error {
    let mut source = std::error::Error::source(&error);
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            return match io.raw_os_error() {
                Some(code) => io::Error::from_raw_os_error(code),
                None => io.kind().into(),
            };
        }
        source = inner.source();
    }
    let cut_off = error.is_incomplete_message() || error.is_closed();
    let kind = if cut_off { io::ErrorKind::UnexpectedEof } else { io::ErrorKind::InvalidData };
    io::Error::new(kind, error)
}
