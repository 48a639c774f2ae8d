//! What a course and its shell say to each other: what happens, what is to be done, and what a connection that
//! has begun is watched for. What the shell knows and the course does not look at is its [`Cargo`].

use std::net::SocketAddr;
use std::time::Instant;

use pathspider_observer::{ConnectionId, Visit};
use pathspider_plugin_api::{ConfigId, Hold};

use super::calls::{Call, Purpose};

/// What a course carries for the shell, and does not look at.
pub(in crate::engine) trait Cargo {
    /// A job and what the plugin prepared for it; copies are the same job.
    type Work: Clone;
    /// Which connection the plugin asked for.
    type Plan;
    /// How a connection ended.
    type Attempt;
    /// Why the plugin failed.
    type Error;

    /// Octets that the later stages hold of a connection that has ended.
    fn octets(attempt: &Self::Attempt) -> usize;
}

/// What happens.
pub(in crate::engine) enum Event<C: Cargo> {
    /// A job was read; where it connects to unless the plugin says otherwise.
    Read(Visit, C::Work, SocketAddr),
    /// No more jobs come.
    Fed,
    /// The run is to stop: what is under way ends, and nothing else begins.
    Stop,
    /// The plugin has prepared a job, or failed to.
    Prepared(Visit, Call, Result<(), C::Error>),
    /// A thread has the plugin's answer to [`Action::Ask`].
    Answered(ConnectionId, Call, C::Plan),
    /// A connection cannot begin: the plugin failed, or asked for what there is not.
    Failed(ConnectionId, C::Error),
    /// Every local port toward this endpoint is taken; how the connection ends if that stays so.
    NoPort(ConnectionId, SocketAddr, C::Attempt),
    /// Nothing was sent: the connection goes to another address than the pace gave leave for.
    Elsewhere(ConnectionId, SocketAddr, C::Plan),
    /// A connection came to this point of its life; only where it was asked for ([`Watch`]).
    Reached(ConnectionId, Hold),
    /// Nothing has answered a connection for a while; only where it was asked for.
    Silent(ConnectionId),
    /// A connection ended.
    Ended(ConnectionId, C::Attempt),
    /// What the observer saw of a connection that has ended is known to the plugin's next call; only
    /// where connections depend on earlier ones ([`Rules::depends`](super::Rules::depends)).
    Known(ConnectionId),
    /// A job's record is written.
    Written(Visit),
}

/// What is to be done.
pub(in crate::engine) enum Action<C: Cargo> {
    /// Have the plugin prepare this job.
    Prepare(Visit, Call, C::Work),
    /// Bring the system into this configuration, before anything else.
    Configure(ConfigId),
    /// Ask the plugin for this connection, and begin it. It may be sent to this address.
    Ask(ConnectionId, Call, C::Work, SocketAddr),
    /// Begin this connection, for which the plugin was asked.
    Make(ConnectionId, C::Work, SocketAddr, C::Plan),
    /// Claim the connection's flow, and hand on how it ended.
    Report(ConnectionId, C::Work, C::Attempt),
    /// Forget the connection: the plugin failed for its job.
    Discard(C::Attempt),
    /// Hand on that the plugin failed for the job.
    Fail(C::Work, C::Error),
    /// Hand on that the plugin did not come back; whether a new thread is to take the place.
    GiveUp(Purpose, C::Work, bool),
    /// End the run: this many threads are stuck in the plugin.
    Stuck(usize),
    /// Say that ports toward this endpoint are short, for the first time.
    Short(SocketAddr),
    /// No more connections are made: give the system's settings back.
    Settle,
    /// Wait for an event, no longer than until then.
    Wait(Option<Instant>),
    /// All jobs have ended, and their records are written.
    Over,
}

/// What a connection that has begun is watched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) struct Watch {
    /// The point of its life that is to be reported.
    pub(in crate::engine) awaited: Option<Hold>,
    /// Whether its silence is to be reported.
    pub(in crate::engine) silence: bool,
}

/// A connection after its first packet.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct First {
    /// Where it goes.
    pub(in crate::engine) remote: SocketAddr,
    /// Whether its first packet is yet to be sent, when it sends data.
    pub(in crate::engine) is_deferred: bool,
}
