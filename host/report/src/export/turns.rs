//! Threads take turns at what one alone may have, in the order of their places.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// What one thread at a time may have.
pub(crate) struct Turns<T> {
    state: Mutex<State<T>>,
    moved: Condvar,
}

struct State<T> {
    what: T,
    next: u64,
    /// Somebody failed, so nobody goes on.
    is_over: bool,
}

/// A turn. It ends all others, unless whoever has it comes to its end.
struct Turn<'t, T> {
    state: MutexGuard<'t, State<T>>,
    moved: &'t Condvar,
    goes_on: bool,
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        self.state.next += 1;
        self.state.is_over |= !self.goes_on;
        self.moved.notify_all();
    }
}

impl<T> Turns<T> {
    pub(crate) fn new(what: T) -> Turns<T> {
        let state = State { what, next: 0, is_over: false };
        Turns { state: Mutex::new(state), moved: Condvar::new() }
    }

    /// Waits for the turn of a place, and does the work, which says whether the others go on. Each place
    /// from 0 on has to come. `false` where they do not, or did not before.
    pub(crate) fn at(&self, place: u64, work: impl FnOnce(&mut T) -> bool) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.next != place && !state.is_over {
            state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.is_over {
            return false;
        }
        let mut turn = Turn { state, moved: &self.moved, goes_on: false };
        turn.goes_on = work(&mut turn.state.what);
        turn.goes_on
    }

    /// What they had, once all are gone.
    pub(crate) fn into_inner(self) -> T {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).what
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn turns_come_in_order() {
        let turns = Turns::new(Vec::new());
        thread::scope(|scope| {
            for place in [3, 1, 4, 0, 2] {
                let turns = &turns;
                scope.spawn(move || {
                    turns.at(place, |all| {
                        all.push(place);
                        true
                    })
                });
            }
        });
        assert_eq!(turns.into_inner(), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn nobody_waits_for_who_failed() {
        let turns = Turns::new(0);
        thread::scope(|scope| {
            let last = scope.spawn(|| turns.at(2, |_| true));
            let fails = scope.spawn(|| turns.at(1, |_| panic!("on purpose")));
            assert!(turns.at(0, |_| true));
            assert!(fails.join().is_err());
            assert!(!last.join().unwrap());
        });
        assert!(!turns.at(3, |_| true));
    }
}
