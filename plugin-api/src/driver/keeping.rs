//! What a flow result keeps of its connection, so that the same conclusion can be drawn again from
//! records and capture: which keys those are, and how they are read.
//!
//! Most of an outcome stands in the merged record as it was. What a plugin or a chain changed, added
//! under a key of the host or left out stands in [`KEPT`]; most flow results have none.

use std::fmt;

use super::{Connection, Sighting};
use crate::outcome::{OUTCOME_KEYS, Outcome, State};
use crate::{Record, Value};

/// Whether the observer was asked for the flow.
const CLAIMED: &str = "spdr_claimed";
/// What differs between the outcome and the merged record.
const KEPT: &str = "spdr_outcome";
/// Within it: keys of the outcome that the record has otherwise, or not.
const OTHERWISE: &str = "otherwise";
/// Within it: keys of the record that the outcome does not have.
const WITHOUT: &str = "without";

const STATE: &str = "spdr_state";
/// The time of the flow's last packet.
const LAST: &str = "pkt_last";

/// Whether a key that a merged record has is taken for the outcome's.
fn is_known(key: &str) -> bool {
    key == STATE || key == LAST || OUTCOME_KEYS.contains(&key)
}

/// An outcome, and what was seen of it, before the plugin has them.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    outcome: Record,
    is_claimed: bool,
}

impl Kept {
    pub(super) fn of(connection: &Connection) -> Kept {
        let mut outcome = connection.outcome.clone().into_record();
        if let Sighting::Flow(flow) = &connection.seen {
            // Where nobody knew our end, only the flow tells the protocol.
            let proto = flow.value("proto").filter(|_| outcome.get("proto").is_none());
            for (key, value) in [(LAST, flow.value(LAST)), ("proto", proto)] {
                if let Some(value) = value {
                    outcome.set(key, value.clone());
                }
            }
        }
        Kept { outcome, is_claimed: connection.seen.is_asked() }
    }

    /// The merged record with what it does not say by itself.
    pub(super) fn on(self, mut merged: Record) -> Record {
        let names = merged.iter().map(|(key, _)| key);
        let without = names.filter(|key| is_known(key) && self.outcome.get(key).is_none());
        let without: Vec<Value> = without.map(Value::from).collect();
        let is_otherwise =
            |(key, value): &(&str, &Value)| !is_known(key) || merged.get(key) != Some(value);
        let otherwise = self.outcome.iter().filter(is_otherwise);
        let otherwise: Record =
            otherwise.map(|(key, value)| (key.to_owned(), value.clone())).collect();
        merged.set(CLAIMED, self.is_claimed);
        if !(otherwise.is_empty() && without.is_empty()) {
            let kept = Record::new().with(OTHERWISE, otherwise).with(WITHOUT, without);
            merged.set(KEPT, kept);
        }
        merged
    }
}

/// A connection, from its flow result.
#[derive(Debug, Clone)]
pub struct Restored {
    /// How it ended.
    pub outcome: Outcome,
    /// Whether the observer was asked for its flow.
    pub is_claimed: bool,
    /// Where the flow was seen: the time of its last packet, in seconds since the epoch.
    pub last: Option<f64>,
}

/// The key that a flow result lacks, so that its connection cannot be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lacking(pub &'static str);

impl fmt::Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it has no {}", self.0)
    }
}

/// Restores a connection from its flow result.
///
/// # Errors
///
/// The flow result is of a program that did not keep what is needed, or of none.
pub fn restore(result: &Record) -> Result<Restored, Lacking> {
    let is_claimed = result.bool(CLAIMED).ok_or(Lacking(CLAIMED))?;
    let is_observed = result.bool("observed").ok_or(Lacking("observed"))?;
    let known = result.iter().filter(|(key, _)| is_known(key));
    let mut outcome: Record = known.map(|(key, value)| (key.to_owned(), value.clone())).collect();
    if let Some(kept) = result.get(KEPT) {
        let kept = kept.as_record().ok_or(Lacking(KEPT))?;
        let without = kept.get(WITHOUT).and_then(Value::as_list).unwrap_or_default();
        for key in without.iter().filter_map(Value::as_str) {
            outcome.remove(key);
        }
        if let Some(otherwise) = kept.get(OTHERWISE).and_then(Value::as_record) {
            outcome.extend(otherwise.clone());
        }
    }
    let state = outcome.remove(STATE).and_then(|state| State::from_number(state.as_u64()?));
    let state = state.ok_or(Lacking(STATE))?;
    let last = outcome.remove(LAST).and_then(|last| last.as_f64());
    let last = if is_observed { Some(last.ok_or(Lacking(LAST))?) } else { None };
    Ok(Restored { outcome: Outcome::with_record(state, outcome), is_claimed, last })
}
