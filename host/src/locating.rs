//! Finds where on the path the packets of a job's connections were harmed, once the job is concluded.
//!
//! A stage of its own, on a thread of its own, beside the run: the merger gives it what is to be sent,
//! and writes the record when it has answered. What is sent and what follows from answers is decided in
//! `pathspider_locate`; here are sockets, the capture of answers, and the clock.

mod condition;
mod of_plugin;
mod read;
mod record;
mod stage;
mod wanted;
mod wire;

use std::time::Duration;

use pathspider_locate::Settings;

pub use condition::declared;
pub(crate) use condition::{aspects_of, conditions};
pub(crate) use of_plugin::of_plugin;
pub(crate) use read::{Told, told};
pub(crate) use record::{hops, record};
pub(crate) use stage::{Ask, Found, Stage};
pub(crate) use wanted::{Wanted, experiments, is_of_baseline, wanted};
pub use wire::WireError;
pub(crate) use wire::{Driver, Turned, Wire};

/// Of which targets the path is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum When {
    /// Those whose connectivity is impaired.
    Broken,
    /// Those with any condition that is impaired.
    Changed,
    /// All.
    Always,
}

impl When {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            When::Broken => "broken",
            When::Changed => "changed",
            When::Always => "always",
        }
    }
}

/// What is asked of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Locating {
    /// Of which targets.
    pub when: When,
    /// Of this many at the most.
    pub most: u64,
    /// Packets a second at the most.
    pub rate: f64,
    /// How a search goes.
    pub settings: Settings,
}

/// How often the stage looks whether there is something to do.
const LOOK: Duration = Duration::from_millis(20);
