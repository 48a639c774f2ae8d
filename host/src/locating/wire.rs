//! Sends what a search wants to send, and hears what comes back.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::time::Instant;

use pathspider_locate::{CourseId, Location, Locator, Polled, Settings, Subject, Time};
use pathspider_observer::{Source, SourceError, SourceOptions, open};
use pathspider_plugin_api::forge;

use crate::engine::{Held, PortsError, Raw};
use crate::route::{Routes, Way};

/// Flows of a search, each with a port.
const PORTS: usize = pathspider_locate::course::FLOWS;

/// Octets of the buffer: little comes, for the filter lets no other packets in.
const BUFFER: usize = 4 << 20;

/// What packets are sent and heard with. All that takes privileges is open.
pub(crate) struct Wire {
    raw: Raw,
    ports: Held,
    source: Source,
    interface: Option<String>,
}

/// Why it cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// No raw socket.
    #[error("cannot open a raw socket: {0}")]
    Raw(#[from] io::Error),
    /// No ports.
    #[error("{0}")]
    Ports(String),
    /// No capture.
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl From<PortsError> for WireError {
    fn from(error: PortsError) -> WireError {
        WireError::Ports(error.to_string())
    }
}

impl Wire {
    /// Opens it: packets leave by this interface, and answers are captured there.
    ///
    /// # Errors
    ///
    /// A privilege (`CAP_NET_RAW`) or a port is missing.
    pub(crate) fn open(uri: &str, interface: Option<&str>) -> Result<Wire, WireError> {
        let raw = Raw::open(interface)?;
        let ports = Held::take(PORTS, PORTS, interface)?;
        let to_ours: Vec<String> =
            ports.numbers.iter().map(|port| format!("dst port {port}")).collect();
        let filter = format!("icmp or icmp6 or ((tcp or udp) and ({}))", to_ours.join(" or "));
        let options =
            SourceOptions { filter: Some(filter), buffer_size: BUFFER, ..SourceOptions::default() };
        let source = open(uri, &options)?;
        Ok(Wire { raw, ports, source, interface: interface.map(str::to_owned) })
    }
}

/// Searches under way.
pub(crate) struct Driver {
    wire: Wire,
    routes: Routes,
    locator: Locator,
    ways: HashMap<IpAddr, Way>,
    began: Instant,
}

impl Driver {
    /// With so many packets a second at the most.
    pub(crate) fn new(wire: Wire, rate: f64) -> Driver {
        let routes = Routes::new(wire.interface.as_deref());
        let (locator, ways) = (Locator::new(rate), HashMap::new());
        Driver { wire, routes, locator, ways, began: Instant::now() }
    }

    /// Begins a search. There is no other one to the same address and port.
    ///
    /// # Errors
    ///
    /// There is no way to the target.
    pub(crate) fn begin(
        &mut self,
        id: CourseId,
        subject: Subject,
        settings: Settings,
    ) -> io::Result<()> {
        let target = subject.marked.remote().ip();
        self.ways.insert(target, self.routes.way(target)?);
        let mut ports = [0; PORTS];
        for (port, number) in ports.iter_mut().zip(&self.wire.ports.numbers) {
            *port = *number;
        }
        let now = self.now();
        self.locator.begin(id, subject, settings, ports, forge::random(), now);
        Ok(())
    }

    fn now(&self) -> Time {
        // Searches end some seconds after zero: their first moment is not the beginning of time.
        self.began.elapsed() + Time::from_secs(1)
    }

    /// Whether nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.locator.is_empty()
    }

    /// Hears what has come, waits a little where nothing has, and sends what is wanted. Gives the
    /// searches that ended.
    ///
    /// # Errors
    ///
    /// The capture fails.
    pub(crate) fn turn(&mut self) -> Result<Vec<(CourseId, Location)>, SourceError> {
        let (locator, began) = (&mut self.locator, self.began);
        let mut replies = Vec::new();
        let wire = &mut self.wire;
        let (raw, ways) = (&wire.raw, &self.ways);
        wire.source.read(&mut |frames| {
            for frame in frames {
                if let Some(packet) = frame.ip_packet() {
                    let now = began.elapsed() + Time::from_secs(1);
                    replies.extend(locator.heard(packet, now).send);
                }
            }
        })?;
        let polled = locator.poll(began.elapsed() + Time::from_secs(1));
        for packet in replies.into_iter().chain(polled.send) {
            if let Some(way) = ways.get(&packet.target) {
                // One that cannot be sent is one that nobody answers.
                let _ = raw.send(&packet.octets, packet.target, *way);
            }
        }
        Ok(polled.ended)
    }

    /// Ends all searches with what they know.
    pub(crate) fn give_up(&mut self) -> Vec<(CourseId, Location)> {
        let now = self.now();
        let Polled { send, ended } = self.locator.give_up(now);
        for packet in send {
            if let Some(way) = self.ways.get(&packet.target) {
                let _ = self.wire.raw.send(&packet.octets, packet.target, *way);
            }
        }
        ended
    }
}
