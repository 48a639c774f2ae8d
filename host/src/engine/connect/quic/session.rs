//! TLS within QUIC (RFC 9001), for versions 1 and 2 (RFC 9369): rustls, with keys that show what they
//! seal and open.

use std::any::Any;
use std::io::Cursor;
use std::sync::Arc;

use pathspider_plugin_api::packet::quic::{VERSION_2, first_octet_as};
use quinn_proto::crypto;
use quinn_proto::crypto::{ExportKeyingMaterialError, HeaderKey, KeyPair, Keys, PacketKey};
use quinn_proto::transport_parameters::TransportParameters;
use quinn_proto::{ConnectError, ConnectionId, Side, TransportError, TransportErrorCode};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::pki_types::ServerName;
use rustls::quic::{ClientConnection, KeyChange, Secrets, Suite, Version};

use super::super::tls;
use super::keys::{self, Look};
use super::seen::{Known, Space};

/// The keys and nonces of the tag that a Retry ends with (RFC 9001, section 5.8; RFC 9369, 3.3.3).
const RETRY_1: ([u8; 16], [u8; 12]) = (
    [
        0xbe, 0x0c, 0x69, 0x0b, 0x9f, 0x66, 0x57, 0x5a, 0x1d, 0x76, 0x6b, 0x54, 0xe3, 0x68, 0xc8,
        0x4e,
    ],
    [0x46, 0x15, 0x99, 0xd3, 0x5d, 0x63, 0x2b, 0xf2, 0x23, 0x98, 0x25, 0xbb],
);
const RETRY_2: ([u8; 16], [u8; 12]) = (
    [
        0x8f, 0xb4, 0xb0, 0x1b, 0x56, 0xac, 0x48, 0xe2, 0x60, 0xfb, 0xcb, 0xce, 0xad, 0x7c, 0xcc,
        0x92,
    ],
    [0xd8, 0x69, 0x69, 0xbc, 0x2d, 0x7c, 0x6d, 0x99, 0x90, 0xef, 0xb0, 0x4a],
);

/// What TLS needs for one connection.
pub(super) struct Start {
    pub(super) config: Arc<rustls::ClientConfig>,
    pub(super) suite: Suite,
    pub(super) name: ServerName<'static>,
    pub(super) alpn: Vec<Vec<u8>>,
    pub(super) look: Look,
    pub(super) known: Known,
}

impl crypto::ClientConfig for Start {
    fn start_session(
        self: Arc<Self>,
        _: u32,
        _: &str,
        params: &TransportParameters,
    ) -> Result<Box<dyn crypto::Session>, ConnectError> {
        let version = if self.look.version == VERSION_2 { Version::V2 } else { Version::V1 };
        let mut ours = Vec::new();
        params.write(&mut ours);
        let (config, name) = (Arc::clone(&self.config), self.name.clone());
        let tls = ClientConnection::new_with_alpn(config, version, name, ours, self.alpn.clone())
            .map_err(|_| ConnectError::UnsupportedVersion)?;
        Ok(Box::new(Session { start: self, version, tls, next: None }))
    }
}

/// TLS of one connection.
struct Session {
    start: Arc<Start>,
    version: Version,
    tls: ClientConnection,
    next: Option<Secrets>,
}

impl Session {
    /// Keeps what TLS has come to by now.
    fn note(&mut self) {
        let mut seen = self.start.known.lock();
        if let Some(theirs) = self.tls.quic_transport_parameters() {
            seen.take_parameters(theirs);
        }
        if seen.tls.is_none() && !self.tls.is_handshaking() {
            seen.tls = Some(tls::info(&self.tls, tls::known(&self.start.name)));
            seen.alpn = self.tls.alpn_protocol().map(<[u8]>::to_vec);
        }
    }
}

impl crypto::Session for Session {
    fn initial_keys(&self, dst_cid: &ConnectionId, _: Side) -> Keys {
        let keys = self.start.suite.keys(dst_cid, rustls::Side::Client, self.version);
        keys::both(keys, Space::Initial, &self.start.known, self.start.look)
    }

    fn handshake_data(&self) -> Option<Box<dyn Any>> {
        None
    }

    fn peer_identity(&self) -> Option<Box<dyn Any>> {
        None
    }

    fn early_crypto(&self) -> Option<(Box<dyn HeaderKey>, Box<dyn PacketKey>)> {
        None
    }

    fn early_data_accepted(&self) -> Option<bool> {
        Some(false)
    }

    fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    fn read_handshake(&mut self, buf: &[u8]) -> Result<bool, TransportError> {
        let read = self.tls.read_hs(buf);
        self.note();
        match read {
            Ok(()) => Ok(false),
            Err(error) => {
                let alert = self.tls.alert().map(|alert| TransportErrorCode::crypto(alert.into()));
                let code = alert.unwrap_or(TransportErrorCode::PROTOCOL_VIOLATION);
                Err(TransportError { code, frame: None, reason: error.to_string() })
            }
        }
    }

