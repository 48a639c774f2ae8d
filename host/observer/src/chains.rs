//! The library chains, and the catalogue of all chains that a run can use. The fields that they write are
//! declared in the contract; plugins' own chains are theirs.

mod accecn;
mod basic;
mod carrier;
mod catalogue;
pub mod dns;
mod dscp;
mod ecn;
mod evil;
mod icmp;
mod mss;
mod noop;
mod quic;
mod rtt;
mod side;
mod syn;
mod tcp;
mod tcpopt;
mod tfo;
mod udp;

pub use self::accecn::AccEcn;
pub use self::basic::Basic;
pub use self::carrier::Carrier;
pub use self::catalogue::{Catalogue, CatalogueError, Entry, LoadChain, Resolved};
pub use self::dns::Dns;
pub use self::dscp::Dscp;
pub use self::ecn::Ecn;
pub use self::evil::Evil;
pub use self::icmp::IcmpChain as Icmp;
pub use self::mss::Mss;
pub use self::noop::Noop;
pub use self::quic::Quic;
pub use self::rtt::Rtt;
pub use self::syn::Syn;
pub use self::tcp::TcpChain as Tcp;
pub use self::tcpopt::Tcpopt;
pub use self::tfo::Tfo;
pub use self::udp::UdpChain as Udp;
