//! Live capture, through libpcap's memory-mapped ring.

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use pcap::{Active, Capture, Device, Precision};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::batch::Copies;
use super::{Frame, Progress, SourceError, SourceOptions, reflected};
use crate::link::Link;

/// After how many milliseconds the kernel hands over a block that is not full.
const BLOCK_MS: i32 = 5;

/// How long one call of `read` waits for a packet, where nobody says how long.
const WAIT: Duration = Duration::from_millis(20);

/// Frames given by one call of `read` at most, so that its caller can do other things.
const AT_ONCE: usize = 1024;

/// How far behind the present a packet that we cannot see yet may be when nothing is waiting:
/// the time that a block may stay open, several times over for a machine that is busy.
pub(super) const SLACK_NS: i64 = 10 * BLOCK_MS as i64 * 1_000_000;

/// The same where the kernel has counted no packet but those that we have seen: the time from a packet's stamp until
/// it is counted.
const COUNTED_SLACK_NS: i64 = 10_000_000;

/// A live capture.
pub(super) struct Live {
    name: String,
    capture: Capture<Active>,
    link: Link,
    link_number: u32,
    copies: Copies,
    wait: Duration,
    /// Packets that were given, modulo 2³², as libpcap counts them.
    given: u32,
    dropped: (u64, u64),
    last: (u32, u32),
}

impl Live {
    pub(super) fn open(name: String, options: &SourceOptions) -> Result<Live, SourceError> {
        check_interface(&name)?;
        let mut capture = activate(&name, options).map_err(|error| explain(&name, &error))?;
        if let Some(filter) = &options.filter {
            narrow(&mut capture, filter)?;
        }
        let link_number = capture.get_datalink().0 as u32;
        let link = Link::from_number(link_number)
            .ok_or_else(|| SourceError::LinkType { path: name.clone(), number: link_number })?;
        if options.tells_reflected && options.filter.is_none() {
            let addresses = own_addresses(&name);
            reflected::cut_off(&capture, link, &addresses, options.snaplen);
        }
        Ok(Live {
            name,
            capture,
            link,
            link_number,
            copies: Copies::new(),
            wait: WAIT,
            given: 0,
            dropped: (0, 0),
            last: (0, 0),
        })
    }

    /// How long `read` waits for a packet from now on.
    pub(super) fn wait_for(&mut self, wait: Duration) {
        self.wait = wait;
    }

    pub(super) fn narrow(&mut self, filter: &str) -> Result<(), SourceError> {
        narrow(&mut self.capture, filter)
    }

    pub(super) fn link_number(&self) -> u32 {
        self.link_number
    }

    /// Takes what is in the ring; when there is nothing, waits a little.
    ///
    /// The wait is our own: libpcap's may last for ever when no packet comes. It must not begin
    /// before libpcap says that nothing is left, because a block that it has begun to read does
    /// not wake `poll` again.
    pub(super) fn read(
        &mut self,
        on_frames: &mut impl FnMut(&[Frame<'_>]),
    ) -> Result<Progress, SourceError> {
        let (link, copies) = ((self.link, self.link_number), &mut self.copies);
        let dispatched = self.capture.dispatch(Some(AT_ONCE), |packet| {
            if copies.is_full(packet.data) {
                copies.give(link, on_frames);
            }
            let header = packet.header;
            // With nanosecond precision, the field for microseconds holds nanoseconds.
            let time_ns = header.ts.tv_sec * 1_000_000_000 + header.ts.tv_usec;
            copies.push(time_ns, packet.data, header.len.max(header.caplen));
        });
        self.copies.give(link, on_frames);
        let count = dispatched.map_err(|error| explain(&self.name, &error))?;
        if count > 0 {
            self.given = self.given.wrapping_add(count as u32);
            return Ok(Progress::More);
        }
        let fd = self.capture.as_fd();
        // Without an end, it would wait for ever.
        let end = Timespec::try_from(self.wait).unwrap_or_default();
        let ready = poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&end));
        Ok(match ready {
            Ok(n) if n > 0 => Progress::More,
            // An interrupted wait is a short one.
            _ => Progress::Idle,
        })
    }

