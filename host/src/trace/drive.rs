//! Drives the searches of a trace, and waits between two traces.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use pathspider_locate::{Finding, Location, Settings, Shape, Subject};
use pathspider_observer::SourceError;
use pathspider_runtime::stop::Stop;

use super::features::{Feature, syn};
use super::table::{Course, Mark, Traced};
use crate::locating::{Driver, Turned, Wire, WireError};

/// Packets a second at the most.
const RATE: f64 = 100.0;

/// What a trace sends and hears with.
pub(crate) struct Tracer {
    driver: Driver,
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

impl From<WireError> for TraceError {
    fn from(error: WireError) -> TraceError {
        match error {
            WireError::Source(error) => TraceError::Source(error),
            other => TraceError::Open(other.to_string()),
        }
    }
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
        let wire = Wire::open(source, interface)?;
        Ok(Tracer { driver: Driver::new(wire, RATE), most_hops })
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
        let source = self.driver.source(target.ip());
        let source = source.map_err(|error| TraceError::Unreachable(target.ip(), error))?;
        let mut traced = Traced::new(target, features);
        let mut sets = vec![features.to_vec()];
        while let Some(set) = (!sets.is_empty()).then(|| sets.remove(0)) {
            let (course, is_whole) = self.course(target, source, &set, stop, look)?;
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
        source: IpAddr,
        features: &[Feature],
        stop: &Stop,
        look: &mut dyn FnMut(),
    ) -> Result<(Course, bool), TraceError> {
        let making = |error| TraceError::Making(target.ip(), error);
        let mut subject = Subject {
            plain: Some(syn(&[], source, target).map_err(making)?),
            marked: syn(features, source, target).map_err(making)?,
            handshake: None,
            distance: None,
            arrives: false,
            is_impaired: false,
        };
        let (mut location, mut is_whole) = self.search(subject.clone(), stop, look)?;
        let (mut sent, mut at_target, mut took) =
            (location.sent, location.at_target, location.took);
        let arrives = location.findings.contains(&Finding::NotReproduced);
        if arrives && is_whole {
            subject.arrives = true;
            (location, is_whole) = self.search(subject, stop, look)?;
            sent += location.sent;
            at_target += location.at_target;
            took += location.took;
        }
        (location.sent, location.at_target, location.took) = (sent, at_target, took);
        let marks = features.iter().copied().map(Mark::Feature).collect();
        Ok((Course { marks, arrives, location }, is_whole))
    }

    /// Drives a search to its end, or until it is told to stop.
    fn search(
        &mut self,
        subject: Subject,
        stop: &Stop,
        look: &mut dyn FnMut(),
    ) -> Result<(Location, bool), TraceError> {
        let target = subject.marked.remote().ip();
        let settings =
            Settings { shape: Shape::Every, most_hops: self.most_hops, ..Settings::default() };
        let begun = self.driver.begin(0, subject, settings);
        begun.map_err(|error| TraceError::Unreachable(target, error))?;
        loop {
            look();
            let is_whole = !stop.is_asked();
            let turned = if is_whole {
                self.driver.turn()?
            } else {
                Turned { ended: self.driver.give_up(), unsent: None }
            };
            if let Some((target, error)) = turned.unsent {
                self.driver.give_up();
                return Err(TraceError::Sending(target, error));
            }
            if let Some((_, location)) = turned.ended.into_iter().next() {
                return Ok((location, is_whole));
            }
        }
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
