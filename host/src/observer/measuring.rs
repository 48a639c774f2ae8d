//! Observing our own connections: which packets are theirs, and which flow answers which claim.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, TryRecvError};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use pathspider_plugin_api::packet::{Direction, Packet};
use pathspider_plugin_api::{Error, FlowRecord};

use super::claims::{Claims, Pending, TOLERANCE_NS};
use super::counters::Counters;
use super::dissect::{Dissected, Quote};
use super::index::Hash;
use super::key::{Key, Peer, Tuple};
use super::save::PcapWriter;
use super::source::Frame;
use super::table::{Flow, FlowId, NONE};
use super::tracker::{Ended, Tracker, direction, packet, quoted_packet};
use super::{Settings, nanoseconds};

/// The remote end of connections. The port is 0 for protocols without ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The transport protocol's IANA number.
    pub protocol: u8,
    /// The address.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
}

/// A connection that has ended, and whose flow is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// What the answer is to carry.
    pub id: u64,
    /// The transport protocol's IANA number.
    pub protocol: u8,
    /// Our address and port; port 0 for protocols without ports.
    pub local: SocketAddr,
    /// The target's address and port.
    pub remote: SocketAddr,
    /// Before the connection's first packet, in nanoseconds since the Unix epoch.
    pub started_ns: i64,
    /// After its last packet of interest.
    pub ended_ns: i64,
}

/// What whoever connects tells the observer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// A connection to there is about to begin. Sent before its first packet.
    Expect(Endpoint),
    /// A connection that was expected did not begin.
    Withdraw(Endpoint),
    /// A connection that was expected has ended. It is answered by one [`Observation`], and it
    /// also takes the expectation back.
    Claim(Claim),
}

/// The answer to a [`Claim`].
#[derive(Debug)]
pub struct Observation {
    /// The claim's id.
    pub id: u64,
    /// What the chains found; `None` when no packet of the connection was seen.
    pub flow: Option<FlowRecord>,
    /// The first failure of a chain on the flow.
    pub failure: Option<Error>,
}

/// How long late packets of a complete flow are waited for when its connection has ended.
const LATE: Duration = Duration::from_millis(100);

/// How much longer than its grace a claim waits on the monotonic clock, when no packet waits and
/// when packets do: only where the packets' clock was changed does it come to that.
const PATIENCE_IDLE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(10);

/// The state of measuring.
pub(super) struct Measuring {
    tracker: Tracker,
    expected: HashMap<Peer, u32, RandomState>,
    claims: Claims,
    parked: HashMap<Key, Vec<Parked>, RandomState>,
    parked_count: usize,
    notices: Receiver<Notice>,
    observations: Sender<Observation>,
    closed: bool,
    /// The time of the last packet, or of the source when it has none.
    clock_ns: i64,
    /// The clock's time of this turn.
    turned_ns: i64,
    /// The monotonic clock's time of this turn.
    now: Duration,
    grace_ns: i64,
    late_ns: i64,
    linger_ns: i64,
    idle_ns: i64,
    patience: (Duration, Duration),
    max_flows: usize,
    save: Option<PcapWriter>,
    save_failure: Option<std::io::Error>,
}

/// The record of a flow whose ports were used again before its connection claimed it.
struct Parked {
    ended: Ended,
    first_ns: i64,
    last_ns: i64,
}

impl Measuring {
    pub(super) fn new(
        tracker: Tracker,
        settings: &Settings,
        notices: Receiver<Notice>,
        observations: Sender<Observation>,
        save: Option<PcapWriter>,
    ) -> Measuring {
        Measuring {
            tracker,
            expected: HashMap::default(),
            claims: Claims::default(),
            parked: HashMap::default(),
            parked_count: 0,
            notices,
            observations,
            closed: false,
            clock_ns: i64::MIN,
            turned_ns: i64::MIN,
            now: Duration::ZERO,
            grace_ns: nanoseconds(settings.grace),
            late_ns: nanoseconds(settings.linger.min(LATE)),
            linger_ns: nanoseconds(settings.linger),
            idle_ns: nanoseconds(settings.idle),
            patience: (settings.grace + PATIENCE_IDLE, settings.grace + PATIENCE),
            max_flows: settings.max_flows.max(1),
            save,
            save_failure: None,
        }
    }

    pub(super) fn counters(&mut self) -> &mut Counters {
        &mut self.tracker.counters
    }

    pub(super) fn clock_ns(&self) -> i64 {
        self.clock_ns
    }

