//! The server's clock, as it is known here. An agent's own may be wrong, and places take turns by it.

use std::time::{Duration, Instant, SystemTime};

/// How much two clocks drift apart, at the most: one second in so many.
const DRIFT: u32 = 10_000;

/// What is known of the server's clock.
#[derive(Debug, Default)]
pub(super) struct Clock {
    best: Option<Sample>,
}

/// A moment of the server's, and how wrong it may be.
#[derive(Debug, Clone, Copy)]
struct Sample {
    time: SystemTime,
    at: Instant,
    error: Duration,
}

impl Sample {
    fn time(&self, now: Instant) -> SystemTime {
        match now.checked_duration_since(self.at) {
            Some(since) => self.time + since,
            None => self.time - (self.at - now),
        }
    }

    fn error(&self, now: Instant) -> Duration {
        self.error + now.saturating_duration_since(self.at) / DRIFT
    }
}

impl Clock {
    /// The server wrote this time on a message that was sent and answered at these moments.
    pub(super) fn heard(&mut self, time: SystemTime, sent: Instant, answered: Instant) {
        let error = answered.saturating_duration_since(sent) / 2;
        let heard = Sample { time, at: sent + error, error };
        let is_better = self.best.is_none_or(|best| {
            let expected = best.time(answered);
            let found = heard.time(answered);
            let off = found.duration_since(expected).unwrap_or_else(|error| error.duration());
            // Somebody has set the server's clock, or it is another server.
            let is_set = off > best.error(answered) + error;
            is_set || error <= best.error(answered)
        });
        if is_better {
            self.best = Some(heard);
        }
    }

    /// The server's time; this machine's, where nothing is known of it.
    pub(super) fn now(&self, now: Instant) -> SystemTime {
        self.best.map_or_else(SystemTime::now, |best| best.time(now))
    }

    /// How wrong that may be; `None` where nothing is known.
    pub(super) fn error(&self, now: Instant) -> Option<Duration> {
        self.best.map(|best| best.error(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_answer_counts_until_it_is_old_or_the_clock_is_set() {
        let (begin, time) = (Instant::now(), SystemTime::UNIX_EPOCH + Duration::from_secs(1000));
        let at = |millis| begin + Duration::from_millis(millis);
        let told = |millis| time + Duration::from_millis(millis);
        let mut clock = Clock::default();
        assert_eq!(clock.error(begin), None);
        clock.heard(told(100), at(0), at(200));
        assert_eq!(clock.now(at(100)), told(100));
        assert_eq!(clock.error(at(100)), Some(Duration::from_millis(100)));
        // A slower answer changes nothing, a faster one does.
        clock.heard(told(1050), at(1000), at(1300));
        assert_eq!(clock.now(at(2000)), told(2000));
        clock.heard(told(3020), at(3000), at(3020));
        assert_eq!(clock.now(at(4010)), told(4020));
        let error = clock.error(at(1_003_010)).unwrap();
        assert_eq!(error, Duration::from_millis(110), "they drift apart");
        // Then a slower one is as good.
        clock.heard(told(1_003_100), at(1_003_000), at(1_003_200));
        assert_eq!(clock.error(at(1_003_100)), Some(Duration::from_millis(100)));
        // A clock that is set is believed at once.
        clock.heard(told(1000), at(1_004_000), at(1_004_400));
        assert_eq!(clock.now(at(1_004_200)), told(1000));
    }
}
