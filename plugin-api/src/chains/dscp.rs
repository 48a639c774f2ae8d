//! The fields of the chain `dscp`.

crate::fields! {
    pub CHAIN = "dscp": "code points of SYNs and of data";
    SYN_FWD: u8 = "dscp_mark_syn_fwd":
        "code point (0-63) of the originator's first SYN; null when none was seen";
    DATA_FWD: u8 = "dscp_mark_data_fwd":
        "code point of the originator's first packet that is not TCP or has TCP payload; null \
         when none was seen";
    SYN_REV: u8 = "dscp_mark_syn_rev":
        "code point (0-63) of the other side's first SYN; null when none was seen";
    DATA_REV: u8 = "dscp_mark_data_rev":
        "code point of the first packet to the originator that is not TCP or has TCP payload; \
         null when none was seen. An ICMP error counts where flows are observed, not in a \
         measurement";
}
