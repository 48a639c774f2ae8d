//! The fields of the host's own chains, one module for each: what they write and measurements read.
//!
//! `docs/chains.md` shows them all.

pub mod accecn;
pub mod basic;
pub mod carrier;
pub mod dns;
pub mod dscp;
pub mod ecn;
pub mod evil;
pub mod flow;
pub mod icmp;
pub mod mss;
pub mod noop;
pub mod quic;
pub mod rtt;
pub mod syn;
pub mod tcp;
pub mod tcpopt;
pub mod tfo;
pub mod udp;

use crate::ChainFields;

/// All that a measurement can ask for.
pub const ALL: [ChainFields; 17] = [
    basic::CHAIN,
    tcp::CHAIN,
    ecn::CHAIN,
    dscp::CHAIN,
    mss::CHAIN,
    tfo::CHAIN,
    tcpopt::CHAIN,
    udp::CHAIN,
    icmp::CHAIN,
    dns::CHAIN,
    evil::CHAIN,
    syn::CHAIN,
    rtt::CHAIN,
    accecn::CHAIN,
    carrier::CHAIN,
    quic::CHAIN,
    noop::CHAIN,
];