    /// Whether no claim is left and none can come.
    pub(super) fn is_over(&self) -> bool {
        self.closed && self.claims.len() == 0
    }

    /// Takes one captured frame.
    #[inline]
    pub(super) fn frame(&mut self, frame: &Frame<'_>) {
        self.clock_ns = frame.time_ns;
        let mut dissected = Dissected::NONE;
        if !self.tracker.dissect(frame, &mut dissected) {
            return;
        }
        if let Some(quote) = dissected.quote()
            && self.error(frame, &dissected, quote)
        {
            return;
        }
        let (key, is_first) = dissected.tuple.key();
        let hash = self.tracker.table.hash(&key);
        match self.tracker.table.find(hash, &key) {
            Some(id) => self.known(frame, &dissected, id, (hash, key), is_first),
            None => self.unknown(frame, &dissected, (hash, key), is_first),
        }
    }

    fn known(
        &mut self,
        frame: &Frame<'_>,
        dissected: &Dissected<'_>,
        id: FlowId,
        place: (Hash, Key),
        is_first: bool,
    ) {
        let flow = self.tracker.table.get(id);
        let forward = flow.forward_is_first == is_first;
        let answered = flow.state.is_none();
        let other_opening = dissected.opening.is_some() && dissected.opening != flow.opening();
        if forward && (answered || other_opening) && self.begins_anew(id, dissected, frame.time_ns)
        {
            self.begin(frame, dissected, place, is_first, true);
        } else if answered {
            self.tracker.counters.late += 1;
        } else {
            let packet = packet(dissected, frame.time_ns, direction(forward));
            self.show(frame, id, &packet);
        }
    }

    /// Decides whether a packet from us on the ports of an older flow begins another connection;
    /// if so, the older flow is out of the table.
    #[cold]
    fn begins_anew(&mut self, id: FlowId, dissected: &Dissected<'_>, time_ns: i64) -> bool {
        self.drain();
        let is_tcp = dissected.tuple.protocol == pathspider_plugin_api::packet::protocol::TCP;
        let flow = self.tracker.table.get(id);
        if flow.state.is_none() {
            // Without a SYN to tell, only what was expected again can be new.
            let other = dissected.opening.is_some() && dissected.opening != flow.opening();
            let anew = other || !is_tcp;
            if anew && self.expected.contains_key(&dissected.tuple.to()) {
                self.tracker.end(id);
                return true;
            }
            return false;
        }
        if flow.opening().is_none() {
            flow.open(dissected.opening);
            return false;
        }
        match self.claims.get(flow.claim).map(|claim| claim.ended_ns) {
            Some(ended_ns) if ended_ns < time_ns => {
                let claim = flow.claim;
                self.settle(claim);
                self.tracker.end(id);
                true
            }
            Some(_) => false,
            None => {
                self.park(id);
                true
            }
        }
    }

    /// Keeps the record of a flow that is not claimed yet, though its ports are used again.
    fn park(&mut self, id: FlowId) {
        let Flow { key, first_ns, last_ns, .. } = *self.tracker.table.get(id);
        let (Some(ended), _) = self.tracker.end(id) else {
            return;
        };
        if self.parked_count >= self.max_flows {
            self.tracker.counters.evicted += 1;
            return;
        }
        self.parked_count += 1;
        self.parked.entry(key).or_default().push(Parked { ended, first_ns, last_ns });
    }

    /// A packet of no flow that we know: is it ours?
    #[cold]
    fn unknown(
        &mut self,
        frame: &Frame<'_>,
        dissected: &Dissected<'_>,
        place: (Hash, Key),
        is_first: bool,
    ) {
        let forward = match self.side(&dissected.tuple) {
            Some(forward) => Some(forward),
            None => {
                self.drain();
                self.side(&dissected.tuple)
            }
        };
        match forward {
            Some(forward) => self.begin(frame, dissected, place, is_first, forward),
            None => self.tracker.counters.ignored += 1,
        }
    }

    /// Whether a packet goes to an expected endpoint (`true`) or comes from one (`false`).
    #[inline]
    fn side(&self, tuple: &Tuple) -> Option<bool> {
        if self.expected.contains_key(&tuple.to()) {
            Some(true)
        } else {
            self.expected.contains_key(&tuple.from()).then_some(false)
        }
    }

    fn begin(
        &mut self,
        frame: &Frame<'_>,
        dissected: &Dissected<'_>,
        place: (Hash, Key),
        is_first: bool,
        forward: bool,
    ) {
        let packet = packet(dissected, frame.time_ns, direction(forward));
        let id = self.add(place, is_first == forward, &packet);
        if forward {
            self.tracker.table.get(id).open(dissected.opening);
        }
        self.show(frame, id, &packet);
    }

