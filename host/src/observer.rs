//! Captures packets and turns them into flow records.
//! (Types only; the observer itself is being written.)
use std::net::{IpAddr, SocketAddr};

/// a
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// a
    pub protocol: u8,
    /// a
    pub address: IpAddr,
    /// a
    pub port: u16,
}
/// a
pub struct Claim {
    /// a
    pub id: u64,
    /// a
    pub protocol: u8,
    /// a
    pub local: SocketAddr,
    /// a
    pub remote: SocketAddr,
    /// a
    pub started_ns: i64,
    /// a
    pub ended_ns: i64,
}
/// a
pub enum Notice {
    /// a
    Expect(Endpoint),
    /// a
    Withdraw(Endpoint),
    /// a
    Claim(Claim),
}
/// a
pub struct Observation {
    /// a
    pub id: u64,
    /// a
    pub flow: Option<pathspider_plugin_api::FlowRecord>,
    /// a
    pub failure: Option<pathspider_plugin_api::Error>,
}
