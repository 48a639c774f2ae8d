//! What a place has of a campaign's pace: its share of the rate, and its turns with addresses. It is a value:
//! who measures and the server's clock go in.
//!
//! Turns are by the server's clock, so nobody has to be asked. A place that joins takes half of one other
//! place's turns, and all others keep theirs. So two places never meet, while some of them know of another
//! one and some do not yet: it begins when that one place has given its half up.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::time::{Duration, Instant, SystemTime};

use pathspider_runtime::uptime;

use super::clock::Clock;
use crate::campaign::{Courtesy, Time};
use crate::wire;

/// At the end of each turn nobody begins anything for this long, beside the distance that connections keep:
/// two places may be [`MOST_ERROR`] and [`MOST_DRIFT`] wrong each, and a connection begins a little late.
const MARGIN: Duration = Duration::from_millis(750);

/// A place that knows the server's clock less well takes no turns.
pub(super) const MOST_ERROR: Duration = Duration::from_millis(200);

/// A run whose turns are so much beside those of the server's clock begins anew.
const MOST_DRIFT: Duration = Duration::from_millis(100);

/// A turn is open for so long at the least.
const LEAST_OPEN: Duration = Duration::from_millis(500);

/// Who measures a campaign, as one place knows it.
#[derive(Debug, Default)]
pub(super) struct Circle {
    /// The places that the campaign lists.
    listed: Vec<String>,
    /// The places that have joined, with the numbers of the messages by which they did. None leaves before
    /// all forget what they know.
    joined: BTreeMap<String, u64>,
    /// Those that have measured all.
    ready: BTreeSet<String>,
}

/// What a place has of the pace.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Share {
    /// Among how many places the rate is shared out.
    pub(super) places: usize,
    /// Its turns; `None` where there are none to take.
    pub(super) seat: Option<Seat>,
    /// What tells one order of the places from another: all take turns by the same.
    pub(super) order: String,
}

/// Which turns a place has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seat {
    index: u32,
    of: u32,
}

impl Circle {
    pub(super) fn new(listed: &[String]) -> Circle {
        Circle { listed: listed.to_vec(), ..Circle::default() }
    }

    /// The places of these are not known yet.
    pub(super) fn unknown<'a>(&self, places: &'a [String]) -> impl Iterator<Item = &'a String> {
        places.iter().filter(|place| !self.joined.contains_key(*place))
    }

    /// A place has joined by a message of this number.
    pub(super) fn join(&mut self, place: String, number: u64) {
        self.joined.insert(place, number);
    }

    pub(super) fn set_ready(&mut self, places: Vec<String>) {
        self.ready = places.into_iter().collect();
    }

    /// What was known of others may be wrong.
    pub(super) fn forget(&mut self) {
        (self.joined, self.ready) = Default::default();
    }

    /// Whether the campaign lists its places.
    pub(super) fn is_fixed(&self) -> bool {
        !self.listed.is_empty()
    }

    /// The other places that are at work.
    pub(super) fn others(&self, place: &str) -> impl Iterator<Item = &String> {
        self.joined.keys().filter(move |other| *other != place && !self.ready.contains(*other))
    }

    /// The places in their order.
    fn order(&self) -> Vec<&String> {
        if self.is_fixed() {
            return self.listed.iter().collect();
        }
        let mut joined: Vec<(&u64, &String)> =
            self.joined.iter().map(|(place, number)| (number, place)).collect();
        joined.sort();
        joined.into_iter().map(|(_, place)| place).collect()
    }

    /// What a place has of the pace; `turns`: whether turns are taken.
    pub(super) fn share(&self, place: &str, turns: bool) -> Share {
        let order = self.order();
        let places = order.iter().filter(|place| !self.ready.contains(**place)).count().max(1);
        if !turns {
            return Share { places, seat: None, order: String::new() };
        }
        let index = order.iter().position(|other| *other == place).unwrap_or_default() as u32;
        let count = order.len().max(1) as u32;
        let seat = if self.is_fixed() { Seat { index, of: count } } else { Seat::of(index, count) };
        let text: String = order.iter().flat_map(|place| [place.as_str(), "\n"]).collect();
        let order = wire::digest(text.as_bytes());
        Share { places, seat: Some(seat).filter(|seat| seat.of > 1), order }
    }

    /// The shard that a place begins with: each has another one, far from those of others.
    pub(super) fn first_shard(&self, place: &str, shards: u32) -> u32 {
        let order = self.order();
        let index = order.iter().position(|other| *other == place).unwrap_or_default() as u32;
        let (part, of) = if self.is_fixed() {
            (u64::from(index), order.len().max(1) as u64)
        } else {
            // Who comes next begins in the middle of the largest gap.
            (u64::from(index.reverse_bits()), 1 << 32)
        };
        (part * u64::from(shards) / of) as u32
    }
}

