//! Owns the bare GET request over TLS: connect, shake hands, send, read the whole response, close.
//! As in pathspider, no session is resumed and no certificate is verified.

use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::sync::Arc;

use nix::sys::epoll::EpollFlags;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use socket2::{SockAddr, Socket};

use super::http::{REQUEST, Response};
use super::{Exchange, connecting, ready};
use crate::error::{Error, Result};

pub(super) struct SecureGet {
    config: Arc<ClientConfig>,
}

/// How far it has come.
pub(super) struct State {
    tls: ClientConnection,
    asked: bool,
    response: Response,
}

impl SecureGet {
    pub(super) fn new() -> Result<Self> {
        Ok(Self { config: Arc::new(client_config()?) })
    }
}

/// TLS without resumption, and with any certificate.
pub(super) fn client_config() -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(TakesAny(Arc::clone(&provider)));
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::invalid("the bare loop's TLS", error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}

impl Exchange for SecureGet {
    type State = Box<State>;

    const EVENTS: EpollFlags = EpollFlags::EPOLLOUT.union(EpollFlags::EPOLLIN);

    fn begin(&self, address: &SockAddr) -> io::Result<(Socket, Self::State)> {
        let target: Option<IpAddr> = address.as_socket().map(|address| address.ip());
        let name = ServerName::IpAddress(target.ok_or(io::ErrorKind::InvalidInput)?.into());
        let tls = ClientConnection::new(Arc::clone(&self.config), name);
        let tls = tls.map_err(io::Error::other)?;
        let state = State { tls, asked: false, response: Response::default() };
        Ok((connecting(address)?, Box::new(state)))
    }

    fn advance(&self, mut socket: &Socket, state: &mut Self::State) -> io::Result<bool> {
        let State { tls, asked, response } = &mut **state;
        loop {
            if !*asked && !tls.is_handshaking() {
                tls.writer().write_all(REQUEST)?;
                *asked = true;
            }
            while tls.wants_write() {
                if ready(tls.write_tls(&mut socket))?.is_none() {
                    break;
                }
            }
            let Some(length) = ready(tls.read_tls(&mut socket))? else {
                return Ok(false);
            };
            tls.process_new_packets().map_err(io::Error::other)?;
            let mut buffer = [0; 4096];
            while let Some(length) = ready(tls.reader().read(&mut buffer))? {
                if response.is_over(&buffer[..length])? {
                    return Ok(true);
                }
            }
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// Takes any certificate and any signature.
#[derive(Debug)]
struct TakesAny(Arc<CryptoProvider>);

impl ServerCertVerifier for TakesAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
