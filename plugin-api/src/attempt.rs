//! One connection that a measurement is asked for.

use std::any::Any;

use crate::abi::lent::LentAttempt;
use crate::configuration::ConfigId;
use crate::flows::Flow;
use crate::job::Job;

/// A connection that is to be made, or was: the job, the configuration and the round.
///
/// It is lent for the length of one call. What it refers to lives as long as the job.
#[derive(Clone, Copy)]
pub struct Attempt<'a>(&'a LentAttempt<'a>);

impl<'a> Attempt<'a> {
    pub(crate) fn new(lent: &'a LentAttempt<'a>) -> Attempt<'a> {
        Attempt(lent)
    }

    /// The target, with all that its input line says.
    pub fn job(&self) -> &'a Job {
        self.0.job
    }

    /// The configuration's place.
    pub fn config(&self) -> ConfigId {
        ConfigId::new(self.0.config as usize)
    }

    /// Whether it is the attempt of this configuration.
    pub fn is(&self, config: impl Into<ConfigId>) -> bool {
        self.config() == config.into()
    }

    /// The round, from 0: how often the target was measured before, in this run.
    pub fn round(&self) -> u32 {
        self.0.round
    }

    /// What [`pre_connect`](crate::Measurement::pre_connect) prepared for the job, if it is of this
    /// type.
    pub fn prepared<T: Any>(&self) -> Option<&'a T> {
        self.0.prepared()?.get()
    }

    /// In [`connect`](crate::Measurement::connect): what came of the connection of an earlier
    /// configuration, of the same job and round, as the observer answered it. [`Flow::outcome`] has
    /// the keys of its outcome, before `post_connect`. A connection that failed or was skipped is there
    /// too: see [`Flow::connected`] and [`Flow::seen`].
    ///
    /// `None` where there was no such connection yet: connections are made in the order of their
    /// configurations. To ask in another function, or without [`Info::depends`](crate::Info::depends),
    /// is a broken contract, which the host reports whatever the function gives then.
    pub fn earlier(&self, config: impl Into<ConfigId>) -> Option<Flow<'a>> {
        self.0.earlier(config.into().number()).map(Flow::new)
    }

    /// Says that the host can do by itself what the function does, and so need not call it again in
    /// this run. Defaults call it.
    #[doc(hidden)]
    pub fn leave_to_host(&self) {
        self.0.leave_to_host();
    }
}
