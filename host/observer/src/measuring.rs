//! Observing our own connections: which packets are theirs, and to which flow they go.
//!
//! A flow begins with a packet that left us. Only what the judge ([`answer`](super::answer)) takes
//! for part of the connection is shown to chains, and reported to whoever waits for an answer.

mod awaiting;
mod errors;
mod expected;
mod parts;
mod seeking;
mod settling;

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use pathspider_plugin_api::packet::Packet;

use self::awaiting::Awaiting;
use self::expected::Expected;
use self::seeking::Seeking;
use super::answer::Judges;
use super::claims::{Claims, TOLERANCE_NS};
use super::counters::{Counters, Unanswering};
use super::dissect::Dissected;
use super::index::Hash;
use super::key::{Key, Tuple};
use super::lives::Lives;
use super::notice::{Notice, Observation};
use super::parts::Parts;
use super::place::{ClaimId, FlowId};
use super::save::PcapWriter;
use super::source::{Frame, sent_back};
use super::table::Flow;
use super::tracker::{Ended, Sliced, Tracker, direction, packet};
use super::ttls::Ttls;
use super::{Settings, nanoseconds};

/// How long late packets of a complete flow are waited for when its connection has ended: as long as the flow took,
/// within these limits. What comes late on a path with short round trips is not as late as elsewhere.
const LATE: RangeInclusive<Duration> = Duration::from_millis(20)..=Duration::from_millis(100);

/// How much longer than its grace a claim waits on the monotonic clock, when no packet waits and
/// when packets do: only where the packets' clock was changed does it come to that.
const PATIENCE_IDLE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a claim waits in a hurry, at the most, for packets of its time that are still in the buffer.
const HURRIED: Duration = Duration::from_secs(1);

/// The state of measuring.
pub(super) struct Measuring {
    tracker: Tracker,
    expected: Expected,
    parts: Parts,
    claims: Claims,
    awaiting: Awaiting,
    seeking: Seeking,
    judges: Judges,
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
    late_ns: RangeInclusive<i64>,
    lives: Lives,
    patience: (Duration, Duration),
    save: Option<PcapWriter>,
    save_failure: Option<(PathBuf, std::io::Error)>,
}

/// The record of a flow whose ports were used again before its connection claimed it.
struct Parked {
    ended: Ended,
    ttls: Ttls,
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
        let late = |long: &Duration| nanoseconds(settings.linger.min(*long));
        Measuring {
            tracker,
            expected: Expected::default(),
            parts: Parts::default(),
            claims: Claims::default(),
            awaiting: Awaiting::new(settings.answers.clone()),
            seeking: Seeking::default(),
            judges: Judges::default(),
            parked: HashMap::default(),
            parked_count: 0,
            notices,
            observations,
            closed: false,
            clock_ns: i64::MIN,
            turned_ns: i64::MIN,
            now: Duration::ZERO,
            grace_ns: nanoseconds(settings.grace),
            late_ns: late(LATE.start())..=late(LATE.end()),
            lives: Lives::measuring(settings),
            patience: (settings.grace + PATIENCE_IDLE, settings.grace + PATIENCE),
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
        self.closed && self.claims.len() + self.seeking.len() == 0
    }

    /// From now on, waits for no late packets: a connection is answered for when the packets of its time
    /// were seen.
    pub(super) fn hurry(&mut self) {
        self.claims.hurry();
        self.grace_ns = self.grace_ns.min(TOLERANCE_NS);
        self.patience = (HURRIED, HURRIED);
    }

    /// Takes one captured frame.
    #[inline]
    pub(super) fn frame(&mut self, frame: &Frame<'_>) {
        self.clock_ns = frame.time_ns;
        if let Some(tuple) = sent_back(frame) {
            return self.sent_back(frame, &tuple);
        }
        let mut dissected = Dissected::NONE;
        match self.tracker.dissect(frame, &mut dissected) {
            Sliced::Packet => self.packet(frame, &dissected),
            Sliced::Nothing => {}
            how => self.fragment(frame, &mut dissected, how),
        }
    }

    /// Takes a packet, with the frame that it came in.
    #[inline]
    fn packet(&mut self, frame: &Frame<'_>, dissected: &Dissected<'_>) {
        if let Some(quote) = dissected.quote()
            && self.error(frame, dissected, quote)
        {
            return;
        }
        let (key, is_first) = dissected.tuple.key();
        let hash = self.tracker.table.hash(&key);
        match self.tracker.table.find(hash, &key) {
            Some(id) => self.known(frame, dissected, id, (hash, key), is_first),
            None => self.unknown(frame, dissected, (hash, key), is_first),
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
            self.begin(frame, dissected, place, is_first);
        } else if answered {
            self.tracker.counters.late += 1;
        } else {
            self.judge(frame, dissected, id, forward);
        }
    }

