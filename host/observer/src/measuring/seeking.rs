//! Connections whose local end nobody knows, because the plugin that made them did not say.
//!
//! When the packets of its time have been seen, such a connection is given the flow to its target
//! that began in that time. Where there are several that nobody claims, or where two such connections
//! overlap, a flow could be another's, and it is given none.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use hashbrown::HashMap;

use super::super::claims::TOLERANCE_NS;
use super::super::key::Peer;
use super::super::notice::{Observation, Seek};
use super::super::place::FlowId;
use super::Measuring;

/// How long, in packet time, those that are due wait for others: each look goes through all flows.
const TOGETHER_NS: i64 = 50_000_000;

/// Those that were not answered yet, in the order of their arrival, with the monotonic time of it.
#[derive(Default)]
pub(super) struct Seeking(VecDeque<(Duration, Seek)>);

/// The flows that one of them may have.
#[derive(Default)]
enum Found {
    #[default]
    None,
    One(FlowId),
    Several,
}

impl Seeking {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    fn all(&self) -> impl Iterator<Item = &Seek> {
        self.0.iter().map(|(_, seek)| seek)
    }

    pub(super) fn add(&mut self, seek: Seek, now: Duration) {
        self.0.push_back((now, seek));
    }

    /// Takes out those that are to be answered: where one has waited for long, all whose time has come
    /// by the packet clock, and those that came before `then` on the monotonic one.
    fn take_due(&mut self, clock_ns: i64, grace_ns: i64, then: Option<Duration>) -> Vec<Seek> {
        let overdue = |wait_ns: i64| {
            move |(came, seek): &(Duration, Seek)| {
                let due_ns = seek.ended_ns.saturating_add(grace_ns).saturating_add(wait_ns);
                due_ns <= clock_ns || then.is_some_and(|then| *came <= then)
            }
        };
        if !self.0.iter().any(overdue(TOGETHER_NS)) {
            return Vec::new();
        }
        let (due, rest) = self.0.drain(..).partition(overdue(0));
        self.0 = rest;
        due.into_iter().map(|(_, seek)| seek).collect::<Vec<Seek>>()
    }
}

/// Whether two may have gone to the same end at the same time.
fn overlap(one: &Seek, other: &Seek) -> bool {
    let together = one.started_ns < other.ended_ns && other.started_ns < one.ended_ns;
    together && one.remotes.iter().any(|end| other.remotes.contains(end))
}

impl Measuring {
    /// Answers those whose time has come.
    pub(super) fn seek(&mut self, then: Option<Duration>) {
        if self.seeking.len() == 0 {
            return;
        }
        let due = self.seeking.take_due(self.clock_ns, self.grace_ns, then);
        let mut flows: HashMap<Peer, Vec<FlowId>> = HashMap::default();
        let remotes = |seek: &Seek| seek.remotes.map(|end| Peer::of(&end));
        flows.extend(due.iter().flat_map(remotes).map(|peer| (peer, Vec::new())));
        if !due.is_empty() {
            for id in self.tracker.table.all() {
                let flow = self.tracker.table.get(id);
                let remote = flow.key.side(!flow.forward_is_first);
                if let Some(flows) = flows.get_mut(&remote) {
                    flows.push(id);
                }
            }
        }
        for (at, seek) in due.iter().enumerate() {
            let others = due[..at].iter().chain(&due[at + 1..]);
            if others.chain(self.seeking.all()).any(|other| overlap(seek, other)) {
                self.found(seek, Found::Several);
                continue;
            }
            let candidates: Vec<FlowId> = remotes(seek)
                .iter()
                .filter_map(|peer| flows.get(peer))
                .flatten()
                .copied()
                .collect();
            // The clock of a packet may be a little apart from ours, and the next call may follow at
            // once: what began within the time itself comes first.
            let mut found = self.began_within(seek, &candidates, 0);
            if matches!(found, Found::None) {
                found = self.began_within(seek, &candidates, TOLERANCE_NS);
            }
            self.found(seek, found);
        }
    }

    /// The flow among these that nobody claims and that began in this time.
    fn began_within(&mut self, seek: &Seek, candidates: &[FlowId], around_ns: i64) -> Found {
        let mut found = Found::None;
        for &id in candidates {
            let flow = self.tracker.table.get(id);
            let began_then = flow.first_ns >= seek.started_ns.saturating_sub(around_ns)
                && flow.first_ns <= seek.ended_ns.saturating_add(around_ns);
            let is_free = flow.state.is_some() && flow.claim.is_none();
            // A reset of our system, in answer to what somebody sprayed, is no connection.
            if began_then && is_free && !self.judges.of(id).is_silent() {
                found = match found {
                    Found::None => Found::One(id),
                    _ => Found::Several,
                };
            }
        }
        found
    }

    fn found(&mut self, seek: &Seek, found: Found) {
        let mut observation = Observation::nothing(seek.id);
        if let Found::One(id) = found {
            let flow = self.tracker.table.get(id);
            let local: SocketAddr = flow.key.side(flow.forward_is_first).socket();
            let now_ns = self.clock_ns.max(seek.ended_ns);
            if let Some(ended) = self.tracker.answer(id, now_ns) {
                observation.flow = Some(ended.record);
                observation.failure = ended.failure;
                observation.error = ended.error;
                observation.local = Some(local);
                observation.ttls = self.judges.ttls(id);
            }
            self.tracker.table.schedule(id, self.lives.linger_from(now_ns));
        }
        for end in &seek.remotes {
            self.withdraw(&Peer::of(end));
        }
        // Nobody listens when the run was broken off; then the answer is not missed.
        let _ = self.observations.send(observation);
    }
}
