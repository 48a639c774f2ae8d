//! Owns the HTTP/3 server: quinn on a socket whose marks can be hidden from it.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use h3::server::Connection;
use hyper::Response;
use hyper::body::Bytes;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{
    AsyncUdpSocket, Endpoint, EndpointConfig, Incoming, Runtime, ServerConfig, TokioRuntime,
    TransportConfig, UdpPoller,
};
use rustls::ServerConfig as TlsConfig;
use socket2::Socket;
use tokio::time::sleep;

use crate::error::{Context as _, Error, Result};
use crate::scenario::{Mirrored, Quic};

/// What it offers by ALPN.
const ALPN: &[u8] = b"h3";
/// The version of QUIC that it speaks (RFC 9000).
const VERSION_1: u32 = 1;
/// The first bit of a packet with a long header (RFC 8999, section 5.1).
const LONG: u8 = 0x80;

/// Serves HTTP/3 on this socket, each answer `slow` late. Inside the runtime.
///
/// # Errors
/// When quinn refuses its settings or the socket.
pub(super) fn serve(socket: Socket, mut tls: TlsConfig, quic: &Quic, slow: Duration) -> Result<()> {
    let failed =
        |error: &dyn std::fmt::Display| Error::invalid("the QUIC server", error.to_string());
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let crypto = QuicServerConfig::try_from(tls).map_err(|error| failed(&error))?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    let mut transport = TransportConfig::default();
    // Larger packets would be another path's.
    transport.mtu_discovery_config(None);
    if !quic.streams {
        transport.max_concurrent_bidi_streams(0_u32.into());
    }
    config.transport_config(Arc::new(transport)).migration(false);
    let mut endpoint = EndpointConfig::default();
    endpoint.grease_quic_bit(quic.grease).supported_versions(vec![VERSION_1]);
    let runtime = Arc::new(TokioRuntime);
    let inner = runtime.wrap_udp_socket(socket.into()).context(|| "serve QUIC")?;
    let socket = Marks { inner, mirrored: quic.ecn };
    let endpoint =
        Endpoint::new_with_abstract_socket(endpoint, Some(config), Arc::new(socket), runtime)
            .context(|| "serve QUIC")?;
    let retries = quic.retry;
    tokio::spawn(async move {
        while let Some(incoming) = endpoint.accept().await {
            if retries && incoming.may_retry() && !incoming.remote_address_validated() {
                let _ = incoming.retry();
            } else {
                tokio::spawn(converse(incoming, slow));
            }
        }
    });
    Ok(())
}

/// Answers each request of a connection. One that breaks off is the client's affair.
async fn converse(incoming: Incoming, slow: Duration) -> Option<()> {
    let connection = incoming.accept().ok()?.await.ok()?;
    let connection = h3_quinn::Connection::new(connection);
    let mut connection = Connection::<_, Bytes>::new(connection).await.ok()?;
    while let Some(resolver) = connection.accept().await.ok()? {
        let (_, mut stream) = resolver.resolve_request().await.ok()?;
        sleep(slow).await;
        stream.send_response(Response::new(())).await.ok()?;
        stream.send_data(Bytes::from_static(b"pathspider lab, HTTP/3.0.\n")).await.ok()?;
        stream.finish().await.ok()?;
    }
    Some(())
}

/// A socket whose datagrams' marks the server may not see. One datagram a call, so that each has its own.
#[derive(Debug)]
struct Marks {
    inner: Arc<dyn AsyncUdpSocket>,
    mirrored: Mirrored,
}

impl AsyncUdpSocket for Marks {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.inner).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.inner.try_send(transmit)
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(self.inner.poll_recv(context, buffers, meta))?;
        for (meta, buffer) in meta[..count].iter_mut().zip(buffers) {
            let hides = match self.mirrored {
                Mirrored::All => false,
                Mirrored::None => true,
                Mirrored::Handshake => is_past_handshake(buffer.get(..meta.len).unwrap_or(buffer)),
            };
            if hides {
                meta.ecn = None;
            }
        }
        Poll::Ready(Ok(count))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}

/// Whether a datagram has a packet that follows the handshake, perhaps behind others (RFC 9000, sections 12.2
/// and 17.2): its header is short, so that its highest bit is 0. What cannot be read has one.
fn is_past_handshake(mut datagram: &[u8]) -> bool {
    while let [first, ..] = datagram {
        match behind(datagram) {
            Some(rest) if first & LONG != 0 => datagram = rest,
            _ => return true,
        }
    }
    false
}

/// What follows a packet with a long header of QUIC version 1 or 2 in its datagram.
fn behind(packet: &[u8]) -> Option<&[u8]> {
    const VERSION_2: &[u8] = &[0x6b, 0x33, 0x43, 0xcf];
    let (version, mut rest) = packet.get(1..)?.split_at_checked(4)?;
    for _id in 0..2 {
        let (length, more) = rest.split_first()?;
        rest = more.get(usize::from(*length)..)?;
    }
    // Only an Initial packet has a token (RFC 9369, section 3.2, numbers the types otherwise).
    let kind = packet[0] >> 4 & 3;
    if kind == u8::from(version == VERSION_2) {
        let (length, more) = number(rest)?;
        rest = more.get(length..)?;
    }
    let (length, rest) = number(rest)?;
    rest.get(length..)
}

/// An integer of variable length (RFC 9000, section 16), and what follows it.
fn number(octets: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = octets.split_at_checked(1 << (octets.first()? >> 6))?;
    let value = number.iter().fold(0, |value, octet| value << 8 | usize::from(*octet));
    Some((value & !(3 << (8 * number.len() - 2)), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_the_handshake_is_found_behind_it() {
        let long = |first: u8, version: [u8; 4], token: &[u8]| {
            let ids = [&version[..], &[2, 7, 7, 1, 8], token, &[0x40, 3, 9, 9, 9]].concat();
            [&[first][..], &ids].concat()
        };
        let v2 = [0x6b, 0x33, 0x43, 0xcf];
        for (initial, handshake) in [
            (long(0xc0, [0, 0, 0, 1], &[1, 5]), long(0xe0, [0, 0, 0, 1], &[])),
            (long(0xd0, v2, &[0]), long(0xf0, v2, &[])),
        ] {
            assert!(!is_past_handshake(&initial) && !is_past_handshake(&handshake));
            assert!(!is_past_handshake(&[&initial[..], &handshake].concat()));
            assert!(is_past_handshake(&[&initial[..], &handshake, &[0x40, 1, 2]].concat()));
            assert!(is_past_handshake(&initial[..initial.len() - 1]));
        }
        assert!(is_past_handshake(&[0x40, 1, 2]));
    }
}
