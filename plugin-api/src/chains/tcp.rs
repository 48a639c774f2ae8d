//! The fields of the chain `tcp`.

use crate::packet::TcpFlags;

crate::fields! {
    pub CHAIN = "tcp": "flags that begin and end TCP connections";
    SYNFLAGS_FWD: TcpFlags = "tcp_synflags_fwd":
        "flag byte of the originator's first SYN; null when none was seen";
    SYNFLAGS_REV: TcpFlags = "tcp_synflags_rev":
        "flag byte of the other side's first SYN; null when none was seen";
    FIN_FWD: bool = "tcp_fin_fwd": "the originator sent FIN";
    FIN_REV: bool = "tcp_fin_rev": "the other side sent FIN";
    RST_FWD: bool = "tcp_rst_fwd": "the originator sent RST";
    RST_REV: bool = "tcp_rst_rev": "the other side sent RST";
    CONNECTED: bool = "tcp_connected":
        "the three packets of the handshake were seen, or the four of a split one";
}