    fn add(&mut self, place: (Hash, Key), forward_is_first: bool, packet: &Packet<'_>) -> FlowId {
        if self.tracker.table.len() >= self.max_flows {
            self.evict();
        }
        let due_ns = packet.time_ns().saturating_add(self.idle_ns);
        let id = self.tracker.begin(place, forward_is_first, packet, due_ns);
        let waiting = self.claims.waiting_for(&place.1, packet.time_ns(), self.grace_ns);
        if let Some(claim) = waiting {
            self.claims.attach(claim, id);
            self.tracker.table.get(id).claim = claim;
        }
        id
    }

    fn show(&mut self, frame: &Frame<'_>, id: FlowId, packet: &Packet<'_>) {
        if let Some(save) = &mut self.save
            && let Err(error) = save.write(frame)
        {
            self.save_failure = Some(error);
            self.save = None;
        }
        if self.tracker.show(id, packet) {
            let claim = self.tracker.table.get(id).claim;
            self.complete(claim, packet.time_ns());
        }
    }

    /// A claimed flow has become complete: only late packets are waited for.
    fn complete(&mut self, claim: u32, done_ns: i64) {
        if let Some(pending) = self.claims.get(claim) {
            let due_ns = pending.ended_ns.max(done_ns).saturating_add(self.late_ns);
            self.claims.hasten(claim, due_ns);
        }
    }

    /// An ICMP error. `false` when it is about nothing of ours.
    #[cold]
    fn error(
        &mut self,
        frame: &Frame<'_>,
        dissected: &Dissected<'_>,
        mut quote: Quote<'_>,
    ) -> bool {
        let found = match self.tracker.quoted(&mut quote) {
            Some(found) => Some(found),
            None => {
                self.drain();
                self.lone_error(&quote, frame.time_ns)
            }
        };
        let Some((id, direction)) = found else {
            return false;
        };
        if self.tracker.table.get(id).state.is_none() {
            self.tracker.counters.late += 1;
        } else {
            let packet = packet(dissected, frame.time_ns, direction);
            self.show(frame, id, &packet);
        }
        true
    }

    /// The flow of an error about a packet to an expected endpoint that was not captured itself:
    /// it begins with the packet as quoted.
    fn lone_error(&mut self, quote: &Quote<'_>, time_ns: i64) -> Option<(FlowId, Direction)> {
        if quote.fragment.is_some() || !self.expected.contains_key(&quote.tuple.to()) {
            return None;
        }
        let (key, is_first) = quote.tuple.key();
        let hash = self.tracker.table.hash(&key);
        let id = self.add((hash, key), is_first, &quoted_packet(quote, time_ns));
        Some((id, Direction::Reverse))
    }

