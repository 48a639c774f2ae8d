//! How fast forged packets are sent: as fast as it goes, until the capture loses packets.
//!
//! Nothing else would slow them down: without connections there is no window. The rate is halved
//! when packets were lost, and grows by a fixed amount while none are (additive increase,
//! multiplicative decrease).

use std::time::{Duration, Instant};

/// How often the losses are looked at.
const INTERVAL: Duration = Duration::from_millis(50);

/// For how long after a decrease further losses are taken for consequences of the same burst: the
/// observer looks at the kernel's counter only so often.
const RECOVERY: Duration = Duration::from_millis(250);

/// Packets a second more, at each look.
const INCREASE: f64 = 500.0;

/// The lowest rate, in packets a second.
const LEAST: f64 = 500.0;

/// How far sending may run ahead of its rate: timers are no finer than a millisecond.
const BURST: Duration = Duration::from_millis(2);

pub(super) struct Pace {
    lost: Box<dyn Fn() -> u64>,
    lost_before: u64,
    looked: Instant,
    decreased: Option<Instant>,
    /// Packets since the last look.
    sent: u32,
    /// Packets a second; `None` while nothing was lost.
    rate: Option<f64>,
    /// When the next packet is due.
    due: Instant,
}

impl Pace {
    pub(super) fn new(lost: Box<dyn Fn() -> u64>, now: Instant) -> Pace {
        let lost_before = lost();
        Pace { lost, lost_before, looked: now, decreased: None, sent: 0, rate: None, due: now }
    }

    /// A packet was sent.
    pub(super) fn sent(&mut self) {
        self.sent += 1;
        if let Some(rate) = self.rate {
            self.due += Duration::from_secs_f64(1.0 / rate);
        }
    }

    /// How long to wait before the next packet.
    pub(super) fn pause(&mut self, now: Instant) -> Option<Duration> {
        if now.saturating_duration_since(self.looked) >= INTERVAL {
            self.look(now);
        }
        self.rate?;
        // Time that passed unused is not made up for.
        self.due = self.due.max(now);
        let ahead = self.due - now;
        (ahead > BURST).then_some(ahead)
    }

    fn look(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.looked).as_secs_f64();
        let measured = f64::from(self.sent) / elapsed;
        let lost = (self.lost)();
        let recovering = self.decreased.is_some_and(|since| now < since + RECOVERY);
        if lost > self.lost_before && !recovering {
            let rate = self.rate.map_or(measured, |rate| rate.min(measured));
            self.rate = Some((rate / 2.0).max(LEAST));
            self.decreased = Some(now);
            self.due = now;
        } else if lost == self.lost_before {
            self.rate = self.rate.map(|rate| rate + INCREASE);
        }
        self.lost_before = lost;
        self.looked = now;
        self.sent = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    const STEP: Duration = Duration::from_micros(10);

    /// Sends for this long, and gives the rate; `loses` says whether packets are lost at a rate.
    fn send(pace: &mut Pace, now: &mut Instant, time: Duration) -> f64 {
        let (end, mut sent) = (*now + time, 0.0);
        while *now < end {
            match pace.pause(*now) {
                Some(pause) => *now += pause,
                None => {
                    pace.sent();
                    sent += 1.0;
                    *now += STEP;
                }
            }
        }
        sent / time.as_secs_f64()
    }

    #[test]
    fn slows_down_while_packets_are_lost_and_recovers() {
        let lost = Rc::new(Cell::new(0));
        let counter = Rc::clone(&lost);
        let mut now = Instant::now();
        let mut pace = Pace::new(Box::new(move || counter.get()), now);
        let second = Duration::from_secs(1);
        let full = send(&mut pace, &mut now, second);
        assert!(full > 99_000.0, "{full}");
        lost.set(10);
        let halved = send(&mut pace, &mut now, INTERVAL * 4);
        assert!(halved < full * 0.7, "{halved}");
        for _ in 0..200 {
            lost.set(lost.get() + 1);
            send(&mut pace, &mut now, INTERVAL);
        }
        let least = send(&mut pace, &mut now, INTERVAL);
        assert!(least < 10.0 * LEAST, "{least}");
        let recovered = (0..20).map(|_| send(&mut pace, &mut now, second)).last().unwrap();
        assert!(recovered > full * 0.8, "{recovered}");
    }
}
