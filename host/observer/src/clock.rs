//! The clock of recorded packets. It runs on where a capture's clocks jump or differ, so that flows
//! live by the time that passed, and not by what a clock was set to.
//!
//! A packet whose time does not fit is kept until the next one shows what happened: time passed
//! without a packet, one packet has a wrong time, a clock was set, or two interfaces have clocks that
//! differ.

use super::source::Frame;

/// A longer silence than this may be a packet with a wrong time.
const LONG_NS: i64 = 3_600_000_000_000;

/// Interfaces that are known at once. A file of many sections describes as many as it likes; beyond
/// this number, all but the latest are forgotten.
const MOST_INTERFACES: usize = 64;

/// When a packet passed, by its interface's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) interface: u32,
    pub(crate) time_ns: i64,
}

impl Moment {
    #[inline]
    pub(crate) fn of(frame: &Frame<'_>) -> Moment {
        Moment { interface: frame.interface, time_ns: frame.time_ns }
    }
}

/// What the clock makes of a packet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// The time of the packet that was kept, if there was one.
    pub(crate) kept: Option<i64>,
    /// The time of this one; `None` where it is to be kept.
    pub(crate) this: Option<i64>,
}

struct Interface {
    number: u32,
    /// The last time by its own clock.
    last_ns: i64,
    /// What is to be added for the time of the capture.
    offset_ns: i64,
}

/// The clock of one capture.
pub(crate) struct PacketClock {
    /// What disorder explains.
    tolerance_ns: i64,
    interfaces: Vec<Interface>,
    /// The interface of the last packet, by its place.
    latest: usize,
    now_ns: i64,
    kept: Option<Moment>,
    /// How often a clock jumped, or was found to differ.
    jumps: u64,
}

impl PacketClock {
    /// Times that go back by `tolerance_ns` are disorder and no jump.
    pub(crate) fn new(tolerance_ns: i64) -> PacketClock {
        let (interfaces, kept) = (Vec::new(), None);
        PacketClock { tolerance_ns, interfaces, latest: 0, now_ns: 0, kept, jumps: 0 }
    }

    /// How often a clock jumped, or was found to differ.
    pub(crate) fn jumps(&self) -> u64 {
        self.jumps
    }

