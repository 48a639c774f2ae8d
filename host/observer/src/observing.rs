//! Observing whatever passes: every flow becomes a record when it ends.

use std::io;

use pathspider_plugin_api::abi::ChainSet;
use pathspider_plugin_api::packet::Packet;
use pathspider_plugin_api::{Error, FlowRecord};

use super::clock::{Moment, PacketClock, Reading};
use super::counters::Counters;
use super::dissect::Dissected;
use super::early::{Answer, Early};
use super::index::Hash;
use super::key::Key;
use super::link::Link;
use super::lives::Lives;
use super::place::FlowId;
use super::source::{BATCH, Frame, Progress, Source, SourceError};
use super::tracker::{Tracker, direction, packet};
use super::{Settings, nanoseconds};

/// How observing ended.
#[derive(Debug)]
pub struct Observed {
    /// What was counted.
    pub counters: Counters,
    /// The source's failure, if it had one. All flows before it were given.
    pub source: Result<(), SourceError>,
    /// The failure of the sink, after which nothing was given.
    pub output: io::Result<()>,
}

/// Where records go. Any closure that takes a record and a failure is one.
pub trait Sink {
    /// Takes the record of a flow that has ended, and the first failure of a chain on it.
    ///
    /// # Errors
    ///
    /// It cannot be written. Nothing more is given then.
    fn flow(&mut self, record: &FlowRecord, failure: Option<Error>) -> io::Result<()>;

    /// The packets that were there are all seen: a time to write what is buffered.
    ///
    /// # Errors
    ///
    /// As for `flow`.
    fn pause(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<F: FnMut(&FlowRecord, Option<Error>) -> io::Result<()>> Sink for F {
    fn flow(&mut self, record: &FlowRecord, failure: Option<Error>) -> io::Result<()> {
        self(record, failure)
    }
}

/// Observes all packets of a source, on this thread, until its end; the sink gets every flow's
/// record as the flow ends.
///
/// Flows whose packets go both ways are one: the sender of the first packet is the originator.
pub fn observe(
    source: &mut Source,
    chains: ChainSet,
    settings: &Settings,
    sink: &mut dyn Sink,
) -> Observed {
    let tracker = Tracker::new(chains, nanoseconds(settings.idle.max(settings.linger)));
    let mut observing = Observing {
        lives: Lives::observing(settings),
        record: tracker.record(),
        tracker,
        early: Early::default(),
        clock_ns: i64::MIN,
        clock: PacketClock::new(nanoseconds(settings.idle)),
        kept: None,
        sink,
        output: Ok(()),
    };
    observing.tracker.inside = settings.inside;
    // Programs that convert captures cut packets, and write the remaining length as the packet's length.
    observing.tracker.trusts_headers = !source.is_live();
    observing.tracker.takes_cut = true;
    let result = observing.run(source);
    observing.end_kept();
    observing.flush();
    let (kernel, interface) = source.dropped();
    let mut counters = observing.tracker.counters;
    counters.clock_jumps = observing.clock.jumps();
    counters.kernel_dropped = kernel;
    counters.interface_dropped = interface;
    Observed { counters, source: result, output: observing.output }
}

struct Observing<'a> {
    tracker: Tracker,
    /// Answers that stand before what they answer.
    early: Early,
    lives: Lives,
    /// The time of the last packet.
    clock_ns: i64,
    clock: PacketClock,
    /// A packet whose time the next one is to explain.
    kept: Option<Kept>,
    sink: &'a mut dyn Sink,
    /// The record that is given, whose memory serves for the next.
    record: FlowRecord,
    output: io::Result<()>,
}

/// A frame that is looked at later.
struct Kept {
    link: Link,
    link_number: u32,
    interface: u32,
    bytes: Vec<u8>,
    wire_length: u32,
}

/// A sliced packet, and where its flow stands.
struct Located<'a> {
    dissected: Dissected<'a>,
    place: (Hash, Key),
    is_first: bool,
    is_there: bool,
}

