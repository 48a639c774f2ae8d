//! Turns: several places measure the same targets, and no two of them at the same time the same address or
//! prefix. Time is divided into turns of one length, the addresses into as many parts as there are places,
//! and in each turn a place has another part. Whoever starts this program says which place this one is, and
//! when turns begin.
//!
//! The time between two turns, in which nobody begins a connection, is for clocks that differ and for the
//! distance that the last connection of one turn keeps to the first of the next.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::{Duration, Instant};

use ring::digest::{SHA256, digest};

/// Places at the most.
const MOST: u32 = 1 << 20;

/// A turn at the most, in seconds: ten years. And when turns begin at the latest.
const LONGEST: f64 = 10.0 * 365.0 * 86_400.0;
const LATEST: f64 = 1e15;

/// Which turns are this place's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Turns {
    /// Which of the places this one is, from 0.
    index: u32,
    of: u32,
    /// How long connections may begin in a turn, and how long it is in all.
    open: Duration,
    length: Duration,
    /// When a turn began in which place 0 has part 0. It may be to come.
    begin: Instant,
}

/// `2/8,1.5/2.5,86400.25`: the second of eight places; connections begin in the first 1.5 seconds of turns
/// of 2.5 seconds; one that begins a round began 86,400.25 seconds after the system's start.
impl FromStr for Turns {
    type Err = String;

    fn from_str(text: &str) -> Result<Turns, String> {
        let wrong = || {
            "write I/N,OPEN/LENGTH,BEGIN, such as 2/8,1.5/2.5,86400.25: times in seconds, the last one since \
             the system's start"
                .to_owned()
        };
        let parts: Vec<&str> = text.split(',').collect();
        let [place, times, begin] = parts[..] else { return Err(wrong()) };
        let number = |text: &str| text.parse::<u32>().ok();
        let up_to = |most: f64, text: &str| {
            let seconds = text.parse::<f64>().ok().filter(|time| (0.0..=most).contains(time));
            seconds.map(Duration::from_secs_f64)
        };
        let seconds = |text: &str| up_to(LONGEST, text);
        let of_place = place.split_once('/').and_then(|(n, of)| number(n).zip(number(of)));
        let of_times = times.split_once('/').and_then(|(a, b)| seconds(a).zip(seconds(b)));
        let (Some((number, of)), Some((open, length)), Some(begin)) =
            (of_place, of_times, up_to(LATEST, begin))
        else {
            return Err(wrong());
        };
        if !(1..=MOST).contains(&of) || !(1..=of).contains(&number) {
            return Err(format!(
                "the places are numbered from 1, and there are {MOST} at the most"
            ));
        }
        if open.is_zero() || open > length {
            return Err("a turn is open for some time, and not for longer than it lasts".to_owned());
        }
        let uptime = pathspider_runtime::uptime::read()
            .map_err(|error| format!("cannot read how long the system is up: {error}"))?;
        let (now, round) = (Instant::now(), length.saturating_mul(of));
        // The next round: what lies before the system's start would be no time for this clock.
        let begin = match begin.checked_sub(uptime) {
            Some(to_come) => now + to_come,
            None => now + round - rest(uptime - begin, round),
        };
        Ok(Turns { index: number - 1, of, open, length, begin })
    }
}

/// What is left of a time after whole rounds.
fn rest(time: Duration, round: Duration) -> Duration {
    nanos(time.as_nanos() % round.as_nanos().max(1))
}

fn nanos(nanos: u128) -> Duration {
    Duration::new((nanos / 1_000_000_000) as u64, (nanos % 1_000_000_000) as u32)
}

impl Turns {
    /// The part of a key, from 0. All places divide alike, in every version of this program.
    fn part_of(&self, key: IpAddr) -> u32 {
        let sum = match key {
            IpAddr::V4(key) => digest(&SHA256, &key.octets()),
            IpAddr::V6(key) => digest(&SHA256, &key.octets()),
        };
        let number = sum.as_ref().iter().take(8).fold(0, |all, &octet| all << 8 | u64::from(octet));
        // Below `of`, which is a u32.
        (number % u64::from(self.of)) as u32
    }

    /// When a connection to a key may begin: now, or in the next turn. In the last part of a turn that is
    /// `kept`, none does.
    fn opens(&self, key: IpAddr, kept: Duration, now: Instant) -> Instant {
        let round = self.length.saturating_mul(self.of);
        let phase = match now.checked_duration_since(self.begin) {
            Some(since) => rest(since, round),
            None => rest(round - rest(self.begin - now, round), round),
        };
        let turn = (self.index + self.of - self.part_of(key)) % self.of;
        let begins = self.length.saturating_mul(turn);
        // A turn that is too short for a whole job begins one at its begin at least.
        let open = self.open.checked_sub(kept).unwrap_or(Duration::ZERO).max(self.open / 4);
        match phase.checked_sub(begins) {
            Some(into) if into < open => now,
            Some(into) => now + (round - into),
            None => now + (begins - phase),
        }
    }
}

/// Holds connections until the turn of their address or prefix.
pub(super) struct Gate<T> {
    turns: Turns,
    /// At the end of a turn, so long no job begins: its other connections are to come in the same turn.
    kept: Duration,
    held: BTreeMap<(Instant, Rank, u64), (IpAddr, T)>,
    count: u64,
}

/// Which connections go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Those of a job that was begun.
    Begun,
    New,
}

impl<T> Gate<T> {
    pub(super) fn new(turns: Turns, kept: Duration) -> Gate<T> {
        Gate { turns, kept, held: BTreeMap::new(), count: 0 }
    }