    /// Shows a packet of a flow to the chains, where it is part of the connection.
    fn judge(&mut self, frame: &Frame<'_>, dissected: &Dissected<'_>, id: FlowId, forward: bool) {
        match self.judges.judge(id, dissected, forward) {
            Ok(()) => {
                let packet = packet(dissected, frame.time_ns, direction(forward));
                self.show(frame, id, &packet);
            }
            Err(kind) => self.unanswering(frame, kind),
        }
    }

    /// A packet that answers nothing of ours: it is counted, and saved as evidence.
    #[cold]
    fn unanswering(&mut self, frame: &Frame<'_>, kind: Unanswering) {
        self.tracker.counters.count_unanswering(kind);
        self.save(|save| save.write(frame));
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
            if anew && self.expected.has(&dissected.tuple.to()) {
                self.tracker.end(id);
                return true;
            }
            return false;
        }
        if flow.opening().is_none() {
            if self.judges.of(id).is_silent() {
                // Our system reset something that came before we had sent anything.
                let (_, claim) = self.tracker.end(id);
                if let Some(claim) = claim {
                    self.claims.detach(claim);
                }
                return true;
            }
            flow.open(dissected.opening);
            return false;
        }
        let claimed = flow.claim.and_then(|id| Some((id, self.claims.get(id)?.ended_ns)));
        match claimed {
            Some((claim, ended_ns)) if ended_ns < time_ns => {
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
        let ttls = self.judges.ttls(id);
        let (Some(ended), _) = self.tracker.end(id) else {
            return;
        };
        if self.parked_count >= self.lives.max_flows {
            self.tracker.counters.evicted += 1;
            return;
        }
        self.parked_count += 1;
        self.parked.entry(key).or_default().push(Parked { ended, ttls, first_ns, last_ns });
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
            Some(true) => self.begin(frame, dissected, place, is_first),
            Some(false) => self.unanswering(frame, Unanswering::Unasked),
            None => self.tracker.counters.ignored += 1,
        }
    }

    /// Whether a packet goes to an expected endpoint (`true`) or comes from one (`false`).
    #[inline]
    fn side(&self, tuple: &Tuple) -> Option<bool> {
        if self.expected.has(&tuple.to()) {
            Some(true)
        } else {
            self.expected.has(&tuple.from()).then_some(false)
        }
    }

    fn begin(
        &mut self,
        frame: &Frame<'_>,
        dissected: &Dissected<'_>,
        place: (Hash, Key),
        is_first: bool,
    ) {
        let packet = packet(dissected, frame.time_ns, direction(true));
        let id = self.add(place, is_first, &packet);
        self.tracker.table.get(id).open(dissected.opening);
        self.judges.begin(id);
        self.judge(frame, dissected, id, true);
    }

    fn add(&mut self, place: (Hash, Key), forward_is_first: bool, packet: &Packet<'_>) -> FlowId {
        if self.lives.is_full(&self.tracker.table) {
            self.evict();
        }
        let due_ns = self.lives.idle_from(packet.time_ns());
        let id = self.tracker.begin(place, forward_is_first, packet, due_ns);
        let waiting = self.claims.waiting_for(&place.1, packet.time_ns(), self.grace_ns);
        if let Some(claim) = waiting {
            self.claims.attach(claim, id);
            self.tracker.table.get(id).claim = Some(claim);
        }
        id
    }

    /// Whether packets were to be saved, and cannot be any more.
    pub(super) fn save_failed(&self) -> bool {
        self.save_failure.is_some()
    }

    /// Writes packets that wait to be saved, so that a kill loses few.
    pub(super) fn flush_saved(&mut self) {
        self.save(PcapWriter::flush);
    }

    fn save(&mut self, write: impl FnOnce(&mut PcapWriter) -> std::io::Result<()>) {
        if let Some(save) = &mut self.save
            && let Err(error) = write(save)
        {
            self.save_failure = Some((save.path().to_owned(), error));
            self.save = None;
        }
    }

    fn show(&mut self, frame: &Frame<'_>, id: FlowId, packet: &Packet<'_>) {
        self.save(|save| save.write(frame));
        let is_done = self.tracker.show(id, packet);
        let Flow { claim, first_ns, .. } = *self.tracker.table.get(id);
        if is_done && let Some(claim) = claim {
            self.complete(claim, first_ns, packet.time_ns());
        }
        if self.awaiting.asked {
            self.answered(id, packet, is_done);
        }
    }

    /// A claimed flow that began at this time has become complete: only late packets are waited for.
    fn complete(&mut self, claim: ClaimId, first_ns: i64, done_ns: i64) {
        if let Some(pending) = self.claims.get(claim) {
            let took_ns = done_ns.saturating_sub(first_ns);
            let late_ns = took_ns.clamp(*self.late_ns.start(), *self.late_ns.end());
            let due_ns = pending.ended_ns.max(done_ns).saturating_add(late_ns);
            self.claims.hasten(claim, due_ns);
        }
    }

    /// When the next claim is due, by the packets' clock.
    pub(super) fn next_due_ns(&self) -> Option<i64> {
        self.claims.next_due_ns()
    }
}
