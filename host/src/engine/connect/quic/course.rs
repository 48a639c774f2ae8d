//! The course of one connection: the library's state machine, what its datagrams say beside it, and how
//! it ended. No sockets and no clock.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pathspider_plugin_api::packet::quic::{LongHeader, VERSION_2};
use quinn_proto::{
    ClientConfig, ConnectError, Connection, ConnectionError, ConnectionHandle, DatagramEvent,
    EcnCodepoint, Endpoint, Event, NoneTokenStore, VarInt,
};

use super::Shared;
use super::keys::as_version_1;
use super::link::Arrival;
use super::seen::Known;
use super::session::Start;

/// How many versions that a target names are kept.
pub(super) const VERSIONS: usize = 64;

/// The versions that a target named in place of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offered {
    /// The first of them.
    pub(super) versions: Vec<u32>,
    pub(super) total: usize,
}

impl Offered {
    /// Reads them.
    pub(super) fn read(header: &LongHeader<'_>) -> Option<Offered> {
        let versions = header.versions()?;
        let total = versions.len();
        Some(Offered { versions: versions.take(VERSIONS).collect(), total })
    }
}

/// A connection.
pub(super) struct Course {
    endpoint: Endpoint,
    handle: ConnectionHandle,
    pub(super) connection: Connection,
    pub(super) known: Known,
    remote: SocketAddr,
    version: u32,
    /// Our first connection ID, and the one that we gave the target.
    ids: (Vec<u8>, Vec<u8>),
    began: Instant,
    /// How long the handshake took, once it is over.
    pub(super) handshake: Option<Duration>,
    /// Why it is over.
    pub(super) lost: Option<ConnectionError>,
    pub(super) offered: Option<Offered>,
    /// The ECN fields of the target's datagrams, by their values.
    pub(super) came: [u64; 4],
    /// Datagrams that belong to another connection, or to none.
    pub(super) ignored: u64,
    /// Somebody has written, opened or read since the datagrams were last asked for.
    pub(super) is_touched: bool,
    buffer: Vec<u8>,
}

impl Course {
    /// Begins a connection, and gives its first datagram.
    ///
    /// # Errors
    ///
    /// There can be none to there.
    pub(super) fn begin(
        shared: &Shared,
        start: Start,
        remote: SocketAddr,
        now: Instant,
    ) -> Result<(Course, Vec<u8>), ConnectError> {
        let (known, version) = (start.known.clone(), start.look.version);
        let mut config = ClientConfig::new(Arc::new(start));
        config.transport_config(Arc::clone(&shared.transport));
        config.token_store(Arc::new(NoneTokenStore)).version(version);
        let mut endpoint = Endpoint::new(Arc::clone(&shared.endpoint), None, false, None);
        let (handle, connection) = endpoint.connect(now, config, remote, "")?;
        let mut course = Course {
            endpoint,
            handle,
            connection,
            known,
            remote,
            version,
            ids: Default::default(),
            began: now,
            handshake: None,
            lost: None,
            offered: None,
            came: [0; 4],
            ignored: 0,
            is_touched: false,
            buffer: Vec::new(),
        };
        let first = course.datagram(now).map(<[u8]>::to_vec).unwrap_or_default();
        if let Some(header) = LongHeader::read(&first) {
            course.ids = (header.source().to_vec(), header.destination().to_vec());
        }
        Ok((course, first))
    }

    /// The next datagram to be sent.
    pub(super) fn datagram(&mut self, now: Instant) -> Option<&[u8]> {
        self.is_touched = false;
        self.buffer.clear();
        let transmit = self.connection.poll_transmit(now, 1, &mut self.buffer)?;
        self.buffer.get(..transmit.size)
    }

    /// Takes a datagram that came.
    pub(super) fn take(&mut self, arrival: Arrival, now: Instant) {
        let Arrival { mut octets, mark } = arrival;
        if let Some(header) = LongHeader::read(&octets) {
            let is_ours = header.destination() == self.ids.0;
            if header.version() == 0 {
                // The library would take a list from anybody who knows our ID.
                let is_swapped = is_ours && header.source() == self.ids.1;
                let offered = Offered::read(&header).filter(|_| is_swapped);
                let Some(offered) = offered else {
                    self.ignored += 1;
                    return;
                };
                self.offered.get_or_insert(offered);
            } else if !is_ours {
                self.ignored += 1;
                return;
            }
        }
        self.came[usize::from(mark & 3)] += 1;
        if self.version == VERSION_2 {
            as_version_1(&mut octets);
        }
        let ecn = EcnCodepoint::from_bits(mark);
        let mut answer = Vec::new();
        // Whatever belongs to no connection is not answered.
        match self.endpoint.handle(now, self.remote, None, ecn, octets, &mut answer) {
            Some(DatagramEvent::ConnectionEvent(_, event)) => {
                self.connection.handle_event(event);
                self.settle(now);
            }
            _ => self.ignored += 1,
        }
    }

    /// When [`expire`](Course::expire) is to be called.
    pub(super) fn due(&mut self) -> Option<Instant> {
        self.connection.poll_timeout()
    }

    /// The time has come.
    pub(super) fn expire(&mut self, now: Instant) {
        self.connection.handle_timeout(now);
        self.settle(now);
    }

    /// Sends a packet that the target has to acknowledge.
    pub(super) fn ask_for_acknowledgment(&mut self) {
        self.connection.ping();
        self.is_touched = true;
    }

    /// Closes it, with a code of the application's.
    pub(super) fn close(&mut self, now: Instant, code: u32, reason: &[u8]) {
        self.connection.close(now, VarInt::from_u32(code), reason.to_vec().into());
        self.is_touched = true;
    }

    /// Whether a packet came that only who has read ours can have made.
    pub(super) fn is_answered(&self) -> bool {
        self.offered.is_some() || self.known.lock().is_answered
    }

    fn settle(&mut self, now: Instant) {
        while let Some(event) = self.connection.poll_endpoint_events() {
            if let Some(event) = self.endpoint.handle_event(self.handle, event) {
                self.connection.handle_event(event);
            }
        }
        while let Some(event) = self.connection.poll() {
            match event {
                Event::Connected => {
                    self.handshake = Some(now.saturating_duration_since(self.began))
                }
                Event::ConnectionLost { reason } => {
                    self.lost.get_or_insert(reason);
                }
                _ => {}
            }
        }
    }
}
