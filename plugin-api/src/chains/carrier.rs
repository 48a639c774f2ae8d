//! The fields of the chain `carrier`.

use crate::Value;

crate::fields! {
    pub CHAIN = "carrier": "the packets that carry a feature, for where on the path they are harmed";
    OPENING: Vec<Value> = "carrier_opening":
        "the octets of the originator's first packet, as captured; null when none was seen";
    DATA: Vec<Value> = "carrier_data":
        "the octets of the originator's first TCP segment with data that is no SYN, as captured and no \
         more than 1,400; null when none was seen";
}
