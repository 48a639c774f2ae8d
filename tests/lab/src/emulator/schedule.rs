//! Owns the packets that wait: each for a time, or until it is let go earlier.

use std::collections::BTreeMap;

use super::Time;
use super::path::Traveller;

/// Names a waiting packet. Those due at one time leave in the order they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket {
    due: Time,
    number: u64,
}

/// All waiting packets, by time.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    waiting: BTreeMap<Ticket, Traveller>,
    next: u64,
}

impl Schedule {
    pub(super) fn add(&mut self, due: Time, traveller: Traveller) -> Ticket {
        let ticket = Ticket { due, number: self.next };
        self.next += 1;
        self.waiting.insert(ticket, traveller);
        ticket
    }

    /// Takes a packet out before its time; `None` when it has gone already.
    pub(super) fn release(&mut self, ticket: Ticket) -> Option<Traveller> {
        self.waiting.remove(&ticket)
    }

    /// The next packet whose time has come, with the time it was due.
    pub(super) fn pop_due(&mut self, now: Time) -> Option<(Time, Traveller)> {
        let entry = self.waiting.first_entry().filter(|entry| entry.key().due <= now)?;
        let (ticket, traveller) = entry.remove_entry();
        Some((ticket.due, traveller))
    }

    /// When the next one is due.
    pub(super) fn next_due(&self) -> Option<Time> {
        self.waiting.first_key_value().map(|(ticket, _)| ticket.due)
    }
}
