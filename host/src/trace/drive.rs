//! Who drives the search: the capture, the raw sockets and the ports of a trace, and its clock.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pathspider_locate::course::FLOWS;
use pathspider_locate::{Finding, Locator, Polled, Settings, Shape, Subject};
use pathspider_observer::{Source, SourceError, SourceOptions};
use pathspider_plugin_api::forge::random;
use pathspider_plugin_api::packet::protocol;
use pathspider_runtime::stop::Stop;

use super::features::{Feature, syn};
use super::table::{Course, Traced};
use crate::engine::{Ports, Raw};
use crate::route::{Routes, Way};

/// Packets a second at the most.
const RATE: f64 = 100.0;

/// What a trace sends and hears with.
pub(crate) struct Tracer {
    routes: Routes,
    raw: Raw,
    ports: Ports,
    source: Source,
    began: Instant,
    /// The same by the clock of captured packets: nanoseconds since the Unix epoch.
    began_ns: i64,
    most_hops: u8,
}

/// Why a target is not traced, or not to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TraceError {
    /// The capture cannot be opened, or ends.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The system refuses sockets, or has no free ports.
    #[error("cannot open what packets are sent with: {0}")]
    Open(String),
    /// There is no way to the target.
    #[error("{0}: no route leads there: {1}")]
    Unreachable(IpAddr, io::Error),
    /// Packets cannot be sent.
    #[error("{0}: its packets cannot be sent: {1}")]
    Sending(IpAddr, io::Error),
    /// They cannot even be made.
    #[error("{0}: {1}")]
    Making(IpAddr, pathspider_plugin_api::Error),
}

/// How the trace of a target ended.
pub(crate) enum Ended {
    /// All that was asked for is known.
    Whole(Traced),
    /// It was told to stop before.
    Stopped(Traced),
}

impl Tracer {
    /// Opens what it takes, on this interface.
    ///
    /// # Errors
    ///
    /// A privilege is missing (`CAP_NET_RAW`), or the interface.
    pub(crate) fn open(
        source: &str,
        interface: Option<&str>,
        most_hops: u8,
    ) -> Result<Tracer, TraceError> {
        let options =
            SourceOptions { snaplen: 2048, buffer_size: 4 << 20, ..SourceOptions::default() };
        let source = pathspider_observer::open(source, &options)?;
        let fail = |error: &dyn std::fmt::Display| TraceError::Open(error.to_string());
        let raw = Raw::open(interface).map_err(|error| fail(&error))?;
        let ports = Ports::reserve(1, interface).map_err(|error| fail(&error))?;
        let routes = Routes::new(interface);
        let (began, now) = (Instant::now(), SystemTime::now());
        let began_ns = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as i64;
        Ok(Tracer { routes, raw, ports, source, began, began_ns, most_hops })
    }

    /// Traces one target: all features in one packet, and each in a packet of its own where that does
    /// not arrive, for then nothing shows which of them is the cause.
    ///
    /// # Errors
    ///
    /// There is no way to it, or the capture ends.
    pub(crate) fn trace(
        &mut self,
        target: SocketAddr,
        features: &[Feature],
        stop: &Stop,
        look: &mut dyn FnMut(),
    ) -> Result<Ended, TraceError> {
        let way = self.routes.way(target.ip());
        let way = way.map_err(|error| TraceError::Unreachable(target.ip(), error))?;
        let mut traced = Traced::new(target, features.to_vec());
        let mut sets = vec![features.to_vec()];
        while let Some(set) = (!sets.is_empty()).then(|| sets.remove(0)) {
            let (course, is_whole) = self.course(target, way, &set, stop, look)?;
            let arrives = course.arrives;
            if set.len() > 1 && !arrives && course.is_answered() {
                sets.extend(set.iter().map(|feature| vec![*feature]));
            }
            traced.courses.push(course);
            if !is_whole {
                return Ok(Ended::Stopped(traced));
            }
        }
        Ok(Ended::Whole(traced))
    }

