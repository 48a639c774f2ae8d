//! What the course of a real run carries.

use std::sync::Arc;
use std::time::SystemTime;

use pathspider_plugin_api::{Connect, Error, Record, Value, ValueRef};

use super::connect::Attempt;
use super::course::Cargo;
use super::work::Work;

/// A real run.
pub(super) enum Real {}

impl Cargo for Real {
    type Work = Arc<Work>;
    type Plan = Plan;
    type Attempt = Attempt;
    type Error = Error;

    fn octets(attempt: &Attempt) -> usize {
        octets(attempt.account.outcome().record()) + ENDS
    }
}

/// Octets of what tells which flow a connection was, and when, as a record has it.
const ENDS: usize = 512;

/// Octets of a record's keys and values.
fn octets(record: &Record) -> usize {
    record.iter().map(|(key, value)| key.len() + octets_of(value)).sum()
}

fn octets_of(value: &Value) -> usize {
    size_of::<Value>()
        + match value.view() {
            ValueRef::Text(text) => text.len(),
            ValueRef::Bytes(octets) => octets.len(),
            ValueRef::List(list) => list.iter().map(octets_of).sum(),
            ValueRef::Map(record) => octets(record),
            _ => 0,
        }
}

/// The plugin's answer, which connection to make.
pub(super) enum Plan {
    /// From a worker, where the plugin may have connected by itself, since then.
    Own(SystemTime, Box<Result<Connect, Error>>),
    /// From before, when it could not begin.
    Again(Box<Connect>),
}
