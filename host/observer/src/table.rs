//! The flow table: one hash look-up per packet, and a timing wheel that ends flows.
//!
//! Flows stand in one vector and refer to each other by index. The wheel is lazy: a packet only
//! notes its time in its flow, and when the flow's turn on the wheel comes it is looked at again.
//! So a packet touches its own flow and no other.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use pathspider_plugin_api::abi::FlowState;

use super::index::{Hash, Index};
use super::key::Key;
use super::place::{ClaimId, FlowId};
use super::source::BATCH;
use super::wheel::{Links, Wheel};

/// One flow, in two cache lines.
#[repr(align(64))]
pub(crate) struct Flow {
    pub(crate) key: Key,
    /// The chains' state; absent once the flow was answered for.
    pub(crate) state: Option<FlowState>,
    pub(crate) first_ns: i64,
    pub(crate) last_ns: i64,
    /// When a chain said that the flow is complete, or when it was answered for.
    pub(crate) done_ns: i64,
    links: Links,
    /// The claim on the flow.
    pub(crate) claim: Option<ClaimId>,
    opening: u32,
    has_opening: bool,
    pub(crate) done: bool,
    /// Whether the originator is the key's first side.
    pub(crate) forward_is_first: bool,
}

impl Flow {
    /// A flow that begins with this packet.
    pub(crate) fn new(key: Key, forward_is_first: bool, time_ns: i64, state: FlowState) -> Flow {
        Flow {
            key,
            state: Some(state),
            first_ns: time_ns,
            last_ns: time_ns,
            done_ns: 0,
            links: Links::default(),
            claim: None,
            opening: 0,
            has_opening: false,
            done: false,
            forward_is_first,
        }
    }
}

impl Flow {
    /// Whether it has this key, and the chains' state. A flow that was taken out has none.
    #[inline]
    fn is_of(&self, key: &Key) -> bool {
        self.state.is_some() && self.key == *key
    }

    /// The sequence number of the SYN that opened it, in the direction of the flow.
    #[inline]
    pub(crate) fn opening(&self) -> Option<u32> {
        self.has_opening.then_some(self.opening)
    }

    /// Notes the SYN that opened it.
    #[inline]
    pub(crate) fn open(&mut self, sequence: Option<u32>) {
        self.has_opening = sequence.is_some();
        self.opening = sequence.unwrap_or_default();
    }
}

const _: () = assert!(size_of::<Flow>() == 128, "a flow is to fit two cache lines");

/// All flows that have not ended.
pub(crate) struct FlowTable {
    index: Index,
    flows: Vec<Flow>,
    /// Places of flows that left.
    free: Vec<FlowId>,
    wheel: Wheel,
    hasher: RandomState,
}

impl FlowTable {
    /// An empty table; `span_ns` is the longest time a flow is scheduled ahead.
    pub(crate) fn new(span_ns: i64) -> FlowTable {
        FlowTable {
            index: Index::new(),
            flows: Vec::new(),
            free: Vec::new(),
            wheel: Wheel::new(span_ns),
            hasher: RandomState::default(),
        }
    }

    /// The number of flows.
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// The hash of a key in this table.
    #[inline]
    pub(crate) fn hash(&self, key: &Key) -> Hash {
        Hash::new(self.hasher.hash_one(key))
    }

    /// The flow with that key; at the place that [`touch`](FlowTable::touch) found for its hash, if it
    /// is still there.
    #[inline]
    pub(crate) fn find_at(&self, touched: Option<FlowId>, hash: Hash, key: &Key) -> Option<FlowId> {
        let is_there = |id: &FlowId| self.flows.get(id.index()).is_some_and(|flow| flow.is_of(key));
        touched.filter(is_there).or_else(|| self.find(hash, key))
    }

    /// The flow with that key.
    #[inline]
    pub(crate) fn find(&self, hash: Hash, key: &Key) -> Option<FlowId> {
        self.index.find(hash, |id| self.flows[id.index()].key == *key)
    }

