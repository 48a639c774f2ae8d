//! One HTTP/1.1 request (RFC 9112) over a connection that is established.

use std::io;
use std::net::SocketAddr;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Bytes};
use hyper::header::{CONNECTION, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper_util::rt::TokioIo;
use pathspider_plugin_api::{Connect, Job, Outcome, Record, State, Value};
use tokio::net::TcpStream;

use super::Dialer;

/// The `User-Agent` that names this program and whom to ask about it.
pub fn user_agent(contact: Option<&str>) -> String {
    let name = concat!("pathspider/", env!("CARGO_PKG_VERSION"));
    format!("{name} ({})", contact.unwrap_or(env!("CARGO_PKG_REPOSITORY")))
}

/// A request that is ready to be sent.
pub(super) struct Request {
    headers: Vec<(HeaderName, HeaderValue)>,
    body_limit: usize,
}

impl Request {
    /// The request for a job: its domain as `Host`, else the address.
    pub(super) fn new(
        dialer: &Dialer,
        job: &Job,
        connect: &Connect,
        remote: SocketAddr,
    ) -> Request {
        let address = match remote {
            SocketAddr::V4(a) => a.ip().to_string(),
            SocketAddr::V6(a) => format!("[{}]", a.ip()),
        };
        let name = job.domain().unwrap_or(&address);
        let host = match remote.port() {
            port if port == connect.kind().default_port() => name.to_owned(),
            port => format!("{name}:{port}"),
        };
        let mut headers = vec![
            (HOST, HeaderValue::from_str(&host)),
            (USER_AGENT, HeaderValue::from_str(&dialer.user_agent)),
            (CONNECTION, Ok(HeaderValue::from_static("close"))),
        ];
        let extra = connect.settings().get("headers").and_then(Value::as_record);
        for (name, value) in extra.into_iter().flat_map(Record::iter) {
            if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
                headers.retain(|(known, _)| *known != name);
                headers.push((name, HeaderValue::from_str(value.as_str().unwrap_or(""))));
            }
        }
        Request {
            // A header that cannot be sent is left out: a domain with a line break, say.
            headers: headers.into_iter().filter_map(|(n, v)| Some((n, v.ok()?))).collect(),
            body_limit: dialer.body_limit,
        }
    }
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
    message.headers_mut().extend(request.headers);
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
