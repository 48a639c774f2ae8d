//! The keys of a connection, which show what the library seals and opens, and give the first octet of
//! each packet what was asked for: version 2's types, and the bit that QUIC fixes to 1.

use bytes::BytesMut;
use pathspider_plugin_api::packet::quic::{VERSION_1, VERSION_2, first_octet_as};
use quinn_proto::crypto::{CryptoError, KeyPair, Keys, PacketKey};
use rustls::quic;

use super::seen::{Known, Space};

/// The first octet's bit of a long header, and the bit that is fixed to 1.
const LONG: u8 = 0x80;
const FIXED: u8 = 0x40;

/// What the packets of a connection look like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) version: u32,
    /// Whether the fixed bit is cleared, as soon as the target takes that.
    pub(super) greases: bool,
}

/// One way's key of one packet number space.
struct Key {
    inner: Box<dyn quic::PacketKey>,
    space: Space,
    known: Known,
    look: Look,
}

/// Both ways' keys of a space.
pub(super) fn both(keys: quic::Keys, space: Space, known: &Known, look: Look) -> Keys {
    let quic::Keys { local, remote } = keys;
    let packet = pair((local.packet, remote.packet), space, known, look);
    Keys {
        header: KeyPair { local: Box::new(local.header), remote: Box::new(remote.header) },
        packet,
    }
}

/// The keys of packets alone: ours, and the target's.
pub(super) fn pair(
    (local, remote): (Box<dyn quic::PacketKey>, Box<dyn quic::PacketKey>),
    space: Space,
    known: &Known,
    look: Look,
) -> KeyPair<Box<dyn PacketKey>> {
    let key = |inner| -> Box<dyn PacketKey> {
        Box::new(Key { inner, space, known: known.clone(), look })
    };
    KeyPair { local: key(local), remote: key(remote) }
}

impl PacketKey for Key {
    fn encrypt(&self, packet: u64, buf: &mut [u8], header_len: usize) {
        let mut seen = self.known.lock();
        if let Some(first) = buf.first_mut() {
            // Of itself, the library clears the fixed bit by chance.
            *first |= FIXED;
            if *first & LONG != 0 && self.look.version == VERSION_2 {
                *first = first_octet_as(*first, VERSION_2);
            }
            if self.look.greases && seen.takes_greased() {
                *first &= !FIXED;
                seen.greased += 1;
            }
        }
        seen.sent(self.space, packet);
        drop(seen);
        PacketKey::encrypt(&self.inner, packet, buf, header_len);
    }

    fn decrypt(
        &self,
        packet: u64,
        header: &[u8],
        payload: &mut BytesMut,
    ) -> Result<(), CryptoError> {
        let is_other =
            self.look.version == VERSION_2 && header.first().is_some_and(|f| f & LONG != 0);
        if is_other {
            // It was read as one of version 1, and is sealed as it came.
            let mut header = header.to_vec();
            header[0] = first_octet_as(header[0], VERSION_2);
            PacketKey::decrypt(&self.inner, packet, &header, payload)?;
        } else {
            PacketKey::decrypt(&self.inner, packet, header, payload)?;
        }
        self.known.lock().came(self.space, payload);
        Ok(())
    }

    fn tag_len(&self) -> usize {
        PacketKey::tag_len(&self.inner)
    }

    fn confidentiality_limit(&self) -> u64 {
        PacketKey::confidentiality_limit(&self.inner)
    }

    fn integrity_limit(&self) -> u64 {
        PacketKey::integrity_limit(&self.inner)
    }
}

/// Gives the long headers of a datagram of version 2 the types of version 1, in which the library reads
/// them. Where one cannot be read, it and what follows stay as they are.
pub(super) fn as_version_1(datagram: &mut [u8]) {
    use pathspider_plugin_api::packet::quic::LongHeader;
    let mut at = 0;
    while let Some(header) = datagram.get(at..).and_then(LongHeader::read) {
        if header.version() != VERSION_2 {
            return;
        }
        let length = header.length();
        datagram[at] = first_octet_as(datagram[at], VERSION_1);
        let Some(length) = length else { return };
        at = at.saturating_add(length);
    }
}
