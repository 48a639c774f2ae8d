//! The fields of the chain `tfo`.

crate::fields! {
    pub CHAIN = "tfo": "the Fast Open option, and data on SYNs";
    SYN_KIND: u8 = "tfo_synkind":
        "kind of the option on the originator's SYN: 34, or 254 and 255 as experiment; 0 when \
         absent";
    ACK_KIND: u8 = "tfo_ackkind": "kind of the option on the other side's SYN/ACK; 0 when absent";
    SYN_COOKIE: u8 = "tfo_synclen" in "octets":
        "length of the cookie on the SYN; 0 when it asks for one";
    ACK_COOKIE: u8 = "tfo_ackclen" in "octets": "length of the cookie on the SYN/ACK";
    SEQUENCE: u32 = "tfo_seq": "sequence number of the first SYN with the option; 0 when absent";
    DATA: u32 = "tfo_dlen" in "octets": "payload of that SYN";
    ACKNOWLEDGMENT: u32 = "tfo_ack":
        "acknowledgment number of the SYN/ACK that answers it, of several the furthest: tfo_seq + 1 \
         + tfo_dlen modulo 2^32 when all data were accepted; 0 when none was seen";
}
