//! Decides when a connection may start: at a steady rate over all, and with a distance in time to
//! the last one to the same address or prefix.
//!
//! A connection that must wait for its address or prefix, or for the turn that this place has with it
//! (`turns`), is held here, so that the scheduler only sees those that may start, and nobody waits for
//! somebody else's prefix. Time is an argument.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::hash::Hash;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::turns::{Gate, Rank, Turns};

/// How far the overall rate may lag and still catch up: timers are coarse, and beyond it no burst
/// shall follow a stall. Over any second it is one hundredth too much at the most.
const CATCH_UP: Duration = Duration::from_millis(10);

/// The limits of a run; none by default.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Limits {
    /// Connections a second.
    pub rate: Option<f64>,
    /// Time between connections to one address.
    pub address_spacing: Option<Duration>,
    /// Time between connections to one /24 (IPv4) or /48 (IPv6).
    pub prefix_spacing: Option<Duration>,
    /// Where other places measure the same addresses: when they are this one's.
    pub turns: Option<Turns>,
}

impl Limits {
    /// Whether connections to one target must keep a distance in time.
    pub(super) fn space_targets(&self) -> bool {
        self.address_spacing.is_some() || self.prefix_spacing.is_some()
    }

    /// The gate for the turns of jobs with so many connections.
    fn gate<T>(&self, connections: usize) -> Option<Gate<T>> {
        let spacing = self.address_spacing.max(self.prefix_spacing).unwrap_or_default();
        let others = u32::try_from(connections.saturating_sub(1)).unwrap_or(u32::MAX);
        Some(Gate::new(self.turns?, spacing.saturating_mul(others)))
    }
}

/// The pace of a run.
pub(super) struct Pace<T> {
    interval: Option<Duration>,
    /// When the next connection may start by the overall rate.
    next: Option<Instant>,
    addresses: Option<Spacing<IpAddr, T>>,
    prefixes: Option<Spacing<IpAddr, T>>,
    turns: Option<Gate<T>>,
}

/// What is to be paced.
pub(super) trait Paced {
    /// Where it connects to; `None` where it is not known.
    fn target(&self) -> Option<IpAddr>;

    /// Whether it goes before those that are not: a job that was begun is to be finished.
    fn is_begun(&self) -> bool;
}

impl<T: Paced> Pace<T> {
    /// The pace of jobs with so many connections.
    pub(super) fn new(limits: &Limits, connections: usize) -> Pace<T> {
        Pace {
            interval: limits.rate.map(|rate| Duration::from_secs_f64(1.0 / rate)),
            next: None,
            addresses: limits.address_spacing.map(Spacing::new),
            prefixes: limits.prefix_spacing.map(Spacing::new),
            turns: limits.gate(connections),
        }
    }

    /// Takes a connection that is to be made, and gives it back where it may start by its address
    /// and prefix; [`start`](Pace::start) is to follow. Otherwise it is held.
    pub(super) fn enter(&mut self, ticket: T, now: Instant) -> Option<T> {
        let Some(target) = ticket.target() else { return Some(ticket) };
        let ticket = match &mut self.addresses {
            Some(addresses) => addresses.enter(target, ticket, now)?,
            None => ticket,
        };
        self.enter_prefix(target, ticket, now)
    }

    fn enter_prefix(&mut self, target: IpAddr, ticket: T, now: Instant) -> Option<T> {
        let ticket = match &mut self.prefixes {
            Some(prefixes) => prefixes.enter(prefix(target), ticket, now)?,
            None => ticket,
        };
        self.enter_turn(ticket, now)
    }

    fn enter_turn(&mut self, ticket: T, now: Instant) -> Option<T> {
        let (Some(turns), Some(target)) = (&mut self.turns, ticket.target()) else {
            return Some(ticket);
        };
        let key = if self.prefixes.is_some() { prefix(target) } else { target };
        let rank = if ticket.is_begun() { Rank::Begun } else { Rank::New };
        turns.enter(key, rank, ticket, now)
    }

