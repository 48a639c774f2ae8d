//! How a connection ended.

use crate::Record;
use crate::carriage;

/// A connection's final state (`spdr_state`), with PATHspider's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It did what it was meant to: the handshake completed, the response came.
    Ok,
    /// It failed: refused, reset, unreachable, a bad response.
    Failed,
    /// Nothing conclusive came before the time-out.
    Timeout,
    /// The plugin chose not to make it.
    Skipped,
    /// It cannot be used, and its job yields no record.
    Discard,
}

impl State {
    /// The number in records.
    pub fn number(self) -> u8 {
        match self {
            State::Ok => 0,
            State::Failed => 1,
            State::Timeout => 2,
            State::Skipped => 3,
            State::Discard => 4,
        }
    }

    /// The state of that number.
    pub fn from_number(number: u64) -> Option<State> {
        use State::{Discard, Failed, Ok, Skipped, Timeout};
        [Ok, Failed, Timeout, Skipped, Discard]
            .into_iter()
            .find(|s| u64::from(s.number()) == number)
    }
}

/// The key of an outcome by which a plugin says that this machine cannot make the connection.
const NOT_SUPPORTED: &str = "spdr_not_supported";

/// The host's words for the reason where the kernel refuses what is asked for, or has not got the
/// target's version of IP.
const REFUSED: [&str; 2] = ["not_supported", "no_address_family"];

/// The keys that the host writes into an outcome, beside the state (`docs/records.md`).
pub const OUTCOME_KEYS: [&str; 18] = [
    "sip",
    "sp",
    "dip",
    "dp",
    "proto",
    "spdr_start",
    "spdr_stop",
    "spdr_error",
    "spdr_phase",
    "spdr_icmp",
    carriage::KIND,
    carriage::CARRIED,
    "http_response_code",
    "http_response_header",
    "http_response_body",
    "http_info",
    "tls_info",
    "dns_info",
];

/// A connection's end, as the host hands it to `post_connect`, or as a plugin that connects by
/// itself reports it.
///
/// Beside the state it carries the keys of the connection's record: `sip`, `sp`, `dip`, `dp`,
/// `spdr_start`, `spdr_stop`, `spdr_error` (the reason of a failure, in fixed words), and what
/// the kind of connection adds, such as `http_response_code`. `docs/records.md` has them all.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub(crate) state: State,
    pub(crate) record: Record,
}

impl Outcome {
    /// An outcome without further keys.
    pub fn new(state: State) -> Outcome {
        Outcome { state, record: Record::new() }
    }

    /// An outcome with the keys that the host found.
    pub fn with_record(state: State, record: Record) -> Outcome {
        Outcome { state, record }
    }

    /// This machine cannot make the connection, for this reason: see
    /// [`Connect::not_supported`](crate::Connect::not_supported).
    pub fn not_supported(reason: &str) -> Outcome {
        let outcome = Outcome::new(State::Skipped).with("spdr_error", reason);
        outcome.with(NOT_SUPPORTED, true)
    }

    /// Whether this machine could not make it: the plugin says so, or the kernel does.
    pub(crate) fn is_not_supported(&self) -> bool {
        self.record.bool(NOT_SUPPORTED) == Some(true)
            || self.failure().is_some_and(|reason| REFUSED.contains(&reason))
    }

    /// Adds a key.
    pub fn with(mut self, key: &'static str, value: impl Into<crate::Value>) -> Outcome {
        self.record.set(key, value);
        self
    }

    /// The same with room for this many further keys.
    pub fn with_room(mut self, keys: usize) -> Outcome {
        self.record.entries.reserve(keys);
        self
    }

    /// Tells the host which flow the plugin's own connection was, so that it can be found in the
    /// capture.
    pub fn from_local(self, address: std::net::SocketAddr) -> Outcome {
        self.with("sip", address.ip()).with("sp", address.port())
    }

    /// How the connection ended.
    pub fn state(&self) -> State {
        self.state
    }

    /// The reason of a failure, in fixed words (`refused`, `reset`, `timeout`, `unreachable`, …).
    pub fn failure(&self) -> Option<&str> {
        self.record.str("spdr_error")
    }

    /// The keys so far.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The connection's record: all keys, with `spdr_state`.
    pub fn into_record(self) -> Record {
        let mut record = self.record;
        record.set("spdr_state", self.state.number());
        record
    }
}