    /// Fetches into the cache what packets with these hashes will need; and says where their flows
    /// probably are.
    ///
    /// The loads of one step do not depend on each other, so that the processor makes them all at
    /// the same time instead of waiting for each when its packet's turn comes.
    #[inline]
    pub(crate) fn touch(
        &self,
        hashes: &[Hash],
        touch_state: impl Fn(&FlowState),
    ) -> [Option<FlowId>; BATCH] {
        let mut ids: [Option<FlowId>; BATCH] = [None; BATCH];
        for (id, &hash) in ids.iter_mut().zip(hashes) {
            *id = self.index.find(hash, |_| true);
        }
        for id in ids.iter().flatten() {
            if let Some(flow) = self.flows.get(id.index()) {
                std::hint::black_box((flow.key.first_word(), flow.done));
            }
        }
        for id in ids.iter().flatten() {
            if let Some(state) = self.flows.get(id.index()).and_then(|flow| flow.state.as_ref()) {
                touch_state(state);
            }
        }
        ids
    }

    /// Adds a flow whose key is not in the table, to be looked at again at `due_ns`.
    pub(crate) fn insert(&mut self, hash: Hash, flow: Flow, due_ns: i64) -> FlowId {
        let id = match self.free.pop() {
            Some(id) => {
                self.flows[id.index()] = flow;
                id
            }
            None => {
                self.flows.push(flow);
                FlowId::new((self.flows.len() - 1) as u32)
            }
        };
        self.index.insert(hash, id);
        self.schedule(id, due_ns);
        id
    }

    /// Takes a flow out of the table.
    pub(crate) fn remove(&mut self, id: FlowId) -> Removed {
        self.wheel.remove(&mut self.flows, id);
        let flow = &mut self.flows[id.index()];
        let removed = Removed {
            state: flow.state.take(),
            first_ns: flow.first_ns,
            last_ns: flow.last_ns,
            claim: flow.claim,
            key: flow.key,
        };
        self.index.remove(self.hash(&removed.key), id);
        self.free.push(id);
        removed
    }

    /// The flow at a place that `find` or `insert` gave and that was not removed since.
    #[inline]
    pub(crate) fn get(&mut self, id: FlowId) -> &mut Flow {
        &mut self.flows[id.index()]
    }

    /// Has a flow looked at again at `due_ns` instead of when it was to be.
    pub(crate) fn schedule(&mut self, id: FlowId, due_ns: i64) {
        self.wheel.remove(&mut self.flows, id);
        self.wheel.insert(&mut self.flows, id, due_ns);
    }

    /// Whether the wheel has anything to turn to at `now_ns`: cheap, for every packet.
    #[inline]
    pub(crate) fn is_due(&self, now_ns: i64) -> bool {
        self.wheel.is_due(now_ns)
    }

    /// The next flow whose turn has come. The caller removes it or schedules it again; until then
    /// it is not on the wheel.
    pub(crate) fn next_due(&mut self, now_ns: i64) -> Option<FlowId> {
        self.wheel.next_due(&mut self.flows, now_ns)
    }

    /// The flow that will end first, if nothing more is seen; `ends` says when a flow ends.
    ///
    /// Flows whose turn comes first only because they were not looked at since are put where they
    /// belong, at most a few for each call.
    pub(crate) fn oldest(&mut self, ends: impl Fn(&Flow) -> i64) -> Option<FlowId> {
        const PATIENCE: usize = 64;
        let mut found = None;
        for _ in 0..PATIENCE {
            let (id, tick) = self.wheel.first(&mut self.flows)?;
            let ends = ends(&self.flows[id.index()]);
            found = Some(id);
            if self.wheel.tick(ends) <= tick {
                break;
            }
            self.wheel.insert(&mut self.flows, id, ends);
        }
        found
    }

    /// Every flow, in no order.
    pub(crate) fn all(&self) -> Vec<FlowId> {
        self.index.ids().collect()
    }

    /// The time of the wheel's next turn may be set back after the clock was.
    pub(crate) fn set_back(&mut self, now_ns: i64) {
        self.wheel.set_back(now_ns);
    }
}

/// What is left of a flow that was taken out.
pub(crate) struct Removed {
    pub(crate) key: Key,
    pub(crate) state: Option<FlowState>,
    pub(crate) first_ns: i64,
    pub(crate) last_ns: i64,
    pub(crate) claim: Option<ClaimId>,
}

impl super::wheel::Linked for Vec<Flow> {
    fn links(&mut self, id: FlowId) -> &mut Links {
        &mut self[id.index()].links
    }
}