impl Located<'_> {
    const NONE: Located<'static> = Located {
        dissected: Dissected::NONE,
        place: (Hash::NONE, Key::NONE),
        is_first: false,
        is_there: false,
    };
}

impl Observing<'_> {
    fn run(&mut self, source: &mut Source) -> Result<(), SourceError> {
        while self.output.is_ok() {
            match source.read(&mut |frames| self.frames(frames))? {
                Progress::More => {}
                Progress::Idle => {
                    self.end_kept();
                    self.tick(source.given_until_ns());
                }
                Progress::End => break,
            }
            if self.output.is_ok() {
                self.output = self.sink.pause();
            }
        }
        Ok(())
    }

    #[inline]
    fn frames(&mut self, frames: &[Frame<'_>]) {
        if self.clock.takes(frames) {
            self.timed(frames);
        } else {
            frames.iter().for_each(|frame| self.untimed(frame));
        }
    }

    /// Takes a frame whose time may have to be corrected.
    #[cold]
    fn untimed(&mut self, frame: &Frame<'_>) {
        let Reading { kept, this } = self.clock.read(Moment::of(frame));
        if let Some(time_ns) = kept {
            self.give_kept(time_ns);
        }
        match this {
            Some(time_ns) => self.timed(&[Frame { time_ns, ..*frame }]),
            None => {
                let Frame { link, link_number, interface, wire_length, .. } = *frame;
                let bytes = frame.bytes.to_vec();
                self.kept = Some(Kept { link, link_number, interface, bytes, wire_length });
            }
        }
    }

    fn end_kept(&mut self) {
        if let Some(time_ns) = self.clock.end() {
            self.give_kept(time_ns);
        }
    }

    fn give_kept(&mut self, time_ns: i64) {
        let Some(kept) = self.kept.take() else { return };
        let Kept { link, link_number, interface, bytes, wire_length } = kept;
        self.timed(&[Frame { time_ns, link, link_number, interface, bytes: &bytes, wire_length }]);
    }

    /// Takes frames in three steps: all are sliced, then what they need is fetched, then each is
    /// shown to its flow.
    #[inline]
    fn timed(&mut self, frames: &[Frame<'_>]) {
        let mut packets = [const { Located::NONE }; BATCH];
        let mut hashes = [Hash::NONE; BATCH];
        for ((frame, packet), hash) in frames.iter().zip(&mut packets).zip(&mut hashes) {
            let sliced = self.tracker.dissect(frame, &mut packet.dissected);
            packet.is_there = self.tracker.resolve(sliced, &mut packet.dissected, frame.time_ns);
            if packet.is_there {
                let (key, is_first) = packet.dissected.tuple.key();
                *hash = self.tracker.table.hash(&key);
                (packet.place, packet.is_first) = ((*hash, key), is_first);
            }
        }
        let touched = self.tracker.touch(&hashes[..frames.len()]);
        for ((frame, packet), touched) in frames.iter().zip(&packets).zip(touched) {
            if packet.is_there {
                self.packet(frame.time_ns, packet, touched);
            }
        }
    }

    #[inline]
    fn packet(&mut self, time_ns: i64, located: &Located<'_>, touched: Option<FlowId>) {
        self.tick(time_ns);
        let Located { dissected, place, is_first, .. } = located;
        if let Some(mut quote) = dissected.quote()
            && let Some((id, direction)) = self.tracker.quoted(&mut quote)
            && !self.is_over(id, time_ns)
        {
            self.show(id, &packet(dissected, time_ns, direction));
            return;
        }
        let id = match self.tracker.table.find_at(touched, place.0, &place.1) {
            Some(id) if !self.begins_anew(id, dissected, *is_first, time_ns) => id,
            Some(id) => {
                self.end(id);
                return self.begin(*place, *is_first, time_ns, dissected);
            }
            None => return self.begin(*place, *is_first, time_ns, dissected),
        };
        let forward = self.tracker.table.get(id).forward_is_first == *is_first;
        if !self.early.is_empty()
            && let Some(answer) = self.early.take(id)
            && !forward
            && answer.answers(dissected)
        {
            return self.turn(id, answer, (*place, *is_first), time_ns, dissected);
        }
        self.show(id, &packet(dissected, time_ns, direction(forward)));
    }

    /// Moves the clock to the time of a packet, or of the present when there is none.
    #[inline]
    fn tick(&mut self, now_ns: i64) {
        self.clock_ns = now_ns;
        if self.tracker.table.is_due(now_ns) {
            self.expire();
        }
    }

    #[inline]
    fn begins_anew(
        &mut self,
        id: FlowId,
        dissected: &Dissected<'_>,
        is_first: bool,
        time_ns: i64,
    ) -> bool {
        if self.is_over(id, time_ns) {
            return true;
        }
        let flow = self.tracker.table.get(id);
        if dissected.opening.is_none() || flow.forward_is_first != is_first {
            return false;
        }
        // A SYN with another sequence number opens another connection (RFC 9293, section 3.10.7.4).
        match flow.opening() {
            Some(_) => flow.opening() != dissected.opening,
            None => {
                flow.open(dissected.opening);
                false
            }
        }
    }

    #[inline]
    fn is_over(&mut self, id: FlowId, time_ns: i64) -> bool {
        time_ns >= self.lives.ends_ns(self.tracker.table.get(id))
    }

    #[cold]
    fn begin(
        &mut self,
        place: (Hash, Key),
        is_first: bool,
        time_ns: i64,
        dissected: &Dissected<'_>,
    ) {
        if self.lives.is_full(&self.tracker.table) {
            self.evict();
        }
        let packet = packet(dissected, time_ns, direction(true));
        let due_ns = self.lives.idle_from(time_ns);
        let id = self.tracker.begin(place, is_first, &packet, due_ns);
        self.tracker.table.get(id).open(dissected.opening);
        self.show(id, &packet);
        self.early.note(id, dissected, time_ns);
    }

    /// Begins a flow with the SYN that its first packet has answered: the file has them the wrong way
    /// round.
    #[cold]
    fn turn(
        &mut self,
        id: FlowId,
        answer: Answer,
        (place, is_first): ((Hash, Key), bool),
        time_ns: i64,
        dissected: &Dissected<'_>,
    ) {
        self.tracker.forget(id);
        self.begin(place, is_first, time_ns, dissected);
        if let Some(id) = self.tracker.table.find(place.0, &place.1) {
            answer.show(|dissected, time_ns| {
                self.show(id, &packet(dissected, time_ns, direction(false)));
            });
        }
    }

    #[inline]
    fn show(&mut self, id: FlowId, packet: &Packet<'_>) {
        if self.tracker.show(id, packet) {
            let due_ns = self.lives.linger_from(packet.time_ns());
            self.tracker.table.schedule(id, due_ns);
        }
    }

    #[cold]
    fn expire(&mut self) {
        let now_ns = self.clock_ns;
        while let Some(id) = self.tracker.table.next_due(now_ns) {
            if self.is_over(id, now_ns) {
                self.end(id);
            } else {
                let ends_ns = self.lives.ends_ns(self.tracker.table.get(id));
                self.tracker.table.schedule(id, ends_ns);
            }
        }
    }

    #[cold]
    fn evict(&mut self) {
        if let Some(id) = self.lives.oldest(&mut self.tracker.table) {
            self.tracker.counters.evicted += 1;
            self.end(id);
        }
    }

    fn end(&mut self, id: FlowId) {
        self.early.take(id);
        self.record.clear();
        if let Some(result) = self.tracker.end_into(id, &mut self.record)
            && self.output.is_ok()
        {
            self.output = self.sink.flow(&self.record, result.err());
        }
    }

    /// Ends all flows, the oldest first.
    fn flush(&mut self) {
        let mut flows = self.tracker.table.all();
        flows.sort_by_key(|&id| {
            let flow = self.tracker.table.get(id);
            (flow.first_ns, id)
        });
        for id in flows {
            self.end(id);
        }
    }
}
