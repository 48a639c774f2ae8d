//! Where packets come from: a live interface or a recorded capture, behind one type.
//!
//! A URI names the source as libtrace does: `int:eth0`, `ring:eth0`, `pcapint:eth0` or a bare
//! interface name are live; `pcapfile:x.pcap`, a bare path and `-` (standard input) are recorded.

mod batch;
mod error;
mod filter;
mod live;
mod recorded;
mod reflected;
mod uri;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use self::batch::BATCH;
pub use self::error::SourceError;
use self::live::Live;
pub use self::live::check_interface;
use self::recorded::Recorded;
pub(crate) use self::reflected::sent_back;
use self::uri::Uri;
pub use self::uri::is_recorded;
use super::link::Link;
use super::nanoseconds;

/// How a source is opened. All settings but `filter` are for live sources only.
#[derive(Debug, Clone)]
pub struct SourceOptions {
    /// Octets of the kernel's buffer for packets that we have not yet looked at.
    pub buffer_size: usize,
    /// Octets captured of each packet. Less than the headers makes packets useless.
    pub snaplen: u32,
    /// Only packets that this filter matches, in the language of `pcap-filter(7)`.
    pub filter: Option<String>,
    /// Whether the interface is to receive packets for other machines too.
    pub promiscuous: bool,
    /// Whether packets that come in from the interface's own addresses are marked, by cutting them
    /// short, to distinguish them from packets that leave. No other filter may be set then.
    pub tells_reflected: bool,
}

impl Default for SourceOptions {
    fn default() -> SourceOptions {
        SourceOptions {
            buffer_size: 32 << 20,
            snaplen: 65_535,
            filter: None,
            promiscuous: false,
            tells_reflected: false,
        }
    }
}

/// One captured frame, valid until the next ones.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// Capture time, nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// The link layer that `bytes` begins with.
    pub link: Link,
    /// The LINKTYPE number of the link layer.
    pub link_number: u32,
    /// Which of the capture's interfaces it passed: each may have a clock of its own.
    pub interface: u32,
    /// What was captured.
    pub bytes: &'a [u8],
    /// Octets on the wire, never fewer than were captured.
    pub wire_length: u32,
}

impl Frame<'_> {
    /// The IP packet in it, as far as it was captured; `None` where there is none that can be read.
    pub fn ip_packet(&self) -> Option<&[u8]> {
        self.link.ip_packet(self.bytes).ok().flatten()
    }
}

/// What a call of [`Source::read`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// There may be more at once.
    More,
    /// A live source: nothing is waiting, after a short time of waiting for it.
    Idle,
    /// The end of a recorded source.
    End,
}

/// An open source.
pub struct Source {
    kind: Kind,
    stop: Arc<AtomicBool>,
}

// A source lives as long as the run: the size of either kind does not matter.
#[allow(clippy::large_enum_variant)]
enum Kind {
    Live(Live),
    Recorded(Recorded),
}

/// Ends the reading of a source from elsewhere, such as a signal's handler.
#[derive(Debug, Clone)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Has the source end within about a tenth of a second, as if there were nothing more.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Opens a source. A live one captures by the time this returns.
///
/// # Errors
///
/// Why it cannot be opened; see [`SourceError`].
pub fn open(uri: &str, options: &SourceOptions) -> Result<Source, SourceError> {
    let stop = Arc::new(AtomicBool::new(false));
    let kind = match Uri::parse(uri)? {
        Uri::Live(name) => Kind::Live(Live::open(name, options)?),
        Uri::File(path) => Kind::Recorded(Recorded::file(path, options, stop.clone())?),
        Uri::StandardInput => Kind::Recorded(Recorded::standard_input(options, stop.clone())?),
    };
    Ok(Source { kind, stop })
}

impl Source {
    /// A recorded capture from any reader; `name` is how errors call it.
    ///
    /// # Errors
    ///
    /// What it gives is no capture, or one that cannot be read.
    pub fn from_reader(
        reader: impl std::io::Read + Send + 'static,
        name: &str,
        options: &SourceOptions,
    ) -> Result<Source, SourceError> {
        Ok(Source {
            kind: Kind::Recorded(Recorded::new(Box::new(reader), name, options)?),
            stop: Arc::default(),
        })
    }

    /// Whether packets are captured as they pass.
    pub fn is_live(&self) -> bool {
        matches!(self.kind, Kind::Live(_))
    }

    /// Has a live source give only packets that this filter matches, from now on. A recorded one has its
    /// filter when it is opened.
    ///
    /// # Errors
    ///
    /// The filter is not understood.
    pub fn narrow(&mut self, filter: &str) -> Result<(), SourceError> {
        match &mut self.kind {
            Kind::Live(live) => live.narrow(filter),
            Kind::Recorded(_) => Ok(()),
        }
    }

    /// The number of the link type that all its frames have, where that is known before they come.
    pub fn link_number(&self) -> Option<u32> {
        match &self.kind {
            Kind::Live(live) => Some(live.link_number()),
            Kind::Recorded(_) => None,
        }
    }

    /// What ends the source from elsewhere.
    pub fn stopper(&self) -> Stop {
        Stop(self.stop.clone())
    }

    /// Gives some frames, in the order of the capture, at most [`BATCH`] at a time.
    ///
    /// # Errors
    ///
    /// The capture fails, or the file is damaged. What was given before it counts.
    pub fn read(
        &mut self,
        on_frames: &mut impl FnMut(&[Frame<'_>]),
    ) -> Result<Progress, SourceError> {
        if self.stop.load(Ordering::Relaxed) {
            return Ok(Progress::End);
        }
        match &mut self.kind {
            Kind::Live(live) => live.read(on_frames),
            Kind::Recorded(recorded) => recorded.read(on_frames),
        }
    }

    /// The time until which all packets were given, where the last call of `read` found none: a little before the
    /// present, on the clock that the kernel stamps packets with.
    pub(crate) fn given_until_ns(&mut self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let present_ns = since.map_or(0, nanoseconds);
        let behind_ns = match &mut self.kind {
            Kind::Live(live) => live.behind_ns(),
            Kind::Recorded(_) => live::SLACK_NS,
        };
        present_ns.saturating_sub(behind_ns)
    }

    /// How long the next calls of `read` wait for a packet, if the source is live.
    pub(crate) fn wait_for(&mut self, wait: Duration) {
        if let Kind::Live(live) = &mut self.kind {
            live.wait_for(wait);
        }
    }

    /// Packets that were dropped so far: by the kernel, and by the interface.
    pub fn dropped(&mut self) -> (u64, u64) {
        match &mut self.kind {
            Kind::Live(live) => live.dropped(),
            Kind::Recorded(_) => (0, 0),
        }
    }
}