    /// How far behind the present a packet may be that was not given yet, where the last call of `read` found
    /// nothing.
    ///
    /// The present is to be taken before. Where libpcap counts differently from what it gives, as on the loopback
    /// interface, it is the longer time.
    pub(super) fn behind_ns(&mut self) -> i64 {
        let is_all = self.capture.stats().is_ok_and(|stats| {
            // What was dropped was received, too.
            stats.received.wrapping_sub(stats.dropped) == self.given
        });
        if is_all { COUNTED_SLACK_NS } else { SLACK_NS }
    }

    /// libpcap counts in 32 bits; the sums here do not wrap.
    pub(super) fn dropped(&mut self) -> (u64, u64) {
        if let Ok(stats) = self.capture.stats() {
            let (kernel, interface) = self.last;
            self.dropped.0 += u64::from(stats.dropped.wrapping_sub(kernel));
            self.dropped.1 += u64::from(stats.if_dropped.wrapping_sub(interface));
            self.last = (stats.dropped, stats.if_dropped);
        }
        self.dropped
    }
}

/// Whether there is an interface of that name. It does not need any privilege.
pub(super) fn exists(name: &str) -> bool {
    devices().iter().any(|device| device.name == name)
}

fn devices() -> Vec<Device> {
    Device::list().unwrap_or_default()
}

/// The source addresses of packets that leave by an interface: its own first, then the machine's others,
/// for a route may choose one of these. None for the loopback interface, where all packets come in.
fn own_addresses(name: &str) -> Vec<IpAddr> {
    let devices = devices();
    let Some(device) = devices.iter().find(|device| device.name == name) else {
        return Vec::new();
    };
    if device.flags.is_loopback() {
        return Vec::new();
    }
    let others = devices.iter().filter(|other| other.name != name);
    let addresses = std::iter::once(device).chain(others).flat_map(|device| &device.addresses);
    addresses.map(|address| address.addr).filter(|address| !address.is_loopback()).collect()
}

/// Finds out whether packets can leave by an interface: it is there, and up.
///
/// # Errors
///
/// It is not there, or down.
pub fn check_interface(name: &str) -> Result<(), SourceError> {
    let devices = devices();
    match devices.iter().find(|device| device.name == name) {
        Some(device) if device.flags.is_up() => Ok(()),
        Some(_) => Err(SourceError::InterfaceDown { name: name.into() }),
        None => Err(SourceError::NoInterface {
            name: name.into(),
            available: devices
                .into_iter()
                .filter(|device| device.flags.is_up())
                .map(|device| device.name)
                .collect(),
        }),
    }
}

fn activate(name: &str, options: &SourceOptions) -> Result<Capture<Active>, pcap::Error> {
    let clamp = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    Capture::from_device(name)?
        .promisc(options.promiscuous)
        .snaplen(clamp(options.snaplen as usize))
        .buffer_size(clamp(options.buffer_size))
        .timeout(BLOCK_MS)
        .precision(Precision::Nano)
        .open()?
        .setnonblock()
}

fn narrow(capture: &mut Capture<Active>, filter: &str) -> Result<(), SourceError> {
    let explain = |error: pcap::Error| SourceError::Filter {
        filter: filter.into(),
        reason: error.to_string(),
    };
    capture.filter(filter, true).map_err(explain)
}

/// libpcap gives no codes here, only texts.
fn explain(name: &str, error: &pcap::Error) -> SourceError {
    let reason = match error {
        pcap::Error::PcapError(text) => text.clone(),
        other => other.to_string(),
    };
    let lower = reason.to_lowercase();
    if ["not permitted", "permission", "cap_net_raw"].iter().any(|words| lower.contains(words)) {
        return SourceError::NoPrivilege { name: name.into() };
    }
    SourceError::Capture { name: name.into(), reason }
}