    /// The next held connection that may start by now.
    pub(super) fn release(&mut self, now: Instant) -> Option<T> {
        while let Some(ticket) = self.addresses.as_mut().and_then(|held| held.release(now)) {
            let Some(target) = ticket.target() else { return Some(ticket) };
            if let Some(ticket) = self.enter_prefix(target, ticket, now) {
                return Some(ticket);
            }
        }
        while let Some(ticket) = self.prefixes.as_mut().and_then(|held| held.release(now)) {
            if let Some(ticket) = self.enter_turn(ticket, now) {
                return Some(ticket);
            }
        }
        self.turns.as_mut()?.release(now)
    }

    /// Until when the overall rate allows no connection.
    pub(super) fn wait(&self, now: Instant) -> Option<Instant> {
        self.next.filter(|&next| next > now)
    }

    /// A connection that was given back starts now, and is given back again; `None` where its turn has
    /// passed while it waited for something else. Then it is held for the next one.
    pub(super) fn start(&mut self, ticket: T, now: Instant) -> Option<T> {
        let ticket = self.enter_turn(ticket, now)?;
        if let Some(interval) = self.interval {
            let due = self.next.unwrap_or(now);
            let latest = now.checked_sub(CATCH_UP).unwrap_or(now);
            self.next = Some(due.max(latest) + interval);
        }
        let Some(target) = ticket.target() else { return Some(ticket) };
        if let Some(addresses) = &mut self.addresses {
            addresses.started(target, now);
        }
        if let Some(prefixes) = &mut self.prefixes {
            prefixes.started(prefix(target), now);
        }
        Some(ticket)
    }

    /// When a held connection may start at the earliest.
    pub(super) fn next_release(&self) -> Option<Instant> {
        let spacings = [&self.addresses, &self.prefixes];
        let spacings = spacings.into_iter().flatten().filter_map(Spacing::next);
        spacings.chain(self.turns.as_ref().and_then(Gate::next)).min()
    }

    /// How many connections are held.
    pub(super) fn held(&self) -> usize {
        let spacings = [&self.addresses, &self.prefixes].into_iter().flatten();
        let for_turns = self.turns.as_ref().map_or(0, Gate::held);
        spacings.map(|spacing| spacing.held).sum::<usize>() + for_turns
    }

    /// A connection that was given back will not start after all.
    pub(super) fn cancelled(&mut self, ticket: &T, now: Instant) {
        let Some(target) = ticket.target() else { return };
        if let Some(addresses) = &mut self.addresses {
            addresses.cancelled(target, now);
        }
        if let Some(prefixes) = &mut self.prefixes {
            prefixes.cancelled(prefix(target), now);
        }
    }

    /// A connection that was [`start`](Pace::start)ed has then sent nothing to its address: it is as if
    /// it had never been let through.
    pub(super) fn not_sent(&mut self, ticket: &T, started: Instant, now: Instant) {
        if let (Some(interval), Some(next)) = (self.interval, self.next) {
            self.next = next.checked_sub(interval);
        }
        let Some(target) = ticket.target() else { return };
        if let Some(addresses) = &mut self.addresses {
            addresses.not_sent(target, started, now);
        }
        if let Some(prefixes) = &mut self.prefixes {
            prefixes.not_sent(prefix(target), started, now);
        }
    }

    /// Drops the held connections of jobs that are not begun, and gives them.
    pub(super) fn drop_unbegun(&mut self, now: Instant) -> Vec<T> {
        let mut dropped = self.addresses.as_mut().map_or_else(Vec::new, Spacing::drop_unbegun);
        // What waited for its turn had its address and its prefix already.
        let late = self.turns.as_mut().map_or_else(Vec::new, Gate::drop_unbegun);
        late.iter().for_each(|ticket| self.cancelled(ticket, now));
        dropped.extend(late);
        // What waited for its prefix had its address already.
        let gone = self.prefixes.as_mut().map_or_else(Vec::new, Spacing::drop_unbegun);
        for target in gone.iter().filter_map(Paced::target) {
            if let Some(addresses) = &mut self.addresses {
                addresses.cancelled(target, now);
            }
        }
        dropped.extend(gone);
        dropped
    }
}

