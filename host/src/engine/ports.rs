//! Holds connections back while every local port toward their endpoint is taken.
//!
//! The kernel keeps the port of a closed connection for a minute (TIME-WAIT, RFC 9293, section
//! 3.3.2), but only toward the same address and port. So a shortage concerns one endpoint: others
//! go on, and the connections to this one start as ports come free. Time is an argument.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long to wait after a failed try: the kernel looks at every port for it, and so at nearly
/// every one while few are free.
const RETRY: Duration = Duration::from_secs(1);

/// How many may try at the same time, at the most: each may be in vain.
const BATCH: usize = 16;

/// Without a free port for this long, whoever has them does not give them back: twice what the
/// kernel keeps them for.
const PATIENCE: Duration = Duration::from_secs(120);

/// The endpoints toward which ports are short.
pub(super) struct Ports<T> {
    short: HashMap<SocketAddr, Shortage<T>>,
}

struct Shortage<T> {
    waiting: VecDeque<T>,
    /// When the next may try, and how many.
    next: Instant,
    batch: usize,
    /// How many were released and have not tried yet.
    released: usize,
    /// When there was a free port.
    last: Instant,
}

impl<T> Default for Ports<T> {
    fn default() -> Ports<T> {
        Ports { short: HashMap::new() }
    }
}

impl<T> Ports<T> {
    /// Takes a connection that is about to try, and gives it back where it may: others may wait for
    /// a port before it.
    #[inline]
    pub(super) fn enter(&mut self, remote: SocketAddr, item: T) -> Option<T> {
        if self.short.is_empty() {
            return Some(item);
        }
        match self.short.get_mut(&remote) {
            None => Some(item),
            Some(shortage) if shortage.released > 0 => {
                shortage.released -= 1;
                Some(item)
            }
            Some(shortage) => {
                shortage.waiting.push_back(item);
                None
            }
        }
    }

    /// A connection found no port; gives it back where waiting longer would be in vain.
    pub(super) fn hold(&mut self, remote: SocketAddr, item: T, now: Instant) -> Option<T> {
        let shortage = self.short.entry(remote).or_insert_with(|| Shortage {
            waiting: VecDeque::new(),
            next: now,
            batch: 1,
            released: 0,
            last: now,
        });
        if shortage.is_lasting(now) {
            return Some(item);
        }
        shortage.waiting.push_back(item);
        (shortage.next, shortage.batch) = (now + RETRY, 1);
        None
    }

    /// A connection found a port.
    #[inline]
    pub(super) fn found(&mut self, remote: SocketAddr, now: Instant) {
        if self.short.is_empty() {
            return;
        }
        if let Some(shortage) = self.short.get_mut(&remote) {
            (shortage.next, shortage.last) = (now, now);
            shortage.batch = (shortage.batch * 2).min(BATCH);
        }
    }

    /// Those that may try now.
    pub(super) fn release(&mut self, now: Instant) -> Vec<T> {
        let mut released = Vec::new();
        self.short.retain(|_, shortage| {
            if shortage.next <= now {
                let lasting = shortage.is_lasting(now);
                let count = if lasting { usize::MAX } else { shortage.batch };
                let count = count.min(shortage.waiting.len());
                released.extend(shortage.waiting.drain(..count));
                if count > 0 {
                    shortage.released = count;
                }
                shortage.next = now + RETRY;
                // What was released before has come back or has found a port by then, or waits for its turn.
                return shortage.released > 0;
            }
            true
        });
        released
    }

    /// When the next may try.
    pub(super) fn next(&self) -> Option<Instant> {
        self.short.values().map(|shortage| shortage.next).min()
    }

    /// Takes out those that `wanted` does not keep.
    pub(super) fn drop_unless(&mut self, wanted: impl Fn(&T) -> bool) -> Vec<T> {
        let mut dropped = Vec::new();
        for shortage in self.short.values_mut() {
            let (kept, gone): (VecDeque<T>, VecDeque<T>) =
                shortage.waiting.drain(..).partition(&wanted);
            shortage.waiting = kept;
            dropped.extend(gone);
        }
        dropped
    }
}

