//! Owns what the lab takes from the kernel: namespaces without names, links, sysctls and the
//! programs run inside them. Refuses to know about paths, faults or targets.

mod addresses;
mod counters;
mod exec;
mod leftovers;
mod limits;
mod link;
mod namespace;
mod privilege;
mod tools;
mod tun;

pub use addresses::ready;
pub use counters::{Packets, packets, resident_memory, thread_time, thread_times};
pub use exec::{Finished, Running};
pub use limits::{possible_open_files, raise_open_files};
pub use namespace::Namespace;
pub use privilege::prepare;
pub use tools::{ip, nft};
pub use tun::Tun;
