//! The fields of the chain `icmp`.

crate::fields! {
    pub CHAIN = "icmp": "ICMP errors";
    UNREACHABLE: bool = "icmp_unreachable":
        "an ICMP error came back: destination unreachable, of any code. In a measurement, it \
         quotes what left us";
}
