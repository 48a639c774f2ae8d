//! Which questions were answered before: none is answered twice.

use std::collections::HashSet;
use std::mem;

use foldhash::fast::RandomState;
use pathspider_arrivals::PATIENCE;

use crate::Time;

/// Questions of one span of time that are known: more are not answered.
const MOST: usize = 1 << 20;

/// How long a question may be repeated: its time may be so far ahead of ours, and then so far behind. Times
/// are whole seconds.
const SPAN: Time = Time::from_secs(2 * PATIENCE + 1);

/// The numbers of questions, in two spans of time: this one, and the one before.
#[derive(Debug)]
pub(crate) struct Seen {
    current: HashSet<u128, RandomState>,
    former: HashSet<u128, RandomState>,
    since: Time,
    most: usize,
}

impl Seen {
    pub(crate) fn new(now: Time) -> Seen {
        Seen { current: HashSet::default(), former: HashSet::default(), since: now, most: MOST }
    }

    /// Whether it was answered before.
    pub(crate) fn knows(&self, nonce: &[u8; 16]) -> bool {
        let number = u128::from_be_bytes(*nonce);
        self.current.contains(&number) || self.former.contains(&number)
    }

    /// Whether this is a new one; it is known from now on.
    pub(crate) fn is_new(&mut self, nonce: &[u8; 16], now: Time) -> bool {
        if now.saturating_sub(self.since) > SPAN {
            self.former = mem::take(&mut self.current);
            self.since = now;
        }
        let number = u128::from_be_bytes(*nonce);
        self.current.len() < self.most
            && !self.former.contains(&number)
            && self.current.insert(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_known_for_as_long_as_it_may_be_repeated() {
        let mut seen = Seen::new(Time::ZERO);
        for second in [0, 1, 2 * PATIENCE - 1] {
            let nonce = [second as u8; 16];
            assert!(seen.is_new(&nonce, Time::from_secs(second)));
            for later in 0..=2 * PATIENCE {
                let mut seen = Seen { current: seen.current.clone(), ..Seen::new(seen.since) };
                assert!(!seen.is_new(&nonce, Time::from_secs(second + later)), "{second} {later}");
            }
        }
    }

    #[test]
    fn more_than_can_be_known_are_not_answered() {
        let mut seen = Seen { most: 2, ..Seen::new(Time::ZERO) };
        assert!(seen.is_new(&[1; 16], Time::ZERO) && seen.is_new(&[2; 16], Time::ZERO));
        assert!(!seen.is_new(&[3; 16], Time::ZERO));
        assert!(seen.is_new(&[3; 16], SPAN * 2));
    }
}