    /// Whether packets need no look at each: they are of the interface of the last one, whose clock
    /// needs no correction, and none of their times jumps. If so, the clock has taken them.
    #[inline]
    pub(crate) fn takes(&mut self, frames: &[Frame<'_>]) -> bool {
        let Some(latest) = self.interfaces.get_mut(self.latest) else { return false };
        if self.kept.is_some() || latest.offset_ns != 0 {
            return false;
        }
        let mut last_ns = latest.last_ns;
        for frame in frames {
            let step_ns = frame.time_ns.wrapping_sub(last_ns);
            if frame.interface != latest.number || !fits(step_ns, self.tolerance_ns) {
                return false;
            }
            last_ns = frame.time_ns;
        }
        latest.last_ns = last_ns;
        self.now_ns = last_ns;
        true
    }

    /// Takes one packet.
    #[cold]
    pub(crate) fn read(&mut self, moment: Moment) -> Reading {
        let kept = self.kept.take().map(|kept| self.settle(kept, Some(moment)));
        Reading { kept, this: self.place(moment) }
    }

    /// The time of the packet that was kept when no other follows.
    pub(crate) fn end(&mut self) -> Option<i64> {
        self.kept.take().map(|kept| self.settle(kept, None))
    }

    fn place(&mut self, moment: Moment) -> Option<i64> {
        let fits_now = self.interfaces.is_empty() || self.is_near(moment.time_ns);
        let Some(at) = self.find(moment.interface) else {
            if fits_now {
                return Some(self.add(moment, 0));
            }
            self.kept = Some(moment);
            return None;
        };
        if !self.continues(at, moment) {
            self.kept = Some(moment);
            return None;
        }
        let time_ns = moment.time_ns.saturating_add(self.interfaces[at].offset_ns);
        if at != self.latest && !self.is_near(time_ns) {
            // This clock runs on, so it is the other one that differs.
            let other = &mut self.interfaces[self.latest];
            let ahead_ns = time_ns.saturating_sub(self.now_ns);
            other.offset_ns = other.offset_ns.saturating_add(ahead_ns);
            self.jumps += 1;
        }
        Some(self.advance(at, moment))
    }

    /// What the packet after one that does not fit says of it.
    fn settle(&mut self, kept: Moment, next: Option<Moment>) -> i64 {
        // Whether the next one goes on as if this one had not been.
        let goes_on = next.is_some_and(|next| {
            self.find(next.interface).is_some_and(|at| {
                let time_ns = next.time_ns.saturating_add(self.interfaces[at].offset_ns);
                self.continues(at, next) && self.is_near(time_ns)
            })
        });
        let is_alone = goes_on && next.is_some_and(|next| next.interface == kept.interface);
        match self.find(kept.interface) {
            // One packet with a wrong time.
            Some(_) if is_alone => {
                self.jumps += 1;
                self.now_ns
            }
            // The others go on: the clock of this interface was set.
            Some(at) if goes_on => self.set(at, kept),
            None if goes_on => {
                self.jumps += 1;
                self.add(kept, self.now_ns.saturating_sub(kept.time_ns))
            }
            Some(at) if kept.time_ns < self.interfaces[at].last_ns => self.set(at, kept),
            // Nothing passed for long.
            Some(at) => self.advance(at, kept),
            None => self.add(kept, 0),
        }
    }

    /// The clock of an interface was set: the time goes on.
    fn set(&mut self, at: usize, moment: Moment) -> i64 {
        self.jumps += 1;
        self.interfaces[at].offset_ns = self.now_ns.saturating_sub(moment.time_ns);
        self.advance(at, moment)
    }

    fn advance(&mut self, at: usize, moment: Moment) -> i64 {
        let interface = &mut self.interfaces[at];
        interface.last_ns = moment.time_ns;
        self.latest = at;
        self.now_ns = moment.time_ns.saturating_add(interface.offset_ns);
        self.now_ns
    }

    fn add(&mut self, moment: Moment, offset_ns: i64) -> i64 {
        if self.interfaces.len() == MOST_INTERFACES {
            let latest = self.interfaces.swap_remove(self.latest);
            (self.interfaces, self.latest) = (vec![latest], 0);
        }
        let Moment { interface: number, time_ns: last_ns } = moment;
        self.interfaces.push(Interface { number, last_ns, offset_ns });
        self.advance(self.interfaces.len() - 1, moment)
    }

    fn find(&self, interface: u32) -> Option<usize> {
        self.interfaces.iter().position(|other| other.number == interface)
    }

    /// Whether a time follows the last one of its interface.
    fn continues(&self, at: usize, moment: Moment) -> bool {
        fits(moment.time_ns.wrapping_sub(self.interfaces[at].last_ns), self.tolerance_ns)
    }

    fn is_near(&self, time_ns: i64) -> bool {
        self.now_ns.abs_diff(time_ns) <= self.tolerance_ns.unsigned_abs()
    }
}

#[inline]
fn fits(step_ns: i64, tolerance_ns: i64) -> bool {
    (-tolerance_ns..LONG_NS.max(tolerance_ns)).contains(&step_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    /// The times that packets get, in seconds, in their order; and how many jumps there were.
    fn times(packets: &[(u32, i64)]) -> (Vec<i64>, u64) {
        let mut clock = PacketClock::new(30 * SECOND);
        let mut times = Vec::new();
        for &(interface, seconds) in packets {
            let moment = Moment { interface, time_ns: seconds * SECOND };
            let Reading { kept, this } = clock.read(moment);
            times.extend(kept.into_iter().chain(this));
        }
        times.extend(clock.end());
        (times.into_iter().map(|ns| ns / SECOND).collect(), clock.jumps())
    }

    #[test]
    fn silence_and_small_disorder_are_no_jumps() {
        let packets = [(0, 100), (0, 160), (0, 150), (0, 9000), (0, 9001), (0, 20_000)];
        assert_eq!(times(&packets), (vec![100, 160, 150, 9000, 9001, 20_000], 0));
    }

    #[test]
    fn one_packet_with_a_wrong_time() {
        let year = 31_536_000;
        assert_eq!(times(&[(0, 100), (0, year), (0, 101)]), (vec![100, 100, 101], 1));
        assert_eq!(times(&[(0, year), (0, 100), (0, year + 1)]), (vec![year, year, year + 1], 1));
    }

    #[test]
    fn a_clock_that_was_set_back() {
        let packets = [(0, 10_000), (0, 10_001), (0, 6_401), (0, 6_403)];
        assert_eq!(times(&packets), (vec![10_000, 10_001, 10_001, 10_003], 1));
    }

    #[test]
    fn clocks_that_differ() {
        let packets = [(0, 10), (1, 3610), (0, 11), (1, 3612), (1, 3613), (0, 14)];
        assert_eq!(times(&packets), (vec![10, 10, 11, 12, 13, 14], 1));
        let back = [(0, 3610), (1, 10), (0, 3611), (1, 12)];
        assert_eq!(times(&back), (vec![3610, 3610, 3611, 3612], 1));
    }

    #[test]
    fn clocks_that_are_found_to_differ_late() {
        let packets = [(0, 10), (1, 7000), (1, 7001), (0, 11), (1, 7003)];
        assert_eq!(times(&packets), (vec![10, 7000, 7001, 11, 13], 1));
    }

    #[test]
    fn captures_one_after_the_other() {
        let packets = [(0, 10_000), (0, 10_001), (1, 90_000), (1, 90_001)];
        assert_eq!(times(&packets), (vec![10_000, 10_001, 90_000, 90_001], 0));
        let earlier = [(0, 90_000), (0, 90_001), (1, 10_000), (1, 10_001)];
        assert_eq!(times(&earlier), (vec![90_000, 90_001, 10_000, 10_001], 0));
    }

    #[test]
    fn times_beyond_all_measure_are_evened_out() {
        let ends = [i64::MIN, i64::MAX, 0, i64::MIN + 1, i64::MAX - 1];
        for (first, second, third) in ends.iter().flat_map(|&first| {
            ends.iter().flat_map(move |&second| ends.map(|third| (first, second, third)))
        }) {
            for interfaces in [[0; 6], [0, 1, 0, 1, 0, 1], [0, 1, 2, 0, 1, 2], [0, 0, 1, 1, 0, 1]] {
                let mut clock = PacketClock::new(30 * SECOND);
                let times = [first, second, third, first, third, second];
                for (interface, time_ns) in interfaces.into_iter().zip(times) {
                    clock.read(Moment { interface, time_ns });
                }
                clock.end();
            }
        }
    }

    #[test]
    fn any_number_of_interfaces_is_followed() {
        let packets: Vec<_> = (0..10_000).map(|k| (k, 100 + i64::from(k))).collect();
        let (times, jumps) = times(&packets);
        assert_eq!((times.len(), times[9_999], jumps), (10_000, 10_099, 0));
    }

    #[test]
    fn the_short_way_takes_what_does_not_jump() {
        let mut clock = PacketClock::new(30 * SECOND);
        let frame = |interface, seconds: i64| Frame {
            time_ns: seconds * SECOND,
            link: crate::Link::RawIp,
            link_number: 101,
            interface,
            bytes: &[],
            wire_length: 0,
        };
        assert!(!clock.takes(&[frame(0, 1)]), "the first has nothing to be compared with");
        clock.read(Moment { interface: 0, time_ns: SECOND });
        assert!(clock.takes(&[frame(0, 2), frame(0, 3)]));
        assert!(!clock.takes(&[frame(0, 4), frame(1, 5)]));
        assert!(!clock.takes(&[frame(0, 4), frame(0, 8000)]));
        assert_eq!(clock.read(Moment { interface: 0, time_ns: 4 * SECOND }).this, Some(4 * SECOND));
    }
}
