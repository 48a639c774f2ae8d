//! Owns the servers over TCP that are not made for speed: HTTP and HTTPS through hyper, and plain
//! TCP that sends back what it gets.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
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

/// A self-signed certificate, and both versions of HTTP offered.
pub(super) fn tls() -> Result<TlsAcceptor> {
    let failed =
        |error: &dyn std::fmt::Display| Error::invalid("the TLS server", error.to_string());
    let made = rcgen::generate_simple_self_signed(vec![NAME.to_string()]);
    let made = made.map_err(|error| failed(&error))?;
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key)
        })
        .map_err(|error| failed(&error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Serves HTTP, each answer `slow` late.
pub(super) async fn http(listener: TcpListener, slow: Duration) {
    loop {
        let stream = accept(&listener).await;
        tokio::spawn(serve(stream, slow));
    }
}

/// Serves HTTP over TLS, each answer `slow` late.
pub(super) async fn https(listener: TcpListener, acceptor: TlsAcceptor, slow: Duration) {
    loop {
        let stream = accept(&listener).await;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            // A client that breaks the handshake off is its own affair.
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream, slow).await;
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

async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, slow: Duration) {
    let service = service_fn(move |request: Request<Incoming>| async move {
        sleep(slow).await;
        let text = format!("pathspider lab, {:?}.\n", request.version());
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(text))))
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}
