//! A TLS handshake (RFC 8446) in which certificates are recorded and nothing is checked: what a
//! path carries does not depend on whom it leads to.

mod certificate;
mod grease;

use std::sync::Arc;

use pathspider_plugin_api::{Error, Record, Value};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WantsClientCert};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, DnsName, ServerName, UnixTime};
use rustls::quic::Suite;
use rustls::version::TLS13;
use rustls::{
    CipherSuite, ClientConfig, CommonState, ConfigBuilder, DigitallySignedStruct, SignatureScheme,
    WantsVerifier,
};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::failure::Failure;
use super::kind::Asked;
use super::progress::{Phase, Progress};
use super::wire::Wire;

/// What all TLS connections have in common.
#[derive(Debug, Clone)]
pub(super) struct Tls {
    config: Arc<ClientConfig>,
    /// The same with version 1.3 alone.
    only_tls13: Arc<ClientConfig>,
    /// The same as that with Encrypted Client Hello, made up.
    greased: Arc<ClientConfig>,
}

/// What one connection says of itself.
pub(super) struct Hello {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    is_greased: bool,
}

impl Tls {
    /// TLS 1.2 and 1.3, without resumption: every connection shows its certificate, and none
    /// depends on an earlier one.
    pub(super) fn new() -> Result<Tls, rustls::Error> {
        let provider = Arc::new(ring::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = Arc::new(TakesAny(Arc::clone(&provider)));
        let builder = || ClientConfig::builder_with_provider(Arc::clone(&provider));
        let made = |builder: ConfigBuilder<ClientConfig, WantsVerifier>| {
            let builder: ConfigBuilder<ClientConfig, WantsClientCert> =
                builder.dangerous().with_custom_certificate_verifier(Arc::clone(&verifier));
            let mut config = builder.with_no_client_auth();
            config.resumption = Resumption::disabled();
            Arc::new(config)
        };
        Ok(Tls {
            config: made(builder().with_safe_default_protocol_versions()?),
            only_tls13: made(builder().with_protocol_versions(&[&TLS13])?),
            greased: made(builder().with_ech(grease::mode())?),
        })
    }

    /// For handshakes within QUIC.
    pub(super) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    /// The suite whose keys QUIC's first packets have (RFC 9001, section 5.2).
    ///
    /// # Errors
    ///
    /// There is none.
    pub(super) fn initial_suite(&self) -> Result<Suite, rustls::Error> {
        let suites = self.config.crypto_provider().cipher_suites.iter();
        let mut of_initials = suites
            .filter(|suite| suite.suite() == CipherSuite::TLS13_AES_128_GCM_SHA256)
            .filter_map(|suite| suite.tls13()?.quic_suite());
        let none = || rustls::Error::General("no suite for the Initials of QUIC".to_owned());
        of_initials.next().ok_or_else(none)
    }

    /// The handshake for a job.
    ///
    /// # Errors
    ///
    /// The plugin's server name is no domain name.
    pub(super) fn hello(&self, asked: &Asked<'_>) -> Result<Hello, Error> {
        let settings = asked.settings;
        let name = match settings.server_name {
            None => name(asked),
            Some(name) => {
                let known = DnsName::try_from(name.to_owned()).map_err(|_| {
                    Error::contract(format!("connect: server_name is {name:?}, no domain name"))
                })?;
                ServerName::DnsName(known)
            }
        };
        let config = match (settings.ech_grease, settings.only_tls13) {
            (true, _) => &self.greased,
            (false, true) => &self.only_tls13,
            (false, false) => &self.config,
        };
        let config = match &settings.alpn {
            None => Arc::clone(config),
            Some(protocols) => {
                let mut config = ClientConfig::clone(config);
                config.alpn_protocols.clone_from(protocols);
                Arc::new(config)
            }
        };
        Ok(Hello { config, name, is_greased: settings.ech_grease })
    }
}

/// The server name for a job: its domain, where it can be one. An address is sent to nobody (RFC 6066,
/// section 3).
pub(super) fn name(asked: &Asked<'_>) -> ServerName<'static> {
    let domain = asked.job.domain();
    let domain = domain.and_then(|domain| ServerName::try_from(domain.to_owned()).ok());
    domain.unwrap_or_else(|| ServerName::IpAddress(asked.remote.ip().into()))
}

/// What is known before a handshake.
pub(super) fn known(name: &ServerName<'_>) -> Record {
    let sni = match name {
        ServerName::DnsName(name) => Value::from(name.as_ref()),
        _ => Value::NULL,
    };
    Record::new().with("sni", sni)
}

/// Shakes hands.
pub(super) async fn shake(
    stream: Wire,
    hello: Hello,
    progress: &Progress,
) -> Result<TlsStream<Wire>, Failure> {
    progress.enter(Phase::Tls);
    let mut known = known(&hello.name);
    if hello.is_greased {
        known.set("ech", "grease");
    }
    progress.note("tls_info", known.clone());
    let stream = TlsConnector::from(hello.config).connect(hello.name, stream).await?;
    progress.note("tls_info", info(stream.get_ref().1, known));
    Ok(stream)
}

/// What came out of a handshake.
pub(super) fn info(connection: &CommonState, known: Record) -> Record {
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