impl<T> Shortage<T> {
    fn is_lasting(&self, now: Instant) -> bool {
        now.duration_since(self.last) >= PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(last: u8) -> SocketAddr {
        ([192, 0, 2, last], 80).into()
    }

    #[test]
    fn more_and_more_try_while_ports_are_found() {
        let (mut ports, start) = (Ports::default(), Instant::now());
        for item in 0..10 {
            assert_eq!(ports.hold(remote(1), item, start), None::<i32>);
        }
        assert!(ports.release(start).is_empty());
        let later = start + RETRY;
        assert_eq!(ports.next(), Some(later));
        assert_eq!(ports.release(later), [0]);
        ports.found(remote(1), later);
        assert_eq!(ports.release(later), [1, 2]);
        ports.found(remote(1), later);
        ports.found(remote(2), later);
        assert_eq!(ports.hold(remote(1), 2, later), None);
        assert!(ports.release(later).is_empty(), "there was none for one of them");
        assert_eq!(ports.release(later + RETRY), [3]);
    }

    #[test]
    fn who_comes_later_waits_with_the_others() {
        let (mut ports, start) = (Ports::default(), Instant::now());
        assert_eq!(ports.enter(remote(1), 'a'), Some('a'));
        ports.hold(remote(1), 'a', start);
        assert_eq!(ports.enter(remote(1), 'b'), None);
        assert_eq!(ports.enter(remote(2), 'c'), Some('c'));
        assert_eq!(ports.release(start + RETRY), ['a']);
        assert_eq!(ports.enter(remote(1), 'a'), Some('a'));
        assert_eq!(ports.enter(remote(1), 'd'), None);
        ports.found(remote(1), start + RETRY);
        assert_eq!(ports.release(start + RETRY), ['b', 'd']);
    }

    #[test]
    fn endpoints_do_not_wait_for_each_other() {
        let (mut ports, start) = (Ports::default(), Instant::now());
        ports.hold(remote(1), 'a', start);
        ports.hold(remote(2), 'b', start + RETRY / 2);
        assert_eq!(ports.release(start + RETRY), ['a']);
        assert_eq!(ports.release(start + RETRY * 2), ['b']);
        assert_eq!(ports.enter(remote(1), 'a'), Some('a'));
        assert_eq!(ports.enter(remote(2), 'b'), Some('b'));
        assert!(ports.release(start + RETRY * 4).is_empty());
        assert_eq!(ports.next(), None, "nobody waits");
    }

    #[test]
    fn who_tries_late_does_not_wait_for_ever_either() {
        let (mut ports, start) = (Ports::default(), Instant::now());
        ports.hold(remote(1), 'a', start);
        let mut now = start;
        let given_up = loop {
            now += RETRY;
            let Some(&item) = ports.release(now).first() else { continue };
            // It has its turn much later.
            (0..5).for_each(|seconds| assert!(ports.release(now + RETRY * seconds).is_empty()));
            now += RETRY * 5;
            assert_eq!(ports.enter(remote(1), item), Some('a'));
            if ports.hold(remote(1), item, now).is_some() {
                break now - start;
            }
        };
        assert!(given_up < PATIENCE + RETRY * 10, "{given_up:?}");
    }

    #[test]
    fn nobody_waits_for_ever() {
        let (mut ports, start) = (Ports::default(), Instant::now());
        ports.hold(remote(1), 'a', start);
        ports.hold(remote(1), 'b', start);
        ports.hold(remote(1), 'c', start);
        let (mut now, mut given_up) = (start, Vec::new());
        while given_up.len() < 3 {
            now = ports.next().unwrap();
            for item in ports.release(now) {
                given_up.extend(ports.hold(remote(1), item, now));
            }
        }
        assert_eq!(now.duration_since(start).as_secs(), PATIENCE.as_secs());
    }

    #[test]
    fn those_that_need_not_start_any_more_are_dropped() {
        let (mut ports, start) = (Ports::default(), Instant::now());
        for item in 0..6 {
            ports.hold(remote(item % 2), item, start);
        }
        assert_eq!(ports.drop_unless(|item| *item > 3).len(), 4);
        assert_eq!(ports.release(start + RETRY).len(), 2);
    }
}
