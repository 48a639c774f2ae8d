//! Captures packets and turns them into flow records.
//!
//! 1. A **source** gives frames, live or recorded ([`open`]).
//! 2. Each frame is **sliced** once, its lengths checked, and named by its flow's key.
//! 3. The **table** finds its flow; the flow's **chains** see it.
//! 4. A flow that has ended becomes a **record**: in [`observe`] when a chain says that it is
//!    complete or when it falls silent, in [`watch`] when the connection that it belongs to asks,
//!    in [`Replay`] when it has the packets that it had then.
//!
//! Time is the capture's: flows end by the times of packets, so a recorded capture gives what the
//! live one gave.

// Standard error may be gone, and `eprintln!` panics then: see `pathspider_runtime::say`.
#![warn(clippy::print_stderr)]

mod answer;
pub mod chains;
mod claims;
mod clock;
mod connection;
mod counters;
mod dissect;
mod early;
mod elsewhere;
mod fragments;
mod index;
pub mod interface;
mod key;
mod libpcap;
mod link;
mod lives;
mod measuring;
mod notice;
mod observing;
mod parts;
mod place;
mod replay;
mod save;
mod source;
mod table;
mod tracker;
mod ttls;
mod tunnel;
mod watch;
mod wheel;

use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

pub use self::connection::{ConnectionId, JobNumber, Round, Visit};
pub use self::counters::{Counters, Malformed, Unanswering};
pub use self::dissect::{Dissected, Fragment, dissect};
pub use self::elsewhere::{Elsewhere, Strays};
pub use self::libpcap::libpcap;
pub use self::link::{Behind, Link};
pub use self::notice::{
    Answer, Await, Claim, Endpoint, Follow, Following, Heard, IcmpError, Notice, Observation, Seek,
    Told, Wanted,
};
pub use self::observing::{Observed, Sink, observe};
pub use self::replay::Replay;
pub use self::save::PcapWriter;
pub use self::save::{FILE_HEADER, Saved, scan};
pub use self::source::{
    BATCH, Frame, Progress, Source, SourceError, SourceOptions, Stop, check_interface, is_recorded,
    open,
};
pub use self::tracker::{last_ns, packet};
pub use self::ttls::{Ttls, hops};
pub use self::watch::{Watch, watch};

/// How long flows live, and how many at once.
pub struct Settings {
    /// How long a connection's flow is waited for after the connection has ended, where no chain
    /// says that it is complete. Only for [`watch`].
    pub grace: Duration,
    /// How long late packets of a complete flow still count.
    pub linger: Duration,
    /// After how long without a packet a flow ends.
    pub idle: Duration,
    /// Whether packets in tunnels are looked at instead of the tunnels' own. Only for [`observe`].
    pub inside: bool,
    /// Flows in the table at most. Beyond it, the one that was silent for longest leaves.
    pub max_flows: usize,
    /// Where answers are reported, if [`Notice::Await`] will ask for what comes. Only for [`watch`].
    pub answers: Option<UnboundedSender<Told>>,
    /// A capture file for the packets of our own flows. Only for [`watch`].
    pub save: Option<PcapWriter>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            grace: Duration::from_millis(500),
            linger: Duration::from_secs(5),
            idle: Duration::from_secs(30),
            inside: false,
            max_flows: 1 << 20,
            answers: None,
            save: None,
        }
    }
}

/// A duration in the units of packet time.
fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX / 4).min(i64::MAX / 4)
}
