//! What a connection takes from a number that is limited, and gives back.
//!
//! A token is a value: it cannot be copied, and only whoever lent it takes it back. So nobody has to
//! count, and what is lost is found where it is lost.

/// A lent token. A debug build panics where one is dropped instead of given back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Token(());

impl Token {
    pub(super) fn lend() -> Token {
        Token(())
    }

    /// It was given back.
    pub(super) fn settle(self) {
        std::mem::forget(self);
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        debug_assert!(std::thread::panicking(), "a hold or a permit was lost");
    }
}

/// How many more jobs may have a second connection beside their first.
#[derive(Debug)]
pub(super) struct Permits {
    free: usize,
}

/// The permit for a job's second, overlapping connection.
#[derive(Debug)]
#[must_use = "the permit is to be given back"]
pub(super) struct Permit(Token);

impl Permits {
    pub(super) fn new(free: usize) -> Permits {
        Permits { free }
    }

    /// How many are left.
    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        self.free
    }

    /// A permit, if one is left.
    pub(super) fn take(&mut self) -> Option<Permit> {
        self.free = self.free.checked_sub(1)?;
        Some(Permit(Token::lend()))
    }

    pub(super) fn give_back(&mut self, permit: Permit) {
        permit.0.settle();
        self.free += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_permits_are_lent_than_there_are() {
        let mut permits = Permits::new(1);
        let permit = permits.take().unwrap();
        assert!(permits.take().is_none());
        permits.give_back(permit);
        assert_eq!(permits.free(), 1);
        assert!(Permits::new(0).take().is_none());
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "a hold or a permit was lost")]
    fn a_lost_permit_is_found() {
        drop(Permits::new(1).take());
    }
}
