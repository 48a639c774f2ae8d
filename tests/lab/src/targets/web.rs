//! Owns the servers over TCP that are not made for speed: HTTP and HTTPS through hyper, and plain
//! TCP that sends back what it gets.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALT_SVC, CONNECTION, HeaderValue, UPGRADE};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use crate::error::{Error, Result};

/// The name in the certificate.
const NAME: &str = "lab.example";
/// Where HTTP/3 is spoken (RFC 7838, RFC 9114).
const HTTP3: &str = "h3=\":443\"; ma=3600";

/// TLS with a self-signed certificate; without `tls13`, version 1.2 alone.
pub(super) fn tls(tls13: bool) -> Result<ServerConfig> {
    let failed =
        |error: &dyn std::fmt::Display| Error::invalid("the TLS server", error.to_string());
    let made = rcgen::generate_simple_self_signed(vec![NAME.to_string()]);
    let made = made.map_err(|error| failed(&error))?;
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = if tls13 { rustls::DEFAULT_VERSIONS } else { &[&rustls::version::TLS12] };
    ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .and_then(|builder| {
            builder.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key)
        })
        .map_err(|error| failed(&error))
}

/// The same with these protocols offered.
pub(super) fn acceptor(tls: &ServerConfig, alpn: &[String]) -> TlsAcceptor {
    let mut config = tls.clone();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// Serves HTTP, each answer `slow` late, and changes to HTTP/2 when asked if `h2c`.
pub(super) async fn http(listener: TcpListener, h2c: bool, slow: Duration) {
    loop {
        let stream = accept(&listener).await;
        tokio::spawn(serve(stream, h2c, false, slow));
    }
}

/// Serves HTTP over TLS, each answer `slow` late, and says where HTTP/3 is spoken if `has_http3`.
pub(super) async fn https(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    has_http3: bool,
    slow: Duration,
) {
    loop {
        let stream = accept(&listener).await;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            // A client that breaks the handshake off is its own affair.
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream, false, has_http3, slow).await;
            }
        });
    }
}

/// Sends back what it gets, `slow` late.
pub(super) async fn echo(listener: TcpListener, slow: Duration) {
    loop {
        let mut stream = accept(&listener).await;
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                sleep(slow).await;
                if stream.write_all(&buffer[..length]).await.is_err() {
                    break;
                }
            }
        });
    }
}

/// The next connection. A failure to accept is that of one client, or of a full table of files,
/// which empties.
pub(super) async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn serve<S>(stream: S, h2c: bool, has_http3: bool, slow: Duration)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| async move {
        sleep(slow).await;
        Ok::<_, Infallible>(if h2c && asks_for_http2(&request) {
            change_to_http2(request)
        } else {
            let mut response = Response::new(page(request.version()));
            if has_http3 {
                response.headers_mut().insert(ALT_SVC, HeaderValue::from_static(HTTP3));
            }
            response
        })
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
}

fn page(version: Version) -> Full<Bytes> {
    Full::new(Bytes::from(format!("pathspider lab, {version:?}.\n")))
}

/// Whether a request asks for HTTP/2 on this connection (RFC 7540, section 3.2).
fn asks_for_http2(request: &Request<Incoming>) -> bool {
    let headers = request.headers();
    let is_h2c = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"h2c");
    headers.get(UPGRADE).is_some_and(is_h2c) && headers.contains_key("http2-settings")
}

/// Agrees, and speaks HTTP/2 from there on; the request itself gets no answer.
fn change_to_http2(request: Request<Incoming>) -> Response<Full<Bytes>> {
    tokio::spawn(async move {
        let Ok(stream) = hyper::upgrade::on(request).await else { return };
        let service = service_fn(|request: Request<Incoming>| async move {
            Ok::<_, Infallible>(Response::new(page(request.version())))
        });
        let builder = http2::Builder::new(TokioExecutor::new());
        let _ = builder.serve_connection(stream, service).await;
    });
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static("h2c"));
    response
}
