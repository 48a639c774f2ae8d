//! The fields of the chain `rtt`.

crate::fields! {
    pub CHAIN = "rtt": "round trip and TTL of the first answer";
    ROUND_TRIP: u32 = "rtt_us" in "microseconds":
        "from the SYN to the SYN/ACK that answers it, or from the first DNS query or datagram to its \
         answer; null where there was no answer, or several packets that it may answer";
    TTL: u8 = "rtt_ttl":
        "TTL or hop limit of that SYN/ACK or answer, as it came; null when none was seen";
    HOPS: u8 = "rtt_hops" in "hops":
        "what that implies of the way back, where its sender began with the next of 32, 64, 128 and \
         255; null when none was seen";
    LOWEST_TTL: u8 = "rtt_ttl_min":
        "lowest TTL of the other packets to the originator, ICMP errors left out; null when there \
         were none";
    HIGHEST_TTL: u8 = "rtt_ttl_max":
        "highest TTL of the other packets to the originator; null when there were none";
}