    /// Gives a connection back that may begin now. Another one is held.
    pub(super) fn enter(&mut self, key: IpAddr, rank: Rank, item: T, now: Instant) -> Option<T> {
        let kept = match rank {
            Rank::Begun => Duration::ZERO,
            Rank::New => self.kept,
        };
        let opens = self.turns.opens(key, kept, now);
        if opens <= now {
            return Some(item);
        }
        self.count += 1;
        self.held.insert((opens, rank, self.count), (key, item));
        None
    }

    /// The next one whose turn has come.
    pub(super) fn release(&mut self, now: Instant) -> Option<T> {
        while let Some(first) = self.held.first_entry().filter(|first| first.key().0 <= now) {
            let rank = first.key().1;
            let (key, item) = first.remove();
            // Somebody slept, and the turn may be over.
            if let Some(item) = self.enter(key, rank, item, now) {
                return Some(item);
            }
        }
        None
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.held.first_key_value().map(|((opens, ..), _)| *opens)
    }

    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    pub(super) fn drop_unbegun(&mut self) -> Vec<T> {
        let held = std::mem::take(&mut self.held);
        let (kept, gone): (BTreeMap<_, _>, BTreeMap<_, _>) =
            held.into_iter().partition(|((_, rank, _), _)| *rank == Rank::Begun);
        self.held = kept;
        gone.into_values().map(|(_, item)| item).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn turns(index: u32, of: u32, begin: Instant) -> Turns {
        Turns { index, of, open: SECOND * 2, length: SECOND * 3, begin }
    }

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn an_address_is_one_places_at_a_time_and_each_place_s_once_a_round() {
        let begin = Instant::now();
        for key in (0..50).map(address) {
            let mut had = [0; 5];
            // Before the begin, too.
            for half in 0..60 {
                let now = begin - SECOND * 15 + SECOND / 2 * half;
                let opens = |index| turns(index, 5, begin).opens(key, Duration::ZERO, now);
                let open: Vec<usize> = (0..5)
                    .filter(|&index| opens(index) == now)
                    .map(|index| index as usize)
                    .collect();
                assert_eq!(open.len(), usize::from(half % 6 < 4), "{half}: {open:?}");
                open.iter().for_each(|&index| had[index] += 1);
                for index in 0..5 {
                    let wait = opens(index) - now;
                    assert!(wait <= SECOND * 15, "{wait:?}");
                    let then = turns(index, 5, begin).opens(key, Duration::ZERO, opens(index));
                    assert_eq!(then, opens(index), "what was announced holds");
                }
            }
            assert_eq!(had, [8; 5]);
        }
        let parts = (0..100).map(|last| turns(0, 5, begin).part_of(address(last)));
        assert_eq!(parts.collect::<std::collections::BTreeSet<u32>>().len(), 5);
    }

    #[test]
    fn a_job_begins_where_all_of_it_has_room_and_what_was_begun_goes_first() {
        let begin = Instant::now();
        let key = address(1);
        let turns = turns(0, 2, begin);
        let first = turns.opens(key, Duration::ZERO, begin);
        let mut gate = Gate::new(turns, SECOND);
        assert_eq!(gate.enter(key, Rank::New, 1, first + SECOND / 2), Some(1));
        let late = first + SECOND * 3 / 2;
        assert_eq!(
            gate.enter(key, Rank::New, 2, late),
            None,
            "its second connection would come too late"
        );
        assert_eq!(gate.enter(key, Rank::Begun, 101, late), Some(101));
        assert_eq!(gate.enter(key, Rank::Begun, 102, first + SECOND * 2), None);
        let next = first + SECOND * 6;
        assert_eq!((gate.held(), gate.next()), (2, Some(next)));
        assert_eq!(gate.release(next - SECOND / 10), None);
        // Who slept through it waits for another one.
        assert_eq!(gate.release(next + SECOND * 5 / 2), None);
        let next = next + SECOND * 6;
        assert_eq!(gate.next(), Some(next));
        assert_eq!(gate.release(next), Some(102));
        assert_eq!(gate.release(next), Some(2));
        assert_eq!((gate.release(next), gate.next()), (None, None));
        assert_eq!(
            (gate.enter(key, Rank::Begun, 103, late), gate.enter(key, Rank::New, 3, late)),
            (Some(103), None)
        );
        assert_eq!((gate.drop_unbegun(), gate.held()), (vec![3], 0));
    }

    #[test]
    fn turns_are_read() {
        let uptime = pathspider_runtime::uptime::read().unwrap().as_secs_f64();
        for begin in [uptime + 100.0, uptime - uptime / 2.0, 0.0] {
            let read: Turns = format!("2/8,1.5/2.5,{begin}").parse().unwrap();
            assert_eq!((read.index, read.of), (1, 8));
            assert_eq!((read.open, read.length), (SECOND * 3 / 2, SECOND * 5 / 2));
            let to_come = (read.begin - Instant::now()).as_secs_f64();
            let off = (to_come - (begin - uptime)).rem_euclid(20.0);
            assert!(!(1.0..=19.0).contains(&off), "{off}");
        }
        for text in [
            "",
            "1/2",
            "0/2,1/2,3",
            "3/2,1/2,3",
            "1/2,0/2,3",
            "1/2,3/2,3",
            "1/2,1/2,-1",
            "1/2,1/2,nan",
            "1/2,1/2,1e300",
            "1/2,1/2,3,4",
            "1/9999999,1/2,3",
            "x/2,1/2,3",
        ] {
            assert!(text.parse::<Turns>().is_err(), "{text}");
        }
    }
}
