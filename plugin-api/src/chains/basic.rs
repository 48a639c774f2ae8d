//! The fields of the chain `basic`.

use std::net::IpAddr;

crate::fields! {
    pub CHAIN = "basic": "addresses, ports, packets and octets";
    SOURCE: IpAddr = "sip": "address of the originator";
    DESTINATION: IpAddr = "dip": "address of the other side";
    PROTOCOL: u8 = "proto": "IANA number of the transport protocol";
    SOURCE_PORT: u16 = "sp": "port of the originator; null without ports";
    DESTINATION_PORT: u16 = "dp": "port of the other side; null without ports";
    PACKETS_FWD: u64 = "pkt_fwd" in "packets": "packets from the originator";
    PACKETS_REV: u64 = "pkt_rev" in "packets":
        "packets to the originator; in a measurement, without ICMP errors";
    OCTETS_FWD: u64 = "oct_fwd" in "octets":
        "IP packets from the originator, padding of short frames included";
    OCTETS_REV: u64 = "oct_rev" in "octets":
        "IP packets to the originator, padding of short frames included; in a measurement, \
         without ICMP errors";
}