    /// One search. What arrives is known first, for a search wants to know it.
    fn course(
        &mut self,
        target: SocketAddr,
        way: Way,
        features: &[Feature],
        stop: &Stop,
        look: &mut dyn FnMut(),
    ) -> Result<(Course, bool), TraceError> {
        let making = |error| TraceError::Making(target.ip(), error);
        let mut subject = Subject {
            plain: Some(syn(&[], way.source, target).map_err(making)?),
            marked: syn(features, way.source, target).map_err(making)?,
            handshake: None,
            distance: None,
            arrives: false,
            is_impaired: false,
        };
        let (mut location, mut is_whole) = self.search(subject.clone(), way, stop, look)?;
        let (mut sent, mut at_target, mut took) =
            (location.sent, location.at_target, location.took);
        let arrives = location.findings.contains(&Finding::NotReproduced);
        if arrives && is_whole {
            subject.arrives = true;
            (location, is_whole) = self.search(subject, way, stop, look)?;
            sent += location.sent;
            at_target += location.at_target;
            took += location.took;
        }
        (location.sent, location.at_target, location.took) = (sent, at_target, took);
        Ok((Course { features: features.to_vec(), arrives, location }, is_whole))
    }

    /// Drives a search to its end, or until it is told to stop.
    fn search(
        &mut self,
        subject: Subject,
        way: Way,
        stop: &Stop,
        look: &mut dyn FnMut(),
    ) -> Result<(pathspider_locate::Location, bool), TraceError> {
        let target = subject.marked.remote();
        let settings =
            Settings { shape: Shape::Every, most_hops: self.most_hops, ..Settings::default() };
        let mut pairs = Vec::new();
        while pairs.len() < FLOWS {
            let none = || TraceError::Open("no local ports are free".to_owned());
            pairs.push(self.ports.take(protocol::TCP, target, 0).ok_or_else(none)?);
        }
        let mut ports = [0; FLOWS];
        ports.iter_mut().zip(&pairs).for_each(|(port, pair)| *port = pair.port);
        let mut locator = Locator::new(RATE);
        locator.begin(0, subject, settings, ports, random(), self.began.elapsed());
        let mut is_whole = true;
        let mut ended = None;
        while ended.is_none() {
            look();
            let now = self.began.elapsed();
            let polled = match stop.is_asked() {
                true => {
                    is_whole = false;
                    locator.give_up(now)
                }
                false => locator.poll(now),
            };
            ended = self.carry_out(polled, way)?.or(ended);
            self.hear(&mut locator, way)?;
        }
        let now = Instant::now();
        pairs.into_iter().for_each(|pair| self.ports.release(pair, now));
        match ended {
            Some(location) => Ok((location, is_whole)),
            None => Err(TraceError::Open("the search did not end".to_owned())),
        }
    }

    /// Takes what came in, and answers where that is asked for. It waits a few milliseconds for it.
    fn hear(&mut self, locator: &mut Locator, way: Way) -> Result<(), TraceError> {
        /// A capture hands packets over later by no more than this.
        const LATE: Duration = Duration::from_millis(200);
        let (began_ns, began) = (self.began_ns, self.began);
        let mut polled = Vec::new();
        self.source.read(&mut |frames| {
            for frame in frames {
                let now = began.elapsed();
                // Where somebody sets the system's clock, ours goes on.
                let captured = Duration::from_nanos((frame.time_ns - began_ns).max(0) as u64);
                let came = captured.clamp(now.saturating_sub(LATE), now);
                polled.extend(frame.ip_packet().map(|packet| locator.heard(packet, came)));
            }
        })?;
        for polled in polled {
            self.carry_out(polled, way)?;
        }
        Ok(())
    }

    /// Sends what is to be sent; gives what was found by a search that is over.
    fn carry_out(
        &self,
        polled: Polled,
        way: Way,
    ) -> Result<Option<pathspider_locate::Location>, TraceError> {
        for send in polled.send {
            let sent = self.raw.send(&send.octets, send.target, way);
            sent.map_err(|error| TraceError::Sending(send.target, error))?;
        }
        Ok(polled.ended.into_iter().next().map(|(_, location)| location))
    }

    /// Waits, and looks meanwhile whether it is told to stop.
    pub(crate) fn rest(&mut self, time: Duration, stop: &Stop, look: &mut dyn FnMut()) {
        /// Between two looks.
        const LOOK: Duration = Duration::from_millis(50);
        let until = Instant::now() + time;
        while Instant::now() < until && !stop.is_asked() {
            std::thread::sleep(LOOK);
            look();
        }
    }
}
