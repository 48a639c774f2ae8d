//! When a router may be asked: Linux sends about one time-exceeded a second to one destination, after a
//! few at once, and many routers are stricter. So each is asked once a second in the long run, whatever
//! the number of targets behind it; and all of them together no more often than was asked for.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use crate::Time;

/// What a router sends at once when it was asked nothing for a while: half of what Linux allows.
const BURST: u32 = 3;

/// After how long it may be asked once more.
const EACH: Time = Time::from_millis(1_050);

/// Routers that are remembered of a distance.
const REMEMBERED: usize = 256;

/// A router, as far as it is known: by its address where it answered in the same search, else by how far
/// away it is, for near ones are shared by most targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Asked {
    Known(IpAddr),
    At(u8),
    /// No router: the target, or a handshake.
    Nobody,
}

/// The pace of all courses of a run.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Between two packets, whoever they are for.
    gap: Time,
    next: Time,
    /// When each router's bucket is full again.
    full: HashMap<Asked, Time>,
    /// Who answered at a distance.
    at: HashMap<u8, HashSet<IpAddr>>,
}

impl Pace {
    /// So many packets a second at the most.
    pub(crate) fn new(rate: f64) -> Pace {
        let gap = Time::from_secs_f64(1.0 / rate.max(0.01));
        Pace { gap, next: Time::ZERO, full: HashMap::new(), at: HashMap::new() }
    }

    /// Notes who answered at a distance. Where it was asked without being known, that counts now.
    pub(crate) fn answered(&mut self, hop: u8, from: IpAddr, was_known: bool, now: Time) {
        let there = self.at.entry(hop).or_default();
        if there.len() < REMEMBERED {
            there.insert(from);
        }
        if !was_known {
            self.charge(Asked::Known(from), EACH, now);
        }
    }

    /// Whom a packet with this many hops to live asks; without a number, the target.
    pub(crate) fn asked(&self, known: Option<IpAddr>, hop: Option<u8>) -> Asked {
        let Some(hop) = hop else { return Asked::Nobody };
        known.map_or(Asked::At(hop), Asked::Known)
    }

    /// When it may be asked.
    pub(crate) fn when(&self, asked: Asked, now: Time) -> Time {
        let full = self.full.get(&asked).copied().unwrap_or_default();
        let room = full.saturating_sub(EACH * (BURST - 1));
        let of_router = if asked == Asked::Nobody { now } else { room };
        now.max(self.next).max(of_router)
    }

    /// Notes that it was. Of a distance at which several routers are, each is asked as often on average.
    pub(crate) fn sent(&mut self, asked: Asked, now: Time) {
        self.next = now.max(self.next) + self.gap;
        match asked {
            Asked::Nobody => {}
            Asked::Known(_) => self.charge(asked, EACH, now),
            Asked::At(hop) => {
                let there = self.at.get(&hop).map_or(1, HashSet::len).max(1);
                self.charge(asked, EACH / there as u32, now);
            }
        }
    }

    fn charge(&mut self, asked: Asked, time: Time, now: Time) {
        if self.full.len() > 4_096 {
            self.full.retain(|_, full| *full > now);
        }
        let full = self.full.entry(asked).or_default();
        *full = now.max(*full) + time;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Time = Time::from_secs(100);

    #[test]
    fn a_router_is_asked_a_few_times_at_once_and_then_once_a_second() {
        let mut pace = Pace::new(1e6);
        let (mut now, mut times) = (START, Vec::new());
        for _ in 0..6 {
            now = pace.when(Asked::At(1), now);
            times.push((now - START).as_millis());
            pace.sent(Asked::At(1), now);
        }
        assert_eq!(times, [0, 0, 0, 1050, 2100, 3150]);
        assert!(pace.when(Asked::At(2), now) - now < EACH, "another one");
    }

    #[test]
    fn all_together_keep_the_rate() {
        let mut pace = Pace::new(10.0);
        let mut now = START;
        for hop in 0..10 {
            now = pace.when(Asked::At(hop), now);
            pace.sent(Asked::At(hop), now);
        }
        assert_eq!(now - START, Time::from_millis(900));
    }

    #[test]
    fn each_of_several_routers_at_a_distance_is_asked_as_often() {
        let mut pace = Pace::new(1e6);
        assert_eq!(pace.asked(None, Some(3)), Asked::At(3));
        for host in 1..=10 {
            pace.answered(3, [10, 0, 0, host].into(), true, START);
        }
        let mut now = START;
        for _ in 0..23 {
            now = pace.when(Asked::At(3), now);
            pace.sent(Asked::At(3), now);
        }
        assert!(now - START < EACH, "{:?}", now - START);
        let router = IpAddr::from([10, 0, 0, 1]);
        for _ in 0..BURST {
            assert!(pace.when(Asked::Known(router), START) - START < EACH / 2);
            pace.answered(3, router, false, START);
        }
        assert!(
            pace.when(Asked::Known(router), START) - START > EACH / 2,
            "what it answered counts"
        );
    }
}
