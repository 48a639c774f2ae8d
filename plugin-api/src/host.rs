//! What the host offers to a plugin for the length of the run.

use crate::abi::services::Services;

/// How much a message matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// For whoever debugs the plugin.
    Debug = 0,
    /// Worth knowing.
    Info = 1,
    /// Something is wrong and the run goes on.
    Warning = 2,
}

/// The host, as a plugin keeps it: copyable, and callable from any thread.
#[derive(Clone, Copy)]
pub struct Host {
    services: Services,
}

impl Host {
    pub(crate) fn from_services(services: Services) -> Host {
        Host { services }
    }

    /// This process as host: messages go where [`set_log`](crate::abi::set_log) said, else to
    /// standard error. For hosts, and for tests of plugins.
    pub fn standalone() -> Host {
        Host { services: Services::own() }
    }

    /// Writes a message to the host's log, on standard error. Plugins never write to standard
    /// output: it carries records.
    pub fn log(&self, level: Level, message: &str) {
        self.services.log(level, message);
    }
}
