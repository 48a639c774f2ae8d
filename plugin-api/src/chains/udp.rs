//! The fields of the chain `udp`.

crate::fields! {
    pub CHAIN = "udp": "UDP checksums of zero";
    ZERO_CHECKSUM_FWD: bool = "udp_zero_checksum_fwd":
        "the originator's last datagram has the checksum 0; null when none was seen";
    ZERO_CHECKSUM_REV: bool = "udp_zero_checksum_rev":
        "the other side's last datagram has the checksum 0; null when none was seen";
}
