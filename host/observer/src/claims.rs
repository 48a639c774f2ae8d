//! Connections that have ended and wait for the record of their flow.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::key::{Key, Peer};
use super::notice::Claim;
use super::table::NONE;

/// A claim that was not answered yet.
pub(crate) struct Pending {
    pub(crate) id: u64,
    pub(crate) key: Key,
    pub(crate) remote: Peer,
    pub(crate) started_ns: i64,
    pub(crate) ended_ns: i64,
    /// The flow that it claims, or `NONE` when none was seen yet.
    pub(crate) flow: u32,
    /// When, in packet time, it is answered with what was seen.
    due_ns: i64,
    /// Whether that stands already.
    is_due_known: bool,
    /// Tells it from others that had its place.
    serial: u64,
}

/// How far the clock of a claim and that of packets may be apart. Both are the system's, but a
/// packet's time may be taken a little after the call that sent it has returned.
pub(crate) const TOLERANCE_NS: i64 = 1_000_000;

/// All claims that were not answered yet.
#[derive(Default)]
pub(crate) struct Claims {
    pending: Vec<Option<Pending>>,
    free: Vec<u32>,
    count: usize,
    serial: u64,
    /// Claims by due time. Those that were answered or rescheduled are passed over.
    due: BinaryHeap<Reverse<(i64, u64, u32)>>,
    /// Claims in the order of their arrival, with the monotonic time of it.
    arrived: VecDeque<(Duration, u64, u32)>,
    /// Claims without a flow.
    waiting: HashMap<Key, Vec<u32>, RandomState>,
}

impl Claims {
    /// The number of claims.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Adds a claim that has no flow yet; `now` is monotonic.
    pub(crate) fn add(&mut self, mut claim: Pending, due_ns: i64, now: Duration) -> u32 {
        self.serial += 1;
        self.count += 1;
        claim.serial = self.serial;
        claim.due_ns = due_ns;
        let key = claim.key;
        let index = match self.free.pop() {
            Some(index) => {
                self.pending[index as usize] = Some(claim);
                index
            }
            None => {
                self.pending.push(Some(claim));
                (self.pending.len() - 1) as u32
            }
        };
        self.due.push(Reverse((due_ns, self.serial, index)));
        self.arrived.push_back((now, self.serial, index));
        self.waiting.entry(key).or_default().push(index);
        index
    }

    /// The claim at a place that is not answered.
    pub(crate) fn get(&self, index: u32) -> Option<&Pending> {
        self.pending.get(index as usize)?.as_ref()
    }

    /// Connects a claim to its flow.
    pub(crate) fn attach(&mut self, index: u32, flow: u32) {
        if let Some(Some(claim)) = self.pending.get_mut(index as usize) {
            claim.flow = flow;
            let key = claim.key;
            self.forget_waiting(&key, index);
        }
    }

    /// The claim without a flow to which a flow belongs that begins at `time_ns`: its connection
    /// lasted then, or had ended less than `grace_ns` before.
    pub(crate) fn waiting_for(&self, key: &Key, time_ns: i64, grace_ns: i64) -> Option<u32> {
        let waiting = self.waiting.get(key)?;
        let within = |after: i64| {
            waiting.iter().copied().find(|&index| {
                self.get(index).is_some_and(|claim| {
                    time_ns >= claim.started_ns - TOLERANCE_NS && time_ns <= claim.ended_ns + after
                })
            })
        };
        within(TOLERANCE_NS).or_else(|| within(grace_ns))
    }

    /// Has a claim answered earlier than it would be.
    pub(crate) fn hasten(&mut self, index: u32, due_ns: i64) {
        if let Some(Some(claim)) = self.pending.get_mut(index as usize)
            && due_ns < claim.due_ns
            && !claim.is_due_known
        {
            claim.due_ns = due_ns;
            self.due.push(Reverse((due_ns, claim.serial, index)));
        }
    }

    /// A claim whose time has come by the packet clock.
    pub(crate) fn next_due(&mut self, now_ns: i64) -> Option<u32> {
        while let Some(&Reverse((due_ns, serial, index))) = self.due.peek() {
            let stands = self
                .get(index)
                .is_some_and(|claim| claim.serial == serial && claim.due_ns == due_ns);
            if stands && due_ns > now_ns {
                return None;
            }
            self.due.pop();
            if stands {
                return Some(index);
            }
        }
        None
    }

    /// A claim that arrived at or before `then`, on the monotonic clock.
    pub(crate) fn next_arrived(&mut self, then: Duration) -> Option<u32> {
        while let Some(&(arrived, serial, index)) = self.arrived.front() {
            let stands = self.get(index).is_some_and(|claim| claim.serial == serial);
            if stands && arrived > then {
                return None;
            }
            self.arrived.pop_front();
            if stands {
                return Some(index);
            }
        }
        None
    }

    /// Takes a claim out, to answer it.
    pub(crate) fn take(&mut self, index: u32) -> Option<Pending> {
        let claim = self.pending.get_mut(index as usize)?.take()?;
        self.free.push(index);
        self.count -= 1;
        if claim.flow == NONE {
            self.forget_waiting(&claim.key, index);
        }
        Some(claim)
    }

    fn forget_waiting(&mut self, key: &Key, index: u32) {
        if let Some(waiting) = self.waiting.get_mut(key) {
            waiting.retain(|&other| other != index);
            if waiting.is_empty() {
                self.waiting.remove(key);
            }
        }
    }
}

impl Pending {
    /// A claim as it arrives.
    pub(crate) fn new(claim: &Claim, key: Key, remote: Peer) -> Pending {
        let Claim { id, started_ns, ended_ns, last_ns, .. } = *claim;
        let (flow, due_ns, is_due_known, serial) = (NONE, i64::MAX, last_ns.is_some(), 0);
        Pending { id, key, remote, started_ns, ended_ns, flow, due_ns, is_due_known, serial }
    }
}
