//! What observing and measuring have in common: flows, their chains and their records.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use pathspider_plugin_api::abi::ChainSet;
use pathspider_plugin_api::chains::flow;
use pathspider_plugin_api::packet::{Direction, Packet, Parts};
use pathspider_plugin_api::{Error, FlowRecord};

use super::counters::{Counters, Malformed};
use super::dissect::{Dissected, Fragment, Quote, claimed_length, dissect, has_ports};
use super::fragments::Fragments;
use super::index::Hash;
use super::key::Key;
use super::link::Link;
use super::notice::IcmpError;
use super::place::{ClaimId, FlowId};
use super::source::{BATCH, Frame};
use super::table::{Flow, FlowTable, Removed};
use super::tunnel::innermost;

/// Flows, the chains that look at them, and the counters.
pub(crate) struct Tracker {
    pub table: FlowTable,
    pub fragments: Fragments,
    pub counters: Counters,
    chains: ChainSet,
    /// Of flows about whose packets ICMP errors came: few.
    errors: HashMap<FlowId, IcmpError, RandomState>,
    /// Whether to look into tunnels.
    pub inside: bool,
    /// Whether a packet that claims more octets than the frame had was cut by whoever wrote the file.
    pub trusts_headers: bool,
    /// Whether a packet counts if no more than its ports was captured.
    pub takes_cut: bool,
}

/// What there is in a frame for a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sliced {
    /// A packet.
    Packet,
    /// A fragment of one.
    Fragment,
    /// A first fragment that is too short for its transport header.
    ShortFragment,
    /// Nothing.
    Nothing,
}

/// A flow record, and the first failure of a chain on that flow.
pub(crate) struct Ended {
    pub record: FlowRecord,
    pub failure: Option<Error>,
    pub error: Option<IcmpError>,
}

impl Tracker {
    /// A tracker without flows; `span_ns` is the longest time a flow is scheduled ahead.
    pub(crate) fn new(chains: ChainSet, span_ns: i64) -> Tracker {
        Tracker {
            table: FlowTable::new(span_ns),
            fragments: Fragments::default(),
            counters: Counters::default(),
            chains,
            errors: HashMap::default(),
            inside: false,
            trusts_headers: false,
            takes_cut: false,
        }
    }

