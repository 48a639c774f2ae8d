//! What the observer itself says of every flow, whatever chains are asked for.

crate::fields! {
    pub CHAIN = "flow": "when the flow was seen";
    FIRST: f64 = "pkt_first" in "seconds": "time of the first packet, since the Unix epoch";
    LAST: f64 = "pkt_last" in "seconds": "time of the last packet, since the Unix epoch";
}
