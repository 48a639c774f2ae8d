//! A TLS handshake (RFC 8446) in which certificates are recorded and nothing is checked: what a
//! path carries does not depend on whom it leads to.

mod certificate;

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use pathspider_plugin_api::{Connect, Error, Job, Record, Value};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::failure::Failure;
use super::http;
use super::progress::{Phase, Progress};
use super::tcp::Wire;

/// What all TLS connections have in common.
#[derive(Debug, Clone)]
pub(super) struct Tls {
    config: Arc<ClientConfig>,
}

/// What one connection says of itself.
pub(super) struct Hello {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Tls {
    /// TLS 1.2 and 1.3, without resumption: every connection shows its certificate, and none
    /// depends on an earlier one.
    pub(super) fn new() -> Result<Tls, rustls::Error> {
        let provider = Arc::new(ring::default_provider());
        let verifier = Arc::new(TakesAny(Arc::clone(&provider)));
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(Tls { config: Arc::new(config) })
    }

    /// The handshake for a job: its domain as server name, where it is one.
    ///
    /// # Errors
    ///
    /// The plugin's list of protocols is none.
    pub(super) fn hello(
        &self,
        job: &Job,
        connect: &Connect,
        target: IpAddr,
    ) -> Result<Hello, Error> {
        let domain = job.domain().and_then(|domain| ServerName::try_from(domain.to_owned()).ok());
        // An address is sent to nobody (RFC 6066, section 3).
        let name = domain.unwrap_or_else(|| ServerName::IpAddress(target.into()));
        let config = match connect.settings().get("alpn") {
            None => Arc::clone(&self.config),
            Some(list) => {
                let mut config = ClientConfig::clone(&self.config);
                config.alpn_protocols = protocols(list).ok_or_else(|| {
                    Error::contract(format!("connect: alpn is no list of protocols: {list:?}"))
                })?;
                Arc::new(config)
            }
        };
        Ok(Hello { config, name })
    }
}

/// The protocols of a setting: texts of 1 to 255 octets (RFC 7301, section 3.1).
fn protocols(list: &Value) -> Option<Vec<Vec<u8>>> {
    let protocol = |value: &Value| {
        value.as_bytes().filter(|name| (1..=255).contains(&name.len())).map(<[u8]>::to_vec)
    };
    list.as_list()?.iter().map(protocol).collect()
}

/// Shakes hands, and asks by the version of HTTP that came out of it.
pub(super) async fn get(
    stream: Wire,
    hello: Hello,
    request: http::Request,
    progress: &Rc<Progress>,
) -> Result<(), Failure> {
    progress.enter(Phase::Tls);
    let sni = match &hello.name {
        ServerName::DnsName(name) => Value::from(name.as_ref()),
        _ => Value::NULL,
    };
    let known = Record::new().with("sni", sni);
    progress.note("tls_info", known.clone());
    let stream: TlsStream<Wire> =
        TlsConnector::from(hello.config).connect(hello.name, stream).await?;
    let connection = stream.get_ref().1;
    progress.note("tls_info", info(connection, known));
    match connection.alpn_protocol() {
        Some(b"h2") => http::get2(stream, request, progress).await,
        None | Some(b"http/1.1" | b"http/1.0") => http::get(stream, request, progress).await,
        Some(_) => Err(Failure::NoProtocol),
    }
}

/// What came out of a handshake.
fn info(connection: &ClientConnection, known: Record) -> Record {
    let version = connection.protocol_version().map(|version| match version {
        rustls::ProtocolVersion::TLSv1_2 => "TLSv1.2".to_owned(),
        rustls::ProtocolVersion::TLSv1_3 => "TLSv1.3".to_owned(),
        other => format!("{other:?}"),
    });
    // The library tells the two versions' suites apart; their names in the registry do not.
    let suite = connection.negotiated_cipher_suite();
    let suite = suite.map(|suite| format!("{:?}", suite.suite()).replace("TLS13_", "TLS_"));
    let alpn = connection.alpn_protocol().map(<[u8]>::to_vec);
    let certificate = connection.peer_certificates().and_then(<[_]>::first);
    known
        .with("version", version)
        .with("cipher_suite", suite)
        .with("alpn", alpn)
        .with("certificate", certificate.map(|der| certificate::record(der)))
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
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let mut schemes = self.0.signature_verification_algorithms.supported_schemes();
        // As nothing is checked, servers with old certificates need not be turned away.
        schemes.extend([SignatureScheme::RSA_PKCS1_SHA1, SignatureScheme::ECDSA_SHA1_Legacy]);
        schemes
    }
}
