//! The second state of a run: what it writes is its own, and as it was.

use std::rc::Rc;
use std::sync::Arc;

use super::RunError;
use super::asked::{Asked, Attention, Basis};
use super::checks::raise_descriptors;
use super::keeping::LockedOutputs;
use crate::engine::Dialer;
use crate::job::JobReader;
use crate::progress::Prepared;
use crate::route::Routes;

/// The outputs are locked and unchanged, and what connections need of this process is there.
pub(super) struct Locked<'a> {
    pub(super) ready: Ready<'a>,
    pub(super) attention: Attention,
}

/// What is made ready before there are threads.
pub(super) struct Ready<'a> {
    pub(super) basis: Basis<'a>,
    pub(super) reader: JobReader,
    pub(super) outputs: LockedOutputs,
    pub(super) showing: Prepared,
    /// The ways that packets leave by.
    pub(super) routes: Rc<Routes>,
    pub(super) dialer: Dialer,
    /// How many jobs may have a second connection at a time.
    pub(super) beside: usize,
}

impl<'a> Asked<'a> {
    /// Locks the outputs: before the run waits for another one, which is not to change them.
    pub(super) fn lock(self) -> Result<Locked<'a>, RunError> {
        let Asked { basis, attention, reader } = self;
        let (options, plan) = (&basis.options, &basis.plan);
        let is_asked = || attention.is_asked();
        let outputs = LockedOutputs::lock(options, plan, &is_asked)?;
        let showing = options.showing.prepare(options.keep.existing, &is_asked)?;
        let forges = options.measurement.info.forges;
        let beside = raise_descriptors(options.workers, plan.configurations.len(), forges)?;
        let interface = options.interface.clone();
        let routes = Rc::new(Routes::new(interface.as_deref()));
        let courtesy = Arc::clone(&options.rules.courtesy);
        let dialer = Dialer::new(interface, Rc::clone(&routes), courtesy, &options.requests)
            .map_err(|error| RunError::System(format!("cannot set TLS up: {error}")))?;
        let ready = Ready { basis, reader, outputs, showing, routes, dialer, beside };
        Ok(Locked { ready, attention })
    }
}
