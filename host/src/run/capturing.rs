//! The fifth and sixth state of a run: packets are captured, at first with the privileges that
//! opening took, then without them.

use std::rc::Rc;
use std::sync::Arc;

use super::asked::Basis;
use super::guarded::Listening;
use super::{RunError, RunOptions};
use crate::engine::Forger;
use crate::locating::{Wire, WireError};
use crate::route::Routes;
use pathspider_observer::{Elsewhere, Source};
use pathspider_runtime::privileges;

/// Whatever takes privileges to open is open (step 3).
pub(super) struct Capturing<'a> {
    listening: Listening<'a>,
    source: Option<Source>,
    forger: Option<Forger>,
    wire: Option<Wire>,
    elsewhere: Option<Elsewhere>,
}

impl<'a> Listening<'a> {
    /// Opens the observer's source, and what forged packets are sent with. From here on, packets
    /// are captured.
    pub(super) fn capture(self) -> Result<Capturing<'a>, RunError> {
        let Basis { options, plan, chains, .. } = &self.ready.basis;
        let forges = options.measurement.info.forges;
        // Where nobody looks at packets, none is captured, and no privilege is needed. Of answers to
        // forged ones, only the capture tells.
        let source = if chains.is_empty() && options.save_pcap.is_none() && !forges {
            None
        } else {
            let uri = options.source.as_ref().ok_or(RunError::NoInterface)?;
            Some(pathspider_observer::open(uri, &options.capture)?)
        };
        let routes = Rc::clone(&self.ready.routes);
        let forger =
            forges.then(|| open_forger(options, plan.configurations.len(), routes)).transpose()?;
        let wire = options.locating.map(|_| open_wire(options)).transpose()?;
        let interface = options.interface.as_deref().filter(|_| source.is_some());
        let elsewhere = interface.map(|name| Elsewhere::open(name, plan.default_port));
        Ok(Capturing { listening: self, source, forger, wire, elsewhere })
    }
}

fn open_wire(options: &RunOptions<'_>) -> Result<Wire, RunError> {
    let uri = options.source.as_ref().ok_or(RunError::NoInterface)?;
    Wire::open(uri, options.interface.as_deref()).map_err(|error| match error {
        WireError::Source(error) => RunError::Source(error),
        other => RunError::System(format!("cannot open what --locate needs: {other}")),
    })
}

fn open_forger(
    options: &RunOptions<'_>,
    configurations: usize,
    routes: Rc<Routes>,
) -> Result<Forger, RunError> {
    let courtesy = Arc::clone(&options.rules.courtesy);
    let interface = options.interface.as_deref();
    Forger::open(interface, configurations, routes, courtesy).map_err(|error| {
        RunError::System(format!("cannot open what forged packets are sent with: {error}"))
    })
}

/// The privileges that opening took are given up.
pub(super) struct Reduced<'a> {
    pub(super) listening: Listening<'a>,
    pub(super) source: Option<Source>,
    pub(super) forger: Option<Forger>,
    /// What paths are searched with.
    pub(super) wire: Option<Wire>,
    /// Where answers should not come in.
    pub(super) elsewhere: Option<Elsewhere>,
}

impl<'a> Capturing<'a> {
    /// Gives up what a run needs no more once it captures.
    pub(super) fn reduce(self) -> Reduced<'a> {
        let Capturing { listening, source, forger, wire, elsewhere } = self;
        privileges::reduce(listening.ready.basis.options.measurement.info.changes_system);
        Reduced { listening, source, forger, wire, elsewhere }
    }
}
