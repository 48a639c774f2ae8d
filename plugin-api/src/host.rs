//! What the host offers to a plugin for the length of the run.

use crate::abi::services::Services;

crate::variants! {
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

    /// Whom to ask about the run's connections, an address or a URL: what `--contact` says, else the
    /// program's own page. Where a protocol has a place for it, say it there.
    pub fn contact(&self) -> &'static str {
        self.services.contact()
    }

    /// The `User-Agent` of HTTP requests: the program's name and version, and
    /// [`contact`](Host::contact). [`HttpRequest`](crate::forge::HttpRequest) has it.
    pub fn user_agent(&self) -> &'static str {
        self.services.user_agent()
    }

    /// Writes a message to the host's log, on standard error. Plugins never write to standard
    /// output: it carries records.
    pub fn log(&self, level: Level, message: &str) {
        self.services.log(level, message);
    }
}
