//! The fields of the chain `evil`.

crate::fields! {
    pub CHAIN = "evil": "the reserved flag of IPv4";
    SYN_FWD: bool = "evilbit_syn_fwd":
        "a SYN from the originator has the flag; null when no SYN in IPv4 was seen";
    SYN_REV: bool = "evilbit_syn_rev":
        "a SYN to the originator has the flag; null when no SYN in IPv4 was seen";
    DATA_FWD: bool = "evilbit_data_fwd":
        "another packet from the originator has the flag; null when none in IPv4 was seen";
    DATA_REV: bool = "evilbit_data_rev":
        "another packet to the originator has the flag; null when none in IPv4 was seen";
}
