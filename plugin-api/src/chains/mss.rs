//! The fields of the chain `mss`.

crate::fields! {
    pub CHAIN = "mss": "the maximum segment size option of SYNs";
    LENGTH_FWD: u8 = "mss_len_fwd" in "octets":
        "length of the option on the originator's SYN as found, 4 if it is right; null when \
         absent";
    LENGTH_REV: u8 = "mss_len_rev" in "octets":
        "length of the option on the other side's SYN as found, 4 if it is right; null when \
         absent";
    VALUE_FWD: u64 = "mss_value_fwd" in "octets":
        "value of the option on the originator's SYN, whatever its length; null when absent";
    VALUE_REV: u64 = "mss_value_rev" in "octets":
        "value of the option on the other side's SYN, whatever its length; null when absent";
}