    fn transport_parameters(&self) -> Result<Option<TransportParameters>, TransportError> {
        let theirs = self.tls.quic_transport_parameters();
        let read = |octets| TransportParameters::read(Side::Client, &mut Cursor::new(octets));
        Ok(theirs.map(read).transpose()?)
    }

    fn write_handshake(&mut self, buf: &mut Vec<u8>) -> Option<Keys> {
        let (keys, space) = match self.tls.write_hs(buf)? {
            KeyChange::Handshake { keys } => (keys, Space::Handshake),
            KeyChange::OneRtt { keys, next } => {
                self.next = Some(next);
                (keys, Space::Application)
            }
        };
        Some(keys::both(keys, space, &self.start.known, self.start.look))
    }

    fn next_1rtt_keys(&mut self) -> Option<KeyPair<Box<dyn PacketKey>>> {
        let keys = self.next.as_mut()?.next_packet_keys();
        let (known, look) = (&self.start.known, self.start.look);
        Some(keys::pair((keys.local, keys.remote), Space::Application, known, look))
    }

    fn is_valid_retry(&self, orig_dst_cid: &ConnectionId, header: &[u8], payload: &[u8]) -> bool {
        let is_valid = is_valid_retry(self.start.look.version, orig_dst_cid, header, payload);
        if is_valid {
            let mut seen = self.start.known.lock();
            (seen.is_answered, seen.is_retried) = (true, true);
        }
        is_valid
    }

    fn export_keying_material(
        &self,
        _: &mut [u8],
        _: &[u8],
        _: &[u8],
    ) -> Result<(), ExportKeyingMaterialError> {
        Err(ExportKeyingMaterialError)
    }
}

/// Whether the tag of a Retry is of who has read the ID that it answers (RFC 9001, section 5.8). A header
/// of version 2 was read as one of version 1.
fn is_valid_retry(version: u32, original: &[u8], header: &[u8], payload: &[u8]) -> bool {
    let Some((token, tag)) = payload.split_last_chunk::<16>() else { return false };
    let (key, nonce) = if version == VERSION_2 { RETRY_2 } else { RETRY_1 };
    let mut pseudo = Vec::with_capacity(1 + original.len() + header.len() + token.len());
    pseudo.push(original.len() as u8);
    pseudo.extend(original);
    pseudo.extend(header);
    if version == VERSION_2 && !header.is_empty() {
        let first = &mut pseudo[1 + original.len()];
        *first = first_octet_as(*first, VERSION_2);
    }
    pseudo.extend(token);
    let Ok(key) = UnboundKey::new(&AES_128_GCM, &key) else { return false };
    let nonce = Nonce::assume_unique_for_key(nonce);
    LessSafeKey::new(key).open_in_place(nonce, Aad::from(pseudo), &mut tag.clone()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_retries_of_the_rfcs_are_valid_and_no_others() {
        let original = [0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08];
        // RFC 9001, appendix A.4.
        let one = [
            0xff, 0x00, 0x00, 0x00, 0x01, 0x00, 0x08, 0xf0, 0x67, 0xa5, 0x50, 0x2a, 0x42, 0x62,
            0xb5, 0x74, 0x6f, 0x6b, 0x65, 0x6e, 0x04, 0xa2, 0x65, 0xba, 0x2e, 0xff, 0x4d, 0x82,
            0x90, 0x58, 0xfb, 0x3f, 0x0f, 0x24, 0x96, 0xba,
        ];
        let (header, payload) = one.split_at(15);
        assert!(is_valid_retry(1, &original, header, payload));
        assert!(!is_valid_retry(1, &original[1..], header, payload));
        assert!(!is_valid_retry(VERSION_2, &original, header, payload));
        assert!(!is_valid_retry(1, &original, header, &payload[6..]));
        // RFC 9369, appendix A.4, its first octet read as version 1 has it.
        let mut two = [
            0xcf, 0x6b, 0x33, 0x43, 0xcf, 0x00, 0x08, 0xf0, 0x67, 0xa5, 0x50, 0x2a, 0x42, 0x62,
            0xb5, 0x74, 0x6f, 0x6b, 0x65, 0x6e, 0xc8, 0x64, 0x6c, 0xe8, 0xbf, 0xe3, 0x39, 0x52,
            0xd9, 0x55, 0x54, 0x36, 0x65, 0xdc, 0xc7, 0xb6,
        ];
        two[0] = first_octet_as(two[0], 1);
        let (header, payload) = two.split_at(15);
        assert!(is_valid_retry(VERSION_2, &original, header, payload));
        assert!(!is_valid_retry(1, &original, header, payload));
    }
}
