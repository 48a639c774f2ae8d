//! Connections that have ended and wait for the record of their flow.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::connection::ConnectionId;
use super::key::{Key, Peer};
use super::notice::Claim;
use super::place::{ClaimId, FlowId};

/// A claim that was not answered yet.
pub(crate) struct Pending {
    pub(crate) id: ConnectionId,
    pub(crate) key: Key,
    pub(crate) remote: Peer,
    pub(crate) started_ns: i64,
    pub(crate) ended_ns: i64,
    /// The flow that it claims; `None` when none was seen yet.
    pub(crate) flow: Option<FlowId>,
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
    free: Vec<ClaimId>,
    count: usize,
    serial: u64,
    /// Claims by due time. Those that were answered or rescheduled are passed over.
    due: BinaryHeap<Reverse<(i64, u64, ClaimId)>>,
    /// Claims in the order of their arrival, with the monotonic time of it.
    arrived: VecDeque<(Duration, u64, ClaimId)>,
    /// Claims without a flow.
    waiting: HashMap<Key, Vec<ClaimId>, RandomState>,
    /// Whether none waits for packets that come late.
    is_hurried: bool,
}

impl Claims {
    /// The number of claims.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Adds a claim; `now` is monotonic.
    pub(crate) fn add(&mut self, mut claim: Pending, due_ns: i64, now: Duration) -> ClaimId {
        let due_ns = if self.is_hurried { due_ns.min(claim.over_ns()) } else { due_ns };
        self.serial += 1;
        self.count += 1;
        claim.serial = self.serial;
        claim.due_ns = due_ns;
        let waits_for = claim.flow.is_none().then_some(claim.key);
        let id = match self.free.pop() {
            Some(id) => {
                self.pending[id.index()] = Some(claim);
                id
            }
            None => {
                self.pending.push(Some(claim));
                ClaimId::new((self.pending.len() - 1) as u32)
            }
        };
        self.due.push(Reverse((due_ns, self.serial, id)));
        self.arrived.push_back((now, self.serial, id));
        if let Some(key) = waits_for {
            self.waiting.entry(key).or_default().push(id);
        }
        id
    }

    /// The claim at a place that is not answered.
    pub(crate) fn get(&self, place: ClaimId) -> Option<&Pending> {
        self.pending.get(place.index())?.as_ref()
    }

    /// Connects a claim to its flow.
    pub(crate) fn attach(&mut self, place: ClaimId, flow: FlowId) {
        if let Some(Some(claim)) = self.pending.get_mut(place.index()) {
            claim.flow = Some(flow);
            let key = claim.key;
            self.forget_waiting(&key, place);
        }
    }

    /// Takes its flow from a claim, which waits for another.
    pub(crate) fn detach(&mut self, place: ClaimId) {
        if let Some(Some(claim)) = self.pending.get_mut(place.index()) {
            claim.flow = None;
            self.waiting.entry(claim.key).or_default().push(place);
        }
    }

    /// The claim without a flow to which a flow belongs that begins at `time_ns`: its connection
    /// lasted then, or had ended less than `grace_ns` before.
    pub(crate) fn waiting_for(&self, key: &Key, time_ns: i64, grace_ns: i64) -> Option<ClaimId> {
        let waiting = self.waiting.get(key)?;
        let within = |after: i64| {
            waiting.iter().copied().find(|&place| {
                self.get(place).is_some_and(|claim| {
                    time_ns >= claim.started_ns.saturating_sub(TOLERANCE_NS)
                        && time_ns <= claim.ended_ns.saturating_add(after)
                })
            })
        };
        within(TOLERANCE_NS).or_else(|| within(grace_ns))
    }

    /// Has a claim answered earlier than it would be.
    pub(crate) fn hasten(&mut self, place: ClaimId, due_ns: i64) {
        if let Some(Some(claim)) = self.pending.get_mut(place.index())
            && due_ns < claim.due_ns
            && !claim.is_due_known
        {
            claim.due_ns = due_ns;
            self.due.push(Reverse((due_ns, claim.serial, place)));
        }
    }

    /// When the first is due; earlier, where that one was answered or rescheduled.
    pub(crate) fn next_due_ns(&self) -> Option<i64> {
        self.due.peek().map(|&Reverse((due_ns, ..))| due_ns)
    }

    /// A claim whose time has come by the packet clock.
    pub(crate) fn next_due(&mut self, now_ns: i64) -> Option<ClaimId> {
        while let Some(&Reverse((due_ns, serial, place))) = self.due.peek() {
            let stands = self
                .get(place)
                .is_some_and(|claim| claim.serial == serial && claim.due_ns == due_ns);
            if stands && due_ns > now_ns {
                return None;
            }
            self.due.pop();
            if stands {
                return Some(place);
            }
        }
        None
    }

    /// Has each claim, from now on, answered when the packets of its connection's time were seen.
    pub(crate) fn hurry(&mut self) {
        if std::mem::replace(&mut self.is_hurried, true) {
            return;
        }
        for (claim, place) in self.pending.iter_mut().zip(0..) {
            let Some(claim) = claim else { continue };
            claim.due_ns = claim.due_ns.min(claim.over_ns());
            self.due.push(Reverse((claim.due_ns, claim.serial, ClaimId::new(place))));
        }
    }

    /// A claim that arrived at or before `then`, on the monotonic clock.
    pub(crate) fn next_arrived(&mut self, then: Duration) -> Option<ClaimId> {
        while let Some(&(arrived, serial, place)) = self.arrived.front() {
            let stands = self.get(place).is_some_and(|claim| claim.serial == serial);
            if stands && arrived > then {
                return None;
            }
            self.arrived.pop_front();
            if stands {
                return Some(place);
            }
        }
        None
    }

    /// Takes a claim out, to answer it.
    pub(crate) fn take(&mut self, place: ClaimId) -> Option<Pending> {
        let claim = self.pending.get_mut(place.index())?.take()?;
        self.free.push(place);
        self.count -= 1;
        if claim.flow.is_none() {
            self.forget_waiting(&claim.key, place);
        }
        Some(claim)
    }

    fn forget_waiting(&mut self, key: &Key, place: ClaimId) {
        if let Some(waiting) = self.waiting.get_mut(key) {
            waiting.retain(|&other| other != place);
            if waiting.is_empty() {
                self.waiting.remove(key);
            }
        }
    }
}

impl Pending {
    /// When, in packet time, its connection is over for certain.
    fn over_ns(&self) -> i64 {
        self.ended_ns.saturating_add(TOLERANCE_NS)
    }

    /// A claim as it arrives, of this flow where it was seen already.
    pub(crate) fn new(claim: &Claim, key: Key, remote: Peer, flow: Option<FlowId>) -> Pending {
        let Claim { id, started_ns, ended_ns, last_ns, .. } = *claim;
        let (due_ns, is_due_known, serial) = (i64::MAX, last_ns.is_some(), 0);
        Pending { id, key, remote, started_ns, ended_ns, flow, due_ns, is_due_known, serial }
    }
}
