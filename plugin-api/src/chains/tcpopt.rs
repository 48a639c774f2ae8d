//! The fields of the chain `tcpopt`.

crate::fields! {
    pub CHAIN = "tcpopt": "TCP options that the other side agreed to";
    TIMESTAMPS: bool = "tcpopt_ts": "the SYN/ACK carries timestamps (RFC 7323); null when not seen";
    WINDOW_SCALE: bool = "tcpopt_ws":
        "the SYN/ACK carries a window scale (RFC 7323); null when not seen";
    SACK: bool = "tcpopt_sack":
        "the SYN/ACK permits selective acknowledgments (RFC 2018); null when not seen";
}
