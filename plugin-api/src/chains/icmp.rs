//! The fields of the chain `icmp`.

use crate::Value;

crate::fields! {
    pub CHAIN = "icmp": "ICMP errors, and what they quote";
    UNREACHABLE: bool = "icmp_unreachable":
        "an ICMP error came back: destination unreachable, of any code. In a measurement, it \
         quotes what left us";
    ERRORS: Vec<Value> = "icmp_errors":
        "the ICMP errors that came back, up to eight that differ, each a record: `type` and `code`; \
         `from`, the address that sent it; `ttl`, its own as it came; `count`, how often it came; \
         and of the packet that it quotes `quote_ttl`, `quote_dscp`, `quote_ecn` and \
         `quote_length`, the quoted octets, IP header included. null when there were none";
}
