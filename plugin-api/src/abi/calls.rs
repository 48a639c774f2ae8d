//! Which function of a plugin a thread of the host is in: what to say of a crash.

use std::cell::Cell;

thread_local! {
    // One word, so that a signal's handler on this thread can read it at any time.
    static CALL: Cell<Option<&'static &'static str>> = const { Cell::new(None) };
}

/// The function of a plugin that this thread is in. It may be asked in a signal's handler.
pub fn current_call() -> Option<&'static str> {
    CALL.get().copied()
}

/// A call under way.
pub(super) struct Call {
    outer: Option<&'static &'static str>,
}

impl Call {
    /// Notes that the call begins; it ends when this is dropped.
    pub(super) fn of(name: &'static &'static str) -> Call {
        Call { outer: CALL.replace(Some(name)) }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        CALL.set(self.outer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_nest() {
        let outer = Call::of(&"configure");
        drop(Call::of(&"sysctl"));
        assert_eq!(current_call(), Some("configure"));
        drop(outer);
        assert_eq!(current_call(), None);
    }
}
