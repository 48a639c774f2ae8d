//! What the packets of one connection show that the library keeps to itself. Its keys write it, and the
//! record is made of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pathspider_plugin_api::Record;

use super::acks::{Marks, acks};
use super::parameters::Parameters;

/// The packet number spaces (RFC 9000, section 12.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Space {
    Initial,
    Handshake,
    Application,
}

impl Space {
    pub(super) const ALL: [(Space, &str); 3] = [
        (Space::Initial, "initial"),
        (Space::Handshake, "handshake"),
        (Space::Application, "application"),
    ];
}

/// Packets of a space that are counted one by one. No connection of ours sends as many.
const COUNTED: u64 = 4096;

/// What became of our packets in one space.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// How many left.
    pub(super) packets: u64,
    /// The packets by their numbers, and whether the target has acknowledged them.
    acknowledged: Vec<bool>,
    /// What it counted of their marks, at the most; `None` where it never said.
    pub(super) marks: Option<Marks>,
}

impl Sent {
    fn sent(&mut self, number: u64) {
        self.packets += 1;
        if number < COUNTED {
            let length = self.acknowledged.len().max(number as usize + 1);
            self.acknowledged.resize(length, false);
        }
    }

    /// Takes the frames of an authentic packet of the target.
    fn came(&mut self, frames: &[u8]) {
        for ack in acks(frames) {
            let known = self.acknowledged.len() as u64;
            for range in ack.ranges() {
                let (from, to) = (*range.start(), range.end().saturating_add(1).min(known));
                if let Some(these) = self.acknowledged.get_mut(from as usize..to as usize) {
                    these.fill(true);
                }
            }
            if let Some(Marks { ect0, ect1, ce }) = ack.marks {
                // They only grow, and acknowledgments may overtake each other.
                let most = self.marks.get_or_insert_default();
                most.ect0 = most.ect0.max(ect0);
                most.ect1 = most.ect1.max(ect1);
                most.ce = most.ce.max(ce);
            }
        }
    }

    /// How many the target has acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged.iter().filter(|is_acknowledged| **is_acknowledged).count() as u64
    }
}

/// What is seen of a connection.
#[derive(Debug, Default)]
pub(super) struct Seen {
    spaces: [Sent; 3],
    /// A packet came that only who has read ours can have made.
    pub(super) is_answered: bool,
    /// The target demanded a token.
    pub(super) is_retried: bool,
    /// How many of our packets left without the bit that QUIC fixes to 1.
    pub(super) greased: u64,
    /// The target's transport parameters.
    pub(super) parameters: Option<Parameters>,
    /// What TLS came to.
    pub(super) tls: Option<Record>,
    /// The protocol that the target chose.
    pub(super) alpn: Option<Vec<u8>>,
}

impl Seen {
    pub(super) fn of(&self, space: Space) -> &Sent {
        &self.spaces[space as usize]
    }

    /// The target's transport parameters, which come once.
    pub(super) fn take_parameters(&mut self, octets: &[u8]) {
        self.parameters.get_or_insert_with(|| Parameters::read(octets));
    }

    /// Whether the target has said that it takes packets whatever the bit that QUIC fixes to 1.
    pub(super) fn takes_greased(&self) -> bool {
        self.parameters.as_ref().is_some_and(|parameters| parameters.grease_quic_bit)
    }

    /// A packet leaves.
    pub(super) fn sent(&mut self, space: Space, number: u64) {
        self.spaces[space as usize].sent(number);
    }

    /// An authentic packet came, with these frames.
    pub(super) fn came(&mut self, space: Space, frames: &[u8]) {
        self.is_answered = true;
        self.spaces[space as usize].came(frames);
    }
}

/// What is seen, shared by the keys of a connection and whoever reads it. All on one thread, so nobody
/// ever waits for the lock, which the library's traits ask for.
#[derive(Debug, Clone, Default)]
pub(super) struct Known(Arc<Mutex<Seen>>);

impl Known {
    pub(super) fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrived_is_counted_once_and_only_of_what_was_sent() {
        let mut seen = Seen::default();
        for number in [0, 1, 3, 4] {
            seen.sent(Space::Handshake, number);
        }
        // 3 and 4 and one that was never sent; then 1 to 4 again.
        seen.came(Space::Handshake, &[0x03, 9, 0, 0, 6, 2, 0, 0]);
        seen.came(Space::Handshake, &[0x03, 4, 0, 0, 3, 1, 0, 7]);
        seen.came(Space::Handshake, &[0x02, 0x80, 0xff, 0xff, 0xff, 0, 0, 0]);
        let sent = seen.of(Space::Handshake);
        assert_eq!((sent.packets, sent.acknowledged()), (4, 4));
        assert_eq!(sent.marks, Some(Marks { ect0: 2, ect1: 0, ce: 7 }));
        let other = seen.of(Space::Initial);
        assert_eq!((other.packets, other.acknowledged(), other.marks), (0, 0, None));
        assert!(seen.is_answered);
    }

    #[test]
    fn far_numbers_take_no_memory() {
        let mut seen = Seen::default();
        seen.sent(Space::Initial, u64::MAX >> 2);
        seen.came(Space::Initial, &[0x02, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0]);
        assert_eq!(seen.of(Space::Initial).acknowledged(), 0);
    }
}
