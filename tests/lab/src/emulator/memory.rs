//! Owns what a rule remembers between packets: counts, buckets, SYNs seen, translations.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use etherparse::IpNumber;

use super::Time;
use super::path::Way;
use crate::packet::Packet;

/// Past this many entries a table is emptied: a lab left running must not grow for ever.
const MOST: usize = 1 << 20;

/// One end of a flow, as the vantage point names it.
type End = (IpAddr, u16, u8);

/// The state of one rule.
#[derive(Debug, Default)]
pub(super) struct Memory {
    counts: HashMap<(IpAddr, Way), u32>,
    buckets: HashMap<(IpAddr, Way), (f64, Time)>,
    syns: HashMap<(IpAddr, u16, u16), Syn>,
    /// From the end outside the translator, and the target, to the end inside it.
    translations: HashMap<(End, IpAddr), End>,
    ports: HashMap<(End, IpAddr), u16>,
    /// The flows of each target, in the order of their first packets.
    flows: HashMap<IpAddr, Vec<End>>,
    /// When the places that are taken are free again, the first one first.
    places: VecDeque<Time>,
    /// Packets held until others have gone by.
    pub(super) held: HashMap<(IpAddr, Way), (super::schedule::Ticket, u32)>,
}

/// What is remembered of a SYN.
#[derive(Clone, Debug)]
pub(super) struct Syn {
    pub(super) flags: u16,
    pub(super) options: Vec<u8>,
}

/// The table, emptied where it has become too large.
pub(super) fn bounded<K, V>(table: &mut HashMap<K, V>) -> &mut HashMap<K, V> {
    if table.len() >= MOST {
        table.clear();
    }
    table
}

impl Memory {
    /// How many packets of this target the rule has seen before; counts this one.
    pub(super) fn count(&mut self, target: IpAddr, way: Way) -> u32 {
        let count = bounded(&mut self.counts).entry((target, way)).or_default();
        *count += 1;
        *count - 1
    }

    /// Takes one packet from the target's bucket; false when it is empty.
    pub(super) fn take_token(
        &mut self,
        key: (IpAddr, Way),
        now: Time,
        per_second: f64,
        burst: f64,
    ) -> bool {
        let (tokens, last) = bounded(&mut self.buckets).entry(key).or_insert((burst, now));
        *tokens = burst.min(*tokens + now.saturating_sub(*last).as_secs_f64() * per_second);
        *last = now;
        let enough = *tokens >= 1.0;
        if enough {
            *tokens -= 1.0;
        }
        enough
    }

    /// Takes one of this many places for this long; false when there is none.
    pub(super) fn take_place(&mut self, now: Time, places: usize, lasts: Duration) -> bool {
        while self.places.front().is_some_and(|free| *free <= now) {
            self.places.pop_front();
        }
        let has_room = self.places.len() < places;
        if has_room {
            self.places.push_back(now + lasts);
        }
        has_room
    }

    /// Whether a packet is of every second flow to its target, the first not being one.
    pub(super) fn is_odd_flow(&mut self, packet: &Packet, target: IpAddr) -> bool {
        let Some((port, _)) = packet.ports() else { return false };
        let end: End = (packet.source(), port, packet.protocol().0);
        let flows = bounded(&mut self.flows).entry(target).or_default();
        let at = flows.iter().position(|flow| *flow == end).unwrap_or_else(|| {
            flows.push(end);
            flows.len() - 1
        });
        !at.is_multiple_of(2)
    }

    /// Remembers a SYN that goes to `target`.
    pub(super) fn remember_syn(&mut self, target: IpAddr, packet: &Packet) {
        if let (true, Some((source, destination)), Some(flags), Some(options)) =
            (packet.is_syn(), packet.ports(), packet.tcp_flags(), packet.tcp_options())
        {
            let syn = Syn { flags, options: options.to_vec() };
            bounded(&mut self.syns).insert((target, source, destination), syn);
        }
    }

    /// The SYN that `packet`, a SYN/ACK from `target`, answers.
    pub(super) fn recall_syn(&self, target: IpAddr, packet: &Packet) -> Option<Syn> {
        let (source, destination) = packet.ports()?;
        self.syns.get(&(target, destination, source)).cloned()
    }

    /// Rewrites the source of a packet that leaves; `outside` takes its place.
    pub(super) fn translate_out(
        &mut self,
        packet: &mut Packet,
        target: IpAddr,
        outside: IpAddr,
        ports: bool,
    ) {
        let protocol = packet.protocol().0;
        let inside: End = (packet.source(), packet.ports().map_or(0, |(port, _)| port), protocol);
        let port = if ports && inside.1 != 0 {
            // The first free one from 20,000 on, in the order the flows appear.
            let next = 20_000 + (self.ports.len() % 40_000) as u16;
            *bounded(&mut self.ports).entry((inside, target)).or_insert(next)
        } else {
            inside.1
        };
        bounded(&mut self.translations).insert(((outside, port, protocol), target), inside);
        packet.set_source(outside, (port != 0).then_some(port));
    }

    /// Puts the vantage point's own end back into a packet that returns.
    pub(super) fn translate_in(&mut self, packet: &mut Packet, target: IpAddr, quotes: bool) {
        let port = packet.ports().map_or(0, |(_, port)| port);
        let end = (packet.destination(), port, packet.protocol().0);
        let icmp = matches!(packet.protocol(), IpNumber::ICMP | IpNumber::IPV6_ICMP);
        if let (true, true, Some(port)) = (icmp, quotes, packet.quoted_port()) {
            let mut known = self.translations.iter();
            let is_it = |outside: &End, of: IpAddr| of == target && outside.1 == port;
            if let Some((_, &(address, port, _))) = known.find(|((end, of), _)| is_it(end, *of)) {
                packet.set_quoted_source(address, port);
            }
        }
        let inside = self.translations.get(&(end, target)).copied().or_else(|| {
            // An error has no ports of its own; any flow of this target's knows who is inside.
            let mut known = self.translations.iter();
            let same = |outside: &End, of: IpAddr| icmp && of == target && outside.0 == end.0;
            known.find(|((outside, of), _)| same(outside, *of)).map(|(_, &inside)| inside)
        });
        if let Some((address, port, _)) = inside {
            packet.set_destination(address, (port != 0).then_some(port));
        }
    }
}
