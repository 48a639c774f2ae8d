//! What `-i` names: a source of packets, and the interface behind it.

use super::exit::{Exit, Failure};
use crate::run::RunError;
use pathspider_observer::interface;

/// Prefixes of libtrace's URIs for live capture.
const LIVE_PREFIXES: [&str; 3] = ["int:", "ring:", "pcapint:"];

/// The source that an argument names, else the interface of the default route, where there is one.
pub(super) fn or_default(named: Option<String>) -> Option<String> {
    named.or_else(interface::of_default_route)
}

/// The same for callers that cannot do without.
pub(super) fn needed(named: Option<String>) -> Result<String, Failure> {
    or_default(named).ok_or_else(|| Failure::new(Exit::NoInterface, RunError::NoInterface))
}

/// The interface behind a live source; `None` for all of them together.
pub(super) fn device(source: &str) -> Option<String> {
    let name = LIVE_PREFIXES.iter().find_map(|prefix| source.strip_prefix(prefix));
    let name = name.unwrap_or(source);
    (name != "any").then(|| name.to_owned())
}