    /// Takes all notices that are there.
    pub(super) fn drain(&mut self) {
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
    pub(super) fn wait(&mut self, timeout: Duration) {
        if let Ok(notice) = self.notices.recv_timeout(timeout) {
            self.notice(notice);
        }
    }

    /// Takes one notice.
    fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::Expect(end) => {
                let peer = Peer::new(end.protocol, end.address, end.port);
                *self.expected.entry(peer).or_default() += 1;
            }
            Notice::Withdraw(end) => {
                self.withdraw(&Peer::new(end.protocol, end.address, end.port));
            }
            Notice::Claim(claim) => self.claim(&claim),
        }
    }

    fn withdraw(&mut self, peer: &Peer) {
        if let Some(count) = self.expected.get_mut(peer) {
            *count -= 1;
            if *count == 0 {
                self.expected.remove(peer);
            }
        }
    }

    fn claim(&mut self, claim: &Claim) {
        let remote = Peer::new(claim.protocol, claim.remote.ip(), claim.remote.port());
        let Some(tuple) = Tuple::between(claim.protocol, claim.local, claim.remote) else {
            self.withdraw(&remote);
            self.answer(claim.id, None);
            return;
        };
        let (key, _) = tuple.key();
        if let Some(parked) = self.unpark(&key, claim) {
            self.withdraw(&remote);
            self.answer(claim.id, Some(parked.ended));
            return;
        }
        let times = (claim.started_ns, claim.ended_ns);
        let due_ns = claim.ended_ns.saturating_add(self.grace_ns);
        let pending = Pending::new(claim.id, key, remote, times);
        let index = self.claims.add(pending, due_ns, self.now);
        let hash = self.tracker.table.hash(&key);
        let Some(id) = self.tracker.table.find(hash, &key) else {
            return;
        };
        let flow = self.tracker.table.get(id);
        let fits = flow.first_ns <= claim.ended_ns.saturating_add(TOLERANCE_NS);
        if flow.state.is_some() && flow.claim == NONE && fits {
            flow.claim = index;
            let done_ns = flow.done.then_some(flow.done_ns);
            self.claims.attach(index, id);
            if let Some(done_ns) = done_ns {
                self.complete(index, done_ns);
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
    fn settle(&mut self, index: u32) {
        let Some(claim) = self.claims.take(index) else {
            return;
        };
        let ended = if claim.flow == NONE {
            None
        } else {
            let now_ns = self.clock_ns.max(claim.ended_ns);
            let ended = self.tracker.answer(claim.flow, now_ns);
            let due_ns = now_ns.saturating_add(self.linger_ns);
            self.tracker.table.schedule(claim.flow, due_ns);
            ended
        };
        self.withdraw(&claim.remote);
        self.answer(claim.id, ended);
    }

    fn answer(&self, id: u64, ended: Option<Ended>) {
        let (flow, failure) = match ended {
            Some(ended) => (Some(ended.record), ended.failure),
            None => (None, None),
        };
        // Nobody listens when the run was broken off; then the answer is not missed.
        let _ = self.observations.send(Observation { id, flow, failure });
    }

    /// Does what is due: claims by the packet clock or by the monotonic one, and old flows.
    ///
    /// `waiting` says whether there may be packets that we have not seen.
    pub(super) fn turn(&mut self, clock_ns: i64, now: Duration, waiting: bool) {
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
        self.expire();
    }

    /// Answers all claims at once.
    pub(super) fn settle_all(&mut self) {
        self.drain();
        while let Some(claim) = self.claims.next_arrived(Duration::MAX) {
            self.settle(claim);
        }
    }

    fn expire(&mut self) {
        let now_ns = self.clock_ns;
        while self.tracker.table.is_due(now_ns) {
            let Some(id) = self.tracker.table.next_due(now_ns) else {
                break;
            };
            let ends_ns = self.ends_ns(id);
            let flow = self.tracker.table.get(id);
            let remote = flow.key.side(!flow.forward_is_first);
            let wanted =
                flow.claim != NONE || flow.state.is_some() && self.expected.contains_key(&remote);
            if ends_ns > now_ns {
                self.tracker.table.schedule(id, ends_ns);
            } else if wanted {
                let due_ns = now_ns.saturating_add(self.idle_ns);
                self.tracker.table.schedule(id, due_ns);
            } else {
                self.tracker.end(id);
            }
        }
        let oldest_ns = now_ns.saturating_sub(self.idle_ns);
        if self.parked_count > 0 {
            self.parked.retain(|_, flows| {
                flows.retain(|flow| flow.last_ns >= oldest_ns);
                !flows.is_empty()
            });
            self.parked_count = self.parked.values().map(Vec::len).sum();
        }
    }

    fn ends_ns(&mut self, id: FlowId) -> i64 {
        let (idle_ns, linger_ns) = (self.idle_ns, self.linger_ns);
        ends_ns(self.tracker.table.get(id), idle_ns, linger_ns)
    }

    /// Makes room for a flow. A claimed flow that has to go is answered for.
    #[cold]
    fn evict(&mut self) {
        let (idle_ns, linger_ns) = (self.idle_ns, self.linger_ns);
        let oldest = self.tracker.table.oldest(|flow| ends_ns(flow, idle_ns, linger_ns));
        let Some(id) = oldest else {
            return;
        };
        let flow = self.tracker.table.get(id);
        let (claim, answered) = (flow.claim, flow.state.is_none());
        if claim != NONE {
            self.settle(claim);
        }
        if !answered {
            self.tracker.counters.evicted += 1;
        }
        self.tracker.end(id);
    }

    /// Closes the file of saved packets; the first error of writing it, if any.
    pub(super) fn finish(&mut self) -> Option<std::io::Error> {
        let closing = self.save.take().and_then(|save| save.finish().err());
        self.save_failure.take().or(closing)
    }
}

/// When a flow leaves if nothing more is seen of it.
fn ends_ns(flow: &Flow, idle_ns: i64, linger_ns: i64) -> i64 {
    if flow.state.is_none() {
        flow.done_ns.saturating_add(linger_ns)
    } else {
        flow.last_ns.saturating_add(idle_ns)
    }
}
