//! Whose turn it is to be measured: so many parts at the same time that the machine answers in time.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::Part;

/// Parts at the same time. The processors of this machine are both ends of all connections, so more of them would
/// keep each other from answering in time.
pub(super) const AT_ONCE: usize = 20;

/// Of these, parts with handshakes of QUIC, which take the processors most.
const QUIC_AT_ONCE: usize = 4;

/// The parts that have not begun, in their order.
pub(super) struct Turns<'a> {
    state: Mutex<State<'a>>,
    ended: Condvar,
}

struct State<'a> {
    waiting: VecDeque<&'a Part>,
    /// Parts with QUIC that are being measured.
    quic: usize,
}

/// A part's turn, which is over when this is dropped.
pub(super) struct Turn<'a> {
    pub(super) part: &'a Part,
    turns: &'a Turns<'a>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.lock().quic -= usize::from(self.part.is_quic);
        self.turns.ended.notify_all();
    }
}

impl<'a> Turns<'a> {
    pub(super) fn new(parts: &'a [Part]) -> Self {
        let state = State { waiting: parts.iter().collect(), quic: 0 };
        Self { state: Mutex::new(state), ended: Condvar::new() }
    }

    /// The next part to be measured, as soon as it may begin; `None` after the last.
    pub(super) fn begin(&'a self) -> Option<Turn<'a>> {
        let mut state = self.lock();
        loop {
            let may = |part: &&Part| !part.is_quic || state.quic < QUIC_AT_ONCE;
            if let Some(next) = state.waiting.iter().position(may) {
                let part = state.waiting.remove(next)?;
                state.quic += usize::from(part.is_quic);
                return Some(Turn { part, turns: self });
            }
            if state.waiting.is_empty() {
                return None;
            }
            state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<'a>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
