//! The side of connections: what is expected, what is claimed, and when a claim is answered.

use std::path::PathBuf;
use std::time::Duration;

use crossbeam::channel::TryRecvError;

use super::super::claims::{Pending, TOLERANCE_NS};
use super::super::connection::ConnectionId;
use super::super::key::{Key, Peer, Tuple};
use super::super::notice::{Claim, Notice, Observation};
use super::super::place::ClaimId;
use super::super::tracker::Ended;
use super::super::ttls::Ttls;
use super::{Measuring, Parked};

impl Measuring {
    /// Takes all notices that are there.
    pub(crate) fn drain(&mut self) {
        loop {
            match self.notices.try_recv() {
                Ok(notice) => self.notice(notice),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    self.closed = true;
                    return;
                }
            }
        }
    }

    /// Waits for a notice, and takes it.
    pub(crate) fn wait(&mut self, timeout: Duration) {
        if let Ok(notice) = self.notices.recv_timeout(timeout) {
            self.notice(notice);
        }
    }

    /// Takes one notice.
    fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::Expect(end) => {
                let peer = Peer::new(end.protocol, end.address, end.port);
                self.expected.add(peer);
            }
            Notice::Withdraw(end) => {
                self.withdraw(&Peer::new(end.protocol, end.address, end.port));
                self.awaiting.prune();
            }
            Notice::Forget { protocol, local, remote } => {
                self.awaiting.take_back(protocol, local, remote);
            }
            Notice::Await(request) => {
                let (protocol, remote) = (request.protocol, request.remote);
                self.expected.add(Peer::new(protocol, remote.ip(), remote.port()));
                self.awaiting.ask(request);
            }
            Notice::Claim(claim) => self.claim(&claim),
            Notice::Seek(seek) => self.seeking.add(seek, self.now),
        }
    }

    pub(super) fn withdraw(&mut self, peer: &Peer) {
        self.expected.remove(peer);
    }

    fn claim(&mut self, claim: &Claim) {
        let remote = Peer::new(claim.protocol, claim.remote.ip(), claim.remote.port());
        let Some(tuple) = Tuple::between(claim.protocol, claim.local, claim.remote) else {
            self.withdraw(&remote);
            self.answer(claim.id, None);
            return;
        };
        let (key, _) = tuple.key();
        self.awaiting.forget(&key);
        if let Some(parked) = self.unpark(&key, claim) {
            self.withdraw(&remote);
            self.answer(claim.id, Some((parked.ended, parked.ttls)));
            return;
        }
        let usual_ns = claim.ended_ns.saturating_add(self.grace_ns);
        let due_ns = claim.last_ns.unwrap_or(usual_ns);
        let hash = self.tracker.table.hash(&key);
        let found = self.tracker.table.find(hash, &key).filter(|id| {
            let flow = self.tracker.table.get(*id);
            let fits = flow.first_ns <= claim.ended_ns.saturating_add(TOLERANCE_NS);
            flow.state.is_some() && flow.claim.is_none() && fits
        });
        let pending = Pending::new(claim, key, remote, found);
        let place = self.claims.add(pending, due_ns, self.now);
        if let Some(id) = found {
            let flow = self.tracker.table.get(id);
            flow.claim = Some(place);
            if flow.done {
                let (first_ns, done_ns) = (flow.first_ns, flow.done_ns);
                self.complete(place, first_ns, done_ns);
            }
        }
    }

    fn unpark(&mut self, key: &Key, claim: &Claim) -> Option<Parked> {
        let parked = self.parked.get_mut(key)?;
        let at = parked.iter().position(|flow| {
            flow.first_ns <= claim.ended_ns.saturating_add(TOLERANCE_NS)
                && flow.last_ns >= claim.started_ns.saturating_sub(TOLERANCE_NS)
        })?;
        let found = parked.remove(at);
        self.parked_count -= 1;
        if parked.is_empty() {
            self.parked.remove(key);
        }
        Some(found)
    }

    /// Answers a claim with what was seen.
    pub(super) fn settle(&mut self, place: ClaimId) {
        let Some(claim) = self.claims.take(place) else {
            return;
        };
        let ended = claim.flow.and_then(|flow| {
            let now_ns = self.clock_ns.max(claim.ended_ns);
            let ended = self.tracker.answer(flow, now_ns);
            let due_ns = self.lives.linger_from(now_ns);
            self.tracker.table.schedule(flow, due_ns);
            Some((ended?, self.judges.ttls(flow)))
        });
        self.withdraw(&claim.remote);
        self.answer(claim.id, ended);
    }

    fn answer(&self, id: ConnectionId, ended: Option<(Ended, Ttls)>) {
        let mut observation = Observation::nothing(id);
        if let Some((ended, ttls)) = ended {
            observation.flow = Some(ended.record);
            observation.failure = ended.failure;
            observation.error = ended.error;
            observation.ttls = ttls;
        }
        // Nobody listens when the run was broken off; then the answer is not missed.
        let _ = self.observations.send(observation);
    }

    /// Does what is due: claims by the packet clock or by the monotonic one, and old flows.
    ///
    /// `waiting` says whether there may be packets that we have not seen.
    pub(crate) fn turn(&mut self, clock_ns: i64, now: Duration, waiting: bool) {
        self.now = now;
        if clock_ns < self.turned_ns.saturating_sub(1_000_000_000) {
            self.tracker.table.set_back(clock_ns);
        }
        (self.clock_ns, self.turned_ns) = (clock_ns, clock_ns);
        self.drain();
        while let Some(claim) = self.claims.next_due(clock_ns) {
            self.settle(claim);
        }
        let (idle, busy) = self.patience;
        let patience = if waiting { busy } else { idle };
        if let Some(then) = now.checked_sub(patience) {
            while let Some(claim) = self.claims.next_arrived(then) {
                self.settle(claim);
            }
        }
        self.seek(now.checked_sub(patience));
        self.expire();
    }

    /// Answers all claims at once.
    pub(crate) fn settle_all(&mut self) {
        self.drain();
        while let Some(claim) = self.claims.next_arrived(Duration::MAX) {
            self.settle(claim);
        }
        self.seek(Some(Duration::MAX));
    }

    fn expire(&mut self) {
        let now_ns = self.clock_ns;
        while self.tracker.table.is_due(now_ns) {
            let Some(id) = self.tracker.table.next_due(now_ns) else {
                break;
            };
            let flow = self.tracker.table.get(id);
            let ends_ns = self.lives.ends_ns(flow);
            let remote = flow.key.side(!flow.forward_is_first);
            let wanted = flow.claim.is_some() || flow.state.is_some() && self.expected.has(&remote);
            if ends_ns > now_ns {
                self.tracker.table.schedule(id, ends_ns);
            } else if wanted {
                let due_ns = self.lives.idle_from(now_ns);
                self.tracker.table.schedule(id, due_ns);
            } else {
                self.tracker.end(id);
            }
        }
        let oldest_ns = now_ns.saturating_sub(self.lives.idle_ns);
        if self.parked_count > 0 {
            self.parked.retain(|_, flows| {
                flows.retain(|flow| flow.last_ns >= oldest_ns);
                !flows.is_empty()
            });
            self.parked_count = self.parked.values().map(Vec::len).sum();
        }
    }

    /// Makes room for a flow. A claimed flow that has to go is answered for.
    #[cold]
    pub(super) fn evict(&mut self) {
        let Some(id) = self.lives.oldest(&mut self.tracker.table) else {
            return;
        };
        let flow = self.tracker.table.get(id);
        let (claim, answered) = (flow.claim, flow.state.is_none());
        if let Some(claim) = claim {
            self.settle(claim);
        }
        if !answered {
            self.tracker.counters.evicted += 1;
        }
        self.tracker.end(id);
    }

    /// Closes the file of saved packets; the first error of writing it, if any.
    pub(crate) fn finish(&mut self) -> Option<(PathBuf, std::io::Error)> {
        let closing = self.save.take().and_then(|save| {
            let path = save.path().to_owned();
            save.finish().err().map(|error| (path, error))
        });
        self.save_failure.take().or(closing)
    }
}