    /// Slices a frame and counts it.
    #[inline(always)]
    pub(crate) fn dissect<'a>(&mut self, frame: &Frame<'a>, into: &mut Dissected<'a>) -> Sliced {
        self.counters.packets += 1;
        let sliced = match frame.link.ip_packet(frame.bytes) {
            Ok(Some(packet)) => {
                let packet = if self.inside { innermost(packet) } else { packet };
                let before = frame.bytes.len() - packet.len();
                let wire = frame.wire_length.saturating_sub(before as u32);
                match dissect(packet, wire, into) {
                    Err(Malformed::IpLength) if self.trusts_headers => {
                        dissect(packet, claimed_length(packet).max(wire), into)
                    }
                    sliced => sliced,
                }
            }
            Ok(None) => {
                self.none(frame);
                return Sliced::Nothing;
            }
            Err(kind) => Err(kind),
        };
        match sliced {
            Ok(()) if into.fragment == Fragment::None => Sliced::Packet,
            Ok(()) => Sliced::Fragment,
            Err(Malformed::Fragment) => Sliced::ShortFragment,
            Err(Malformed::CutShort) if self.takes_cut && is_named(into) => Sliced::Packet,
            Err(kind) => {
                self.counters.count_malformed(kind);
                Sliced::Nothing
            }
        }
    }

    /// Whether what was sliced has a flow, as a packet of its own. A fragment gets the ports of its
    /// packet.
    #[inline(always)]
    pub(crate) fn resolve(
        &mut self,
        sliced: Sliced,
        dissected: &mut Dissected<'_>,
        time_ns: i64,
    ) -> bool {
        match sliced {
            Sliced::Packet => true,
            Sliced::Nothing => false,
            Sliced::Fragment => {
                let is_known = self.fragments.resolve(dissected, time_ns);
                self.counters.orphaned += u64::from(!is_known);
                is_known
            }
            Sliced::ShortFragment => {
                self.counters.count_malformed(Malformed::Fragment);
                false
            }
        }
    }

    /// Counts a frame in which there is no IP, or nobody knows.
    #[cold]
    fn none(&mut self, frame: &Frame<'_>) {
        match frame.link {
            Link::Unknown => self.counters.foreign += 1,
            _ => self.counters.non_ip += 1,
        }
    }

    /// The flow that an ICMP error is about: its id, and the direction of the error in it.
    #[cold]
    pub(crate) fn quoted(&mut self, quote: &mut Quote<'_>) -> Option<(FlowId, Direction)> {
        if let Some(id) = quote.fragment
            && !self.fragments.complete(id, &mut quote.tuple)
        {
            return None;
        }
        let (key, is_first) = quote.tuple.key();
        let hash = self.table.hash(&key);
        let id = self.table.find(hash, &key)?;
        // The error goes back to where the quoted packet came from.
        let forward = self.table.get(id).forward_is_first != is_first;
        Some((id, direction(forward)))
    }

    /// Begins a flow with its first packet, which is not yet shown to the chains.
    pub(crate) fn begin(
        &mut self,
        (hash, key): (Hash, Key),
        forward_is_first: bool,
        packet: &Packet<'_>,
        due_ns: i64,
    ) -> FlowId {
        self.counters.flows += 1;
        let state = self.chains.new_flow(packet);
        let flow = Flow::new(key, forward_is_first, packet.time_ns(), state);
        self.table.insert(hash, flow, due_ns)
    }

    /// Shows a packet to the chains of its flow; `true` when the flow has become complete.
    #[inline]
    pub(crate) fn show(&mut self, id: FlowId, packet: &Packet<'_>) -> bool {
        let flow = self.table.get(id);
        // Packets of a file need not be in order.
        flow.first_ns = flow.first_ns.min(packet.time_ns());
        flow.last_ns = flow.last_ns.max(packet.time_ns());
        let Some(state) = &mut flow.state else {
            return false;
        };
        let done = self.chains.packet(state, packet) && !flow.done;
        if done {
            flow.done = true;
            flow.done_ns = packet.time_ns();
        }
        done
    }

    /// Takes a flow out of the table and has the chains write its record; with the claim on it.
    pub(crate) fn end(&mut self, id: FlowId) -> (Option<Ended>, Option<ClaimId>) {
        let removed = self.table.remove(id);
        let claim = removed.claim;
        (self.write(id, removed), claim)
    }

    /// Has the chains write the record of a flow that stays in the table without them, so that
    /// its late packets are known as such.
    pub(crate) fn answer(&mut self, id: FlowId, now_ns: i64) -> Option<Ended> {
        let flow = self.table.get(id);
        flow.done = true;
        flow.done_ns = now_ns;
        let removed = Removed {
            key: flow.key,
            state: flow.state.take(),
            first_ns: flow.first_ns,
            last_ns: flow.last_ns,
            claim: flow.claim.take(),
        };
        self.write(id, removed)
    }

    /// Notes an ICMP error about what left us on a flow.
    #[cold]
    pub(crate) fn note_error(&mut self, id: FlowId, packet: &Packet<'_>) {
        let Some(icmp) = packet.icmp() else { return };
        let (kind, code, word) = (icmp.kind(), icmp.code(), icmp.failure());
        let error = IcmpError { kind, code, from: packet.ip().source(), word };
        let noted = self.errors.entry(id).or_insert(error);
        if noted.word.is_none() && word.is_some() {
            *noted = error;
        }
    }

    /// Takes a flow out of the table that was begun by mistake.
    #[cold]
    pub(crate) fn forget(&mut self, id: FlowId) {
        self.table.remove(id);
        self.counters.flows -= 1;
    }

    /// As [`end`](Tracker::end), into an empty record; `None` where there is nothing to say.
    pub(crate) fn end_into(
        &mut self,
        id: FlowId,
        record: &mut FlowRecord,
    ) -> Option<Result<(), Error>> {
        let removed = self.table.remove(id);
        self.write_into(removed, record)
    }

    /// A record before anything is known about it.
    pub(crate) fn record(&self) -> FlowRecord {
        FlowRecord::new(Arc::clone(self.chains.slots()))
    }

    fn write(&mut self, id: FlowId, flow: Removed) -> Option<Ended> {
        let error = if self.errors.is_empty() { None } else { self.errors.remove(&id) };
        let mut record = self.record();
        let failure = self.write_into(flow, &mut record)?.err();
        Some(Ended { record, failure, error })
    }

    fn write_into(
        &mut self,
        removed: Removed,
        record: &mut FlowRecord,
    ) -> Option<Result<(), Error>> {
        record.set(flow::FIRST, seconds(removed.first_ns));
        record.set(flow::LAST, seconds(removed.last_ns));
        Some(self.chains.finish(removed.state?, record))
    }

    /// Fetches what packets with these hashes will need; and says where their flows probably are.
    #[inline]
    pub(crate) fn touch(&self, hashes: &[Hash]) -> [Option<FlowId>; BATCH] {
        self.table.touch(hashes, |state| self.chains.touch(state))
    }
}

