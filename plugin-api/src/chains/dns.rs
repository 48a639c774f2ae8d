//! The fields of the chain `dns`.

crate::fields! {
    pub CHAIN = "dns": "responses of DNS servers, over UDP and TCP";
    RESPONSE_VALID: bool = "dns_response_valid":
        "the other side sent a well-formed DNS response, with the identifier of a query if one \
         was seen; over TCP, in the order of the stream";
}
