//! How a connection ended, as the engine leaves it. Whoever takes it puts it into the words of records:
//! addresses and times take long to write, and the engine has other things to do.

use std::net::SocketAddr;
use std::time::SystemTime;

use pathspider_plugin_api::Outcome;

/// The engine's account of a connection.
#[derive(Debug, Clone)]
pub struct Account {
    outcome: Outcome,
    flow: Option<Ends>,
    started: SystemTime,
    stopped: SystemTime,
}

/// Keys that are added to an outcome on its way to `combine`: those of the flow, of the times, and the stamp.
const KEYS: usize = 11;

/// Which flow it was.
#[derive(Debug, Clone, Copy)]
struct Ends {
    protocol: u8,
    /// `None` where the plugin connected by itself and does not say it.
    local: Option<SocketAddr>,
    remote: SocketAddr,
}

impl Account {
    /// Of a connection that ends now.
    pub(crate) fn new(outcome: Outcome, started: SystemTime) -> Account {
        Account { outcome, flow: None, started, stopped: SystemTime::now() }
    }

    /// The same of a connection on this flow.
    pub(super) fn on(self, protocol: u8, local: Option<SocketAddr>, remote: SocketAddr) -> Account {
        Account { flow: Some(Ends { protocol, local, remote }), ..self }
    }

    /// What came of it, without what every connection has.
    pub(super) fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// What came of it, with the keys that tell which flow it was, and when.
    pub fn into_outcome(self) -> Outcome {
        let Account { outcome, flow, started, stopped } = self;
        let mut outcome = outcome.with_room(KEYS);
        if let Some(Ends { protocol, local, remote }) = flow {
            if let Some(local) = local {
                outcome = outcome.with("sip", local.ip()).with("sp", local.port());
                outcome = outcome.with("proto", protocol);
            }
            outcome = outcome.with("dip", remote.ip()).with("dp", remote.port());
        }
        let text = |time| humantime::format_rfc3339_micros(time).to_string();
        outcome.with("spdr_start", text(started)).with("spdr_stop", text(stopped))
    }
}
