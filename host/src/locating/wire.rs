//! Sends what a search wants to send, and hears what comes back.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use pathspider_locate::{CourseId, Location, Locator, Polled, Settings, Subject, Time};
use pathspider_observer::{Source, SourceError, SourceOptions, open};
use pathspider_plugin_api::forge;

use crate::engine::{Held, PortsError, Raw};
use crate::route::{Routes, Way};

/// Flows of a search, each with a port.
const PORTS: usize = pathspider_locate::course::FLOWS;

/// Octets of the buffer: little comes, for the filter lets no other packets in.
const BUFFER: usize = 4 << 20;

/// Searches begin some seconds after zero: their first moment is not the beginning of time.
const FIRST: Time = Time::from_secs(1);

/// A capture hands packets over later by no more than this.
const LATE: Time = Time::from_millis(200);

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
    /// Opens it: packets leave by this interface, and answers are captured there. The capture comes
    /// first, for it says best what is wrong with the interface.
    ///
    /// # Errors
    ///
    /// The interface, a privilege (`CAP_NET_RAW`) or a port is missing.
    pub(crate) fn open(uri: &str, interface: Option<&str>) -> Result<Wire, WireError> {
        let options = SourceOptions { buffer_size: BUFFER, ..SourceOptions::default() };
        let mut source = open(uri, &options)?;
        let raw = Raw::open(interface)?;
        let ports = Held::take(PORTS, PORTS, interface)?;
        let to_ours: Vec<String> =
            ports.numbers.iter().map(|port| format!("dst port {port}")).collect();
        source
            .narrow(&format!("icmp or icmp6 or ((tcp or udp) and ({}))", to_ours.join(" or ")))?;
        Ok(Wire { raw, ports, source, interface: interface.map(str::to_owned) })
    }
}

/// Searches under way.
pub(crate) struct Driver {
    wire: Wire,
    routes: Routes,
    locator: Locator,
    ways: HashMap<IpAddr, Way>,
    clock: Clock,
}

/// The time of searches.
#[derive(Clone, Copy)]
struct Clock {
    began: Instant,
    /// The same by the clock of captured packets: nanoseconds since the Unix epoch.
    began_ns: i64,
}

/// What a turn came to.
#[derive(Debug, Default)]
pub(crate) struct Turned {
    /// The searches that ended.
    pub(crate) ended: Vec<(CourseId, Location)>,
    /// The first packet that could not be sent: whom it was for, and why.
    pub(crate) unsent: Option<(IpAddr, io::Error)>,
}

impl Clock {
    fn new() -> Clock {
        let (began, now) = (Instant::now(), SystemTime::now());
        let began_ns = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as i64;
        Clock { began, began_ns }
    }

    fn now(self) -> Time {
        self.began.elapsed() + FIRST
    }

    /// When a packet came. Where somebody sets the system's clock, ours goes on.
    fn of_capture(self, time_ns: i64) -> Time {
        let now = self.now();
        let came = Time::from_nanos((time_ns - self.began_ns).max(0) as u64) + FIRST;
        came.clamp(now.saturating_sub(LATE), now)
    }
}

impl Driver {
    /// With this many packets a second at the most.
    pub(crate) fn new(wire: Wire, rate: f64) -> Driver {
        let routes = Routes::new(wire.interface.as_deref());
        let (locator, ways) = (Locator::new(rate), HashMap::new());
        Driver { wire, routes, locator, ways, clock: Clock::new() }
    }

    /// The address that packets to a target come from.
    ///
    /// # Errors
    ///
    /// There is no way to the target.
    pub(crate) fn source(&mut self, target: IpAddr) -> io::Result<IpAddr> {
        Ok(self.routes.way(target)?.source)
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
        self.locator.begin(id, subject, settings, ports, forge::random(), self.clock.now());
        Ok(())
    }

    /// Whether nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.locator.is_empty()
    }

    /// Hears what has come, waits a little where nothing has, and sends what is wanted.
    ///
    /// # Errors
    ///
    /// The capture fails.
    pub(crate) fn turn(&mut self) -> Result<Turned, SourceError> {
        let (locator, clock) = (&mut self.locator, self.clock);
        let mut replies = Polled::default();
        self.wire.source.read(&mut |frames| {
            for frame in frames {
                if let Some(packet) = frame.ip_packet() {
                    let heard = locator.heard(packet, clock.of_capture(frame.time_ns));
                    replies.send.extend(heard.send);
                }
            }
        })?;
        let polled = self.locator.poll(self.clock.now());
        replies.send.extend(polled.send);
        Ok(self.carry_out(Polled { ended: polled.ended, ..replies }))
    }

    /// Ends all searches with what they know.
    pub(crate) fn give_up(&mut self) -> Vec<(CourseId, Location)> {
        let polled = self.locator.give_up(self.clock.now());
        self.carry_out(polled).ended
    }

    fn carry_out(&self, polled: Polled) -> Turned {
        let mut unsent = None;
        for packet in polled.send {
            let Some(way) = self.ways.get(&packet.target) else { continue };
            if let Err(error) = self.wire.raw.send(&packet.octets, packet.target, *way) {
                unsent.get_or_insert((packet.target, error));
            }
        }
        Turned { ended: polled.ended, unsent }
    }
}