impl Seat {
    /// The turns of the place that came as the `index`-th, counted from 0, of so many. Those of all places
    /// are all turns; with one place more, one of them has only half of its own, and the others what they had.
    fn of(index: u32, count: u32) -> Seat {
        let whole = 1 << count.max(1).ilog2();
        let is_halved = index >= whole || index < count - whole;
        Seat { index, of: if is_halved { 2 * whole } else { whole } }
    }
}

/// How long turns are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rhythm {
    open: Duration,
    length: Duration,
}

impl Rhythm {
    /// The turns of a campaign; `None` where it keeps no distance.
    pub(super) fn of(courtesy: &Courtesy) -> Option<Rhythm> {
        let of_rate = courtesy.per_target_rate.map(|rate| Duration::from_secs_f64(1.0 / rate));
        let of_prefix = courtesy.prefix_spacing.map(|Time(time)| time);
        let spacing = of_rate.max(of_prefix)?;
        let open = (spacing * 2).max(LEAST_OPEN);
        Some(Rhythm { open, length: open + spacing + MARGIN })
    }
}

/// The turns of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turns {
    seat: Seat,
    rhythm: Rhythm,
    /// When a round begins.
    begin: Instant,
}

impl Turns {
    /// The turns of a run that begins now.
    pub(super) fn new(seat: Seat, rhythm: Rhythm, clock: &Clock, now: Instant) -> Turns {
        Turns { seat, rhythm, begin: next_round(seat, rhythm, clock, now) }
    }

    /// Whether they are still those of the server's clock.
    pub(super) fn hold(&self, clock: &Clock, now: Instant) -> bool {
        let round = round(self.seat, self.rhythm);
        let begin = next_round(self.seat, self.rhythm, clock, now);
        let between = match begin.checked_duration_since(self.begin) {
            Some(since) => since,
            None => self.begin - begin,
        };
        let off = between.as_nanos() % round.as_nanos();
        off.min(round.as_nanos() - off) <= MOST_DRIFT.as_nanos()
    }

    /// As `measure` takes them.
    ///
    /// # Errors
    ///
    /// The system does not say how long it is up.
    pub(super) fn word(&self) -> io::Result<OsString> {
        let Turns { seat, rhythm, begin } = self;
        let begin = uptime::read()? + begin.saturating_duration_since(Instant::now());
        Ok(format!(
            "--turns={}/{},{}/{},{}",
            seat.index + 1,
            seat.of,
            rhythm.open.as_secs_f64(),
            rhythm.length.as_secs_f64(),
            begin.as_secs_f64()
        )
        .into())
    }
}

fn round(seat: Seat, rhythm: Rhythm) -> Duration {
    rhythm.length.saturating_mul(seat.of)
}