/// Whether a packet that the capture cut has what names its flow.
#[cold]
fn is_named(cut: &Dissected<'_>) -> bool {
    !cut.ip.is_empty() && (cut.transport.len() >= 4 || !has_ports(cut.tuple.protocol))
}

/// The packet as chains see it.
#[inline]
pub fn packet<'a>(dissected: &Dissected<'a>, time_ns: i64, direction: Direction) -> Packet<'a> {
    Packet::new(Parts {
        time_ns,
        ip: dissected.ip,
        transport: dissected.transport,
        payload: dissected.payload,
        ip_length: dissected.ip_length,
        payload_length: dissected.payload_length,
        layers: dissected.layers,
        direction,
        protocol: dissected.tuple.protocol,
    })
    .on_wire(dissected.wire)
}

/// An ICMP error about a packet of a flow, for the chains that look at ICMP alone: it is no packet
/// of either side, so its marks and its octets are not theirs.
pub(crate) fn error_packet<'a>(
    dissected: &Dissected<'a>,
    time_ns: i64,
    direction: Direction,
) -> Packet<'a> {
    packet(dissected, time_ns, direction).as_error()
}

pub(crate) fn direction(forward: bool) -> Direction {
    if forward { Direction::Forward } else { Direction::Reverse }
}

/// Seconds since the Unix epoch. Whole seconds and the rest are converted apart, because the
/// nanoseconds of our time have more digits than a `f64`.
fn seconds(time_ns: i64) -> f64 {
    const SECOND: i64 = 1_000_000_000;
    time_ns.div_euclid(SECOND) as f64 + time_ns.rem_euclid(SECOND) as f64 / SECOND as f64
}

/// The time of a packet whose `seconds` these are, or up to two microseconds later: a record does not
/// say it more exactly, and reading it may take the number beside it. Who reads a file may read any
/// number.
pub fn last_ns(seconds: f64) -> i64 {
    const SLACK_NS: i64 = 1_000;
    let whole = seconds.floor();
    let rest_ns = ((seconds - whole) * 1e9).round() as i64;
    (whole as i64).saturating_mul(1_000_000_000).saturating_add(rest_ns).saturating_add(SLACK_NS)
}

#[cfg(test)]
mod tests {
    use super::{last_ns, seconds};

    #[test]
    fn a_packets_time_is_not_after_the_one_that_is_read_back() {
        for time_ns in
            (0..3_000_000_000i64).step_by(1_234_567).map(|rest| 1_800_000_000_000_000_000 + rest)
        {
            let seconds = seconds(time_ns);
            for read in [seconds.next_down(), seconds, seconds.next_up()] {
                let later = last_ns(read) - time_ns;
                assert!((0..2_000).contains(&later), "{time_ns}: {later}");
            }
        }
    }

    #[test]
    fn a_time_that_no_packet_has_is_read() {
        assert_eq!(last_ns(1e300), i64::MAX);
        assert_eq!(last_ns(-1e300), i64::MIN + 1_000);
        assert!(last_ns(f64::NAN) < 2_000);
    }

    #[test]
    fn seconds_keep_the_microseconds() {
        assert_eq!(seconds(1_492_554_904_905_206_000), 1_492_554_904.905_206);
        assert_eq!(seconds(-500_000_000), -0.5);
    }
}
