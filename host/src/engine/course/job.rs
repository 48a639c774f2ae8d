//! A job in flight, and its connections that are under way or about to be: two at the most.

use std::net::SocketAddr;
use std::time::Instant;

use pathspider_observer::ConnectionId;

use super::super::lending::Permit;
use super::calls::Call;
use super::{Cargo, Lease};

/// A job that was read, until its connections have ended.
pub(super) struct OpenJob<C: Cargo> {
    /// `None` where the plugin failed for it: then only a connection that is under way is left.
    pub(super) work: Option<C::Work>,
    /// Where it connects to unless the plugin says otherwise.
    pub(super) target: SocketAddr,
    /// How many of its connections were begun, or are about to be.
    pub(super) begun: usize,
    /// How many of them have ended.
    pub(super) ended: usize,
    /// Octets of those that were reported.
    pub(super) octets: usize,
    /// The plugin's call that prepares it, while it is under way.
    pub(super) preparing: Option<Call>,
    /// The connection that is to be known before the next one begins, once it has ended.
    pub(super) awaited: Option<ConnectionId>,
    /// Held while it has two connections.
    pub(super) permit: Option<Permit>,
    connections: [Option<Connection>; 2],
}

/// A connection that is under way, or about to be.
pub(super) struct Connection {
    id: ConnectionId,
    /// Where its packets go, as far as is known.
    pub(super) to: SocketAddr,
    /// Its hold on the configuration.
    pub(super) lease: Option<Lease>,
    /// When it was let go.
    pub(super) started: Option<Instant>,
    /// The plugin's call that answers which connection it is, while it is under way.
    pub(super) call: Option<Call>,
    /// Whether its first packet is out.
    pub(super) is_under_way: bool,
}

impl Connection {
    pub(super) fn new(id: ConnectionId, to: SocketAddr) -> Connection {
        Connection { id, to, lease: None, started: None, call: None, is_under_way: false }
    }
}

impl<C: Cargo> OpenJob<C> {
    /// A job for which the plugin's first call begins.
    pub(super) fn new(work: C::Work, target: SocketAddr, call: Call) -> OpenJob<C> {
        OpenJob {
            work: Some(work),
            target,
            begun: 0,
            ended: 0,
            octets: 0,
            preparing: Some(call),
            awaited: None,
            permit: None,
            connections: [None, None],
        }
    }

    /// How many connections it has.
    pub(super) fn active(&self) -> usize {
        self.connections.iter().flatten().count()
    }

    pub(super) fn add(&mut self, connection: Connection) {
        if let Some(place) = self.connections.iter_mut().find(|place| place.is_none()) {
            *place = Some(connection);
        }
    }

    pub(super) fn connection(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections_mut().find(|connection| connection.id == id)
    }

    pub(super) fn connections_mut(&mut self) -> impl Iterator<Item = &mut Connection> {
        self.connections.iter_mut().flatten()
    }

    /// Takes off a connection that holds nothing any more.
    pub(super) fn remove(&mut self, id: ConnectionId) {
        for place in &mut self.connections {
            place.take_if(|connection| connection.id == id);
        }
    }

    /// What it takes for a connection to start, unless the plugin has failed for the job.
    pub(super) fn starts(&mut self, id: ConnectionId) -> Option<(&mut Connection, C::Work)> {
        let work = self.work.clone()?;
        Some((self.connection(id)?, work))
    }
}
