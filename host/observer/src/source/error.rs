//! Why a source cannot be opened or read.

use thiserror::Error;

/// Why a source cannot be opened, or why reading it ended early.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SourceError {
    /// There is no such interface.
    #[error("no interface {name:?}; there are: {}", available.join(", "))]
    NoInterface {
        /// The name that was given.
        name: String,
        /// The interfaces that there are.
        available: Vec<String>,
    },
    /// The interface is there, but switched off.
    #[error("the interface {name:?} is down; switch it on with: ip link set {name} up")]
    InterfaceDown {
        /// Its name.
        name: String,
    },
    /// We may not capture.
    #[error(
        "no permission to capture on {name:?}: it takes CAP_NET_RAW; {advice}",
        advice = pathspider_runtime::privileges::advice()
    )]
    NoPrivilege {
        /// The interface.
        name: String,
    },
    /// Capturing failed otherwise.
    #[error("capturing on {name:?} failed: {reason}")]
    Capture {
        /// The interface.
        name: String,
        /// What libpcap says.
        reason: String,
    },
    /// The filter cannot be compiled.
    #[error("the filter {filter:?} is not understood: {reason}")]
    Filter {
        /// The filter.
        filter: String,
        /// What libpcap says.
        reason: String,
    },
    /// The URI's scheme is not one of ours.
    #[error(
        "no kind of source {scheme:?}; there are: int:, ring:, pcapint: (live), \
         pcapfile: (recorded), - (standard input)"
    )]
    Scheme {
        /// What stands before the colon.
        scheme: String,
    },
    /// The file cannot be opened or read.
    #[error("cannot read {path}: {reason}")]
    NotReadable {
        /// Its path.
        path: String,
        /// What the system says.
        reason: String,
    },
    /// The packets that were to be kept cannot be written.
    #[error("cannot write {path}: {reason}")]
    NotWritable {
        /// The file's path.
        path: String,
        /// What the system says.
        reason: String,
    },
    /// The file is not a capture.
    #[error("{path} is neither a pcap nor a pcapng file")]
    NotACapture {
        /// Its path.
        path: String,
    },
    /// The frames have a link layer that we cannot read.
    #[error("{path}: frames of link type {} cannot be read", crate::Link::name(*number))]
    LinkType {
        /// The file or interface.
        path: String,
        /// Its LINKTYPE number.
        number: u32,
    },
    /// The file ends within a packet or block.
    #[error("{path} is cut short: it ends within the {what} at octet {offset}, packet {packet}")]
    Truncated {
        /// Its path.
        path: String,
        /// What it ends within.
        what: &'static str,
        /// Where that begins, after decompression.
        offset: u64,
        /// The number of the packet that is missing, from 1.
        packet: u64,
    },
    /// None of the file's packets is of an interface that the file describes.
    #[error("{path} describes no interface of any of its {packets} packets")]
    NoDescription {
        /// Its path.
        path: String,
        /// How many packets it has.
        packets: u64,
    },
    /// The file contradicts itself.
    #[error("{path} is damaged at octet {offset}, packet {packet}: {reason}")]
    Damaged {
        /// Its path.
        path: String,
        /// What is wrong.
        reason: String,
        /// Where, after decompression.
        offset: u64,
        /// The number of the packet that should be there, from 1.
        packet: u64,
    },
}