/// The prefix of an address, which shares a pace: /24 or /48, what is announced to the whole Internet at the
/// least.
pub(crate) fn prefix(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() & !0xff).into()),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 80 << 80).into()),
    }
}

/// Holds what must keep a distance in time to the last of the same key.
struct Spacing<K, T> {
    spacing: Duration,
    keys: HashMap<K, Key<T>>,
    /// When keys that were used may be again.
    due: BinaryHeap<Reverse<(Instant, K)>>,
    held: usize,
}

/// A key in use: one went on and has not started, or started not long enough ago.
struct Key<T> {
    /// When the last one's distance is kept; `None` until it has started.
    free: Option<Instant>,
    waiting: VecDeque<T>,
}

impl<K: Copy + Eq + Hash + Ord, T: Paced> Spacing<K, T> {
    fn new(spacing: Duration) -> Spacing<K, T> {
        Spacing { spacing, keys: HashMap::new(), due: BinaryHeap::new(), held: 0 }
    }

    fn enter(&mut self, key: K, item: T, now: Instant) -> Option<T> {
        match self.keys.get_mut(&key) {
            // Its distance is kept, and nobody was held for it: `release` would forget it.
            Some(used) if used.waiting.is_empty() && used.free.is_some_and(|free| free <= now) => {
                used.free = None;
                Some(item)
            }
            Some(used) => {
                let begun = used.waiting.iter().take_while(|other| other.is_begun()).count();
                let place = if item.is_begun() { begun } else { used.waiting.len() };
                used.waiting.insert(place, item);
                self.held += 1;
                None
            }
            None => {
                self.keys.insert(key, Key { free: None, waiting: VecDeque::new() });
                Some(item)
            }
        }
    }

    fn started(&mut self, key: K, now: Instant) {
        let free = now + self.spacing;
        if let Some(used) = self.keys.get_mut(&key) {
            used.free = Some(free);
            self.due.push(Reverse((free, key)));
        }
    }

    fn release(&mut self, now: Instant) -> Option<T> {
        while let Some(&Reverse((at, key))) = self.due.peek().filter(|due| due.0.0 <= now) {
            self.due.pop();
            let Some(used) = self.keys.get_mut(&key) else { continue };
            if used.free != Some(at) {
                // It has been used again since.
                continue;
            }
            if let Some(item) = used.waiting.pop_front() {
                used.free = None;
                self.held -= 1;
                return Some(item);
            }
            self.keys.remove(&key);
        }
        None
    }

    fn next(&self) -> Option<Instant> {
        self.due.peek().filter(|_| self.held > 0).map(|due| due.0.0)
    }

    /// What has started with this key was not sent. Its own distance was kept already.
    fn not_sent(&mut self, key: K, started: Instant, now: Instant) {
        let Some(used) = self.keys.get_mut(&key) else { return };
        // Another one may have started since.
        if used.free == Some(started + self.spacing) {
            used.free = None;
            self.cancelled(key, now);
        }
    }

    /// What went on with this key never starts: the next may. Its own distance was kept already.
    fn cancelled(&mut self, key: K, now: Instant) {
        if let Some(used) = self.keys.get_mut(&key)
            && used.free.is_none()
        {
            used.free = Some(now);
            self.due.push(Reverse((now, key)));
        }
    }

    fn drop_unbegun(&mut self) -> Vec<T> {
        let mut dropped = Vec::new();
        for key in self.keys.values_mut() {
            let (kept, gone): (VecDeque<T>, VecDeque<T>) =
                key.waiting.drain(..).partition(Paced::is_begun);
            key.waiting = kept;
            dropped.extend(gone);
        }
        self.held -= dropped.len();
        dropped
    }
}

#[cfg(test)]
mod tests;