/// When the next round of turns begins. The first one began in 1970.
fn next_round(seat: Seat, rhythm: Rhythm, clock: &Clock, now: Instant) -> Instant {
    let time = clock.now(now).duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let round = round(seat, rhythm).as_nanos();
    let left = round - time.as_nanos() % round;
    now + Duration::new((left / 1_000_000_000) as u64, (left % 1_000_000_000) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seats(count: u32) -> Vec<Seat> {
        (0..count).map(|index| Seat::of(index, count)).collect()
    }

    fn has(seat: &Seat, turn: u32) -> bool {
        turn % seat.of == seat.index
    }

    #[test]
    fn each_turn_is_one_places_and_who_joins_takes_from_one_alone() {
        for count in 1..40 {
            let (seats, more) = (seats(count), seats(count + 1));
            for turn in 0..128 {
                assert_eq!(seats.iter().filter(|seat| has(seat, turn)).count(), 1, "{turn}");
                for (before, after) in seats.iter().zip(&more) {
                    assert!(has(before, turn) || !has(after, turn), "nobody gains a turn");
                }
            }
            let changed = seats.iter().zip(&more).filter(|(before, after)| before != after);
            assert_eq!(changed.count(), 1);
        }
    }

    fn circle(listed: &[&str], joined: &[&str], ready: &[&str]) -> Circle {
        let texts = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let mut circle = Circle::new(&texts(listed));
        for (number, place) in (7..).zip(texts(joined)) {
            circle.join(place, number);
        }
        circle.set_ready(texts(ready));
        circle
    }

    #[test]
    fn a_rate_is_shared_among_those_that_have_work_and_turns_among_all() {
        let all = circle(&[], &["z", "b", "c"], &["b"]);
        let share = all.share("c", true);
        assert_eq!((share.places, share.seat), (2, Some(Seat { index: 2, of: 4 })));
        assert_eq!(all.share("z", true).order, share.order);
        assert_eq!(all.share("z", false), Share { places: 2, seat: None, order: String::new() });
        assert_eq!(all.others("z").collect::<Vec<_>>(), ["c"]);
        let other = circle(&[], &["b", "z", "c"], &["b"]);
        assert_ne!(other.share("c", true).order, share.order);
        let alone = circle(&[], &["z"], &[]).share("z", true);
        assert_eq!((alone.places, alone.seat), (1, None));
        let nobody = Circle::new(&[]).share("z", true);
        assert_eq!((nobody.places, nobody.seat), (1, None));
        let listed = circle(&["a", "b", "c"], &["c"], &["a"]).share("c", true);
        assert_eq!((listed.places, listed.seat), (2, Some(Seat { index: 2, of: 3 })));
    }

    #[test]
    fn places_begin_far_from_each_other() {
        let names = ["d", "c", "b", "a"];
        let firsts = |circle: &Circle| names.map(|place| circle.first_shard(place, 80));
        assert_eq!(firsts(&circle(&[], &names, &[])), [0, 40, 20, 60]);
        assert_eq!(firsts(&circle(&names, &["a"], &[])), [0, 20, 40, 60]);
        assert_eq!(circle(&[], &names, &[]).first_shard("a", 1), 0);
    }

    #[test]
    fn turns_are_as_long_as_distances_need() {
        let of = |per_target_rate, spacing: Option<u64>| {
            let prefix_spacing = spacing.map(|seconds| Time(Duration::from_secs(seconds)));
            Rhythm::of(&Courtesy { per_target_rate, prefix_spacing, ..Courtesy::default() })
        };
        let millis = Duration::from_millis;
        assert_eq!(of(None, None), None);
        assert_eq!(of(Some(10.0), None), Some(Rhythm { open: millis(500), length: millis(1350) }));
        assert_eq!(
            of(Some(0.5), Some(1)),
            Some(Rhythm { open: millis(4000), length: millis(6750) })
        );
        // All that is possible can be counted with.
        of(Some(1e-6), Some(365 * 86_400)).unwrap();
    }

    #[test]
    fn turns_are_the_servers_and_hold_while_its_clock_does() {
        let (now, time) = (Instant::now(), SystemTime::UNIX_EPOCH + Duration::from_secs(1000));
        let rhythm = Rhythm { open: Duration::from_secs(1), length: Duration::from_secs(3) };
        let seat = Seat { index: 1, of: 4 };
        let mut clock = Clock::default();
        clock.heard(time, now, now);
        let turns = Turns::new(seat, rhythm, &clock, now);
        assert_eq!(turns.begin - now, Duration::from_secs(8), "1008 is the next that 12 divides");
        let later = now + Duration::from_secs(100);
        assert!(turns.hold(&clock, later));
        for (millis, holds) in [(100_050, true), (100_200, false), (99_950, true), (99_700, false)]
        {
            clock.heard(time + Duration::from_millis(millis), later, later);
            assert_eq!(turns.hold(&clock, later), holds, "{millis}");
        }
        let word = turns.word().unwrap().into_string().unwrap();
        let begin: f64 = word.strip_prefix("--turns=2/4,1/3,").unwrap().parse().unwrap();
        let to_come = begin - uptime::read().unwrap().as_secs_f64();
        assert!((7.0..=8.1).contains(&to_come), "{to_come}");
    }
}
