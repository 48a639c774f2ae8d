//! The fields of the chain `quic`.

use crate::Value;

crate::fields! {
    pub CHAIN = "quic":
        "what is readable of QUIC (RFC 8999, RFC 9000, RFC 9369): versions, connection IDs, the first octets";
    VERSION_FWD: String = "quic_version_fwd":
        "the version of the originator's first long header, in hexadecimal; null without one";
    VERSION_REV: String = "quic_version_rev":
        "the version of the other side's first long header that answers, other than a list of versions; null \
         without one";
    DESTINATION_LENGTH_FWD: u8 = "quic_dcid_length_fwd" in "octets":
        "of the destination connection ID in the originator's first long header; null without one";
    SOURCE_LENGTH_FWD: u8 = "quic_scid_length_fwd" in "octets": "of the source connection ID in it";
    SOURCE_LENGTH_REV: u8 = "quic_scid_length_rev" in "octets":
        "of the source connection ID in the other side's first long header that answers; null without one";
    FIRST_LENGTH_FWD: u16 = "quic_first_length_fwd" in "octets":
        "of the originator's first datagram with a long header; null without one";
    LONG_FWD: u32 = "quic_long_fwd" in "datagrams": "of the originator that begin with a long header";
    SHORT_FWD: u32 = "quic_short_fwd" in "datagrams": "that begin with a short one";
    LONG_REV: u32 = "quic_long_rev" in "datagrams":
        "of the other side that begin with a long header for the originator's source connection ID";
    SHORT_REV: u32 = "quic_short_rev" in "datagrams": "that begin with a short one";
    UNFIXED_FWD: u32 = "quic_unfixed_fwd" in "datagrams":
        "of the originator whose first packet lacks the bit that QUIC fixes to 1 (RFC 9287)";
    UNFIXED_REV: u32 = "quic_unfixed_rev" in "datagrams": "of the other side, the same";
    NEGOTIATION: Vec<Value> = "quic_negotiation":
        "the first 16 versions that the other side named in place of an answer, in hexadecimal, for the \
         originator's connection IDs the other way round; null where it did not";
    RETRY: bool = "quic_retry":
        "the other side demanded a token, for the originator's source connection ID; the token's seal is not \
         looked at";
    HANDSHAKE_REV: bool = "quic_handshake_rev":
        "a Handshake packet came for the originator's source connection ID: whoever sent it has read the \
         originator's first packet";
    SPIN_FWD: u32 = "quic_spin_fwd": "changes of the spin bit from one short header to the next, the originator's";
    SPIN_REV: u32 = "quic_spin_rev": "the same of the other side";
}

/// A version as the fields have it.
pub fn version(version: u32) -> String {
    format!("{version:#010x}")
}
