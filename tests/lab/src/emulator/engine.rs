//! Owns the emulator proper: finds the path of each packet and takes it along, router by router.

use std::net::IpAddr;

use super::Time;
use super::action::{Scene, Verdict, option};
use super::draw::Draw;
use super::matching::matches;
use super::path::{Path, Traveller, Way};
use super::schedule::Schedule;
use crate::packet::{IcmpError, Packet, Reply};
use crate::scenario::{Action, Branch};

/// Where a packet enters or leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// At the vantage point.
    Vantage,
    /// At the servers of this number.
    Servers(usize),
}

/// A packet that leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Where.
    pub side: Side,
    /// Its bytes.
    pub packet: Vec<u8>,
}

/// The addresses from `first` to `last` lie behind a path and belong to servers.
#[derive(Clone, Copy, Debug)]
pub struct Network {
    /// The lowest address.
    pub first: IpAddr,
    /// The highest, of the same version.
    pub last: IpAddr,
    /// The path's number, in the order given to the engine.
    pub path: usize,
    /// The servers' number.
    pub servers: usize,
}

/// All paths, and the packets on them.
#[derive(Debug)]
pub struct Engine {
    paths: Vec<Path>,
    /// Sorted by first address.
    networks: Vec<Network>,
    schedule: Schedule,
    /// Packets to be taken along before the next one from outside, the last first.
    pending: Vec<Traveller>,
    /// Kept between packets for its memory alone.
    more: Vec<Traveller>,
}

/// Chance for whether a rule acts at all.
const WHETHER: u64 = 0;

impl Engine {
    /// Makes an engine of paths and the networks behind them, which must not overlap.
    pub fn new(paths: Vec<Path>, mut networks: Vec<Network>) -> Self {
        networks.sort_by_key(|network| network.first);
        Self {
            paths,
            networks,
            schedule: Schedule::default(),
            pending: Vec::new(),
            more: Vec::new(),
        }
    }

    /// Takes a packet in. Those of no path, and what is not IP, end here.
    pub fn receive(&mut self, now: Time, side: Side, bytes: Vec<u8>, out: &mut Vec<Output>) {
        let Some(packet) = Packet::parse(bytes) else {
            return;
        };
        let (target, way) = match side {
            Side::Vantage => (packet.destination(), Way::Forward),
            Side::Servers(_) => (packet.source(), Way::Reverse),
        };
        let Some(network) = self.network(target) else {
            return;
        };
        let path = network.path;
        let mut packet = packet;
        if let (Way::Reverse, Some(accurate)) = (way, &mut self.paths[path].accurate) {
            accurate.answers(&mut packet);
        }
        let hop = match way {
            Way::Forward => 0,
            Way::Reverse => self.paths[path].routers.len().cast_signed() - 1,
        };
        self.pending.push(Traveller { packet, path, target, way, hop, rule: 0 });
        self.run(now, out);
    }

    /// Lets everything go on whose time has come.
    pub fn advance(&mut self, now: Time, out: &mut Vec<Output>) {
        while let Some((due, traveller)) = self.schedule.pop_due(now) {
            self.pending.push(traveller);
            // At the time it was due, so that a late call does not add to the next delay.
            self.run(due, out);
        }
    }

    /// When [`advance`](Self::advance) is to be called next.
    pub fn next_due(&self) -> Option<Time> {
        self.schedule.next_due()
    }

    fn network(&self, address: IpAddr) -> Option<Network> {
        let after = self.networks.partition_point(|network| network.first <= address);
        let network = self.networks[..after].last()?;
        (address <= network.last).then_some(*network)
    }

    fn run(&mut self, now: Time, out: &mut Vec<Output>) {
        while let Some(traveller) = self.pending.pop() {
            self.travel(now, traveller, out);
            // They follow the packet they come of, in their own order.
            self.pending.extend(self.more.drain(..).rev());
        }
    }

    fn travel(&mut self, now: Time, mut traveller: Traveller, out: &mut Vec<Output>) {
        loop {
            let path = &mut self.paths[traveller.path];
            let Some(hop) = usize::try_from(traveller.hop).ok().filter(|h| *h < path.routers.len())
            else {
                return self.arrive(traveller, out);
            };
            if traveller.rule == 0 && !spend_ttl(path, hop, now, &mut traveller, &mut self.more) {
                return;
            }
            while let Some(index) = path.rule_at(hop, traveller.way, traveller.rule) {
                match meet(
                    path,
                    index,
                    hop,
                    now,
                    &mut traveller,
                    &mut self.schedule,
                    &mut self.more,
                ) {
                    Verdict::Pass => traveller.rule += 1,
                    Verdict::Drop => return,
                    Verdict::Hold(due) => {
                        self.schedule.add(due, traveller.past_rule());
                        return;
                    }
                    Verdict::HoldBehind(behind, latest) => {
                        let key = (traveller.target, traveller.way);
                        let ticket = self.schedule.add(latest, traveller.past_rule());
                        path.rules[index].memory.held.insert(key, (ticket, behind));
                        return;
                    }
                }
            }
            traveller = traveller.past_hop();
        }
    }

    /// Hands a packet over at the end of its path, or answers it by script.
    fn arrive(&mut self, mut traveller: Traveller, out: &mut Vec<Output>) {
        if traveller.way == Way::Reverse {
            out.push(Output { side: Side::Vantage, packet: traveller.packet.into_bytes() });
            return;
        }
        let responses = &self.paths[traveller.path].responses;
        let packet = &traveller.packet;
        if let Some(rule) = responses.iter().find(|r| matches(&r.matching, packet, Way::Forward)) {
            let answer = rule.flags.and_then(|flags| {
                packet.tcp_reply(&Reply {
                    flags: flags.set,
                    options: rule.options.iter().map(option).collect(),
                    data: rule.data.clone().into_bytes(),
                })
            });
            self.more.extend(answer.map(|answer| traveller.answered_with(answer)));
            return;
        }
        if let Some(network) = self.network(traveller.packet.destination()) {
            if let Some(accurate) = &mut self.paths[traveller.path].accurate {
                accurate.is_asked(&mut traveller.packet);
            }
            let side = Side::Servers(network.servers);
            out.push(Output { side, packet: traveller.packet.into_bytes() });
        }
    }
}

/// Takes one from the time to live; false when it has run out and the packet ends here.
fn spend_ttl(
    path: &mut Path,
    hop: usize,
    now: Time,
    traveller: &mut Traveller,
    more: &mut Vec<Traveller>,
) -> bool {
    let ttl = traveller.packet.ttl();
    if ttl > 1 {
        traveller.packet.set_ttl(ttl - 1);
        return true;
    }
    let router = &mut path.routers[hop];
    let key = (traveller.packet.source(), traveller.way);
    let may_speak = router.limit.is_none_or(|limit| router.memory.take_token(key, now, limit, 1.0));
    if !router.silent && may_speak {
        let address =
            if router.as_target { traveller.target } else { router.address_for(&traveller.packet) };
        let error = traveller.packet.icmp_error(address, IcmpError::TimeExceeded, 0, router.quote);
        more.extend(error.map(|error| traveller.answered_with(error)));
    }
    false
}

/// Lets a packet meet one rule.
fn meet(
    path: &mut Path,
    index: usize,
    hop: usize,
    now: Time,
    traveller: &mut Traveller,
    schedule: &mut Schedule,
    more: &mut Vec<Traveller>,
) -> Verdict {
    let (seed, router) = (path.seed, &path.routers[hop]);
    let rule = &mut path.rules[index];
    let (target, way) = (traveller.target, traveller.way);
    if matches!(rule.text.action, Action::Reorder(_)) {
        // Every packet that goes by counts, whether it matches or not.
        if let Some((ticket, left)) = rule.memory.held.remove(&(target, way)) {
            if left > 1 {
                rule.memory.held.insert((target, way), (ticket, left - 1));
                return Verdict::Pass;
            }
            if let Some(released) = schedule.release(ticket) {
                more.push(released);
                return Verdict::Pass;
            }
        }
    }
    let is_other_flow = rule.text.branch == Some(Branch::Flow)
        && !rule.memory.is_odd_flow(&traveller.packet, target);
    if is_other_flow || !matches(&rule.text.matching, &traveller.packet, way) {
        return Verdict::Pass;
    }
    if rule.text.branch == Some(Branch::Packet) && rule.memory.count(target, way).is_multiple_of(2)
    {
        return Verdict::Pass;
    }
    let counted = rule.text.first.is_some()
        || rule.text.probability.is_some()
        || matches!(rule.text.action, Action::Delay(_));
    let count = if counted { rule.memory.count(target, way) } else { 0 };
    let draw = Draw { seed, rule: index, target, count };
    let not_now = rule.text.first.is_some_and(|first| count >= first)
        || rule.text.probability.is_some_and(|p| draw.fraction(WHETHER) >= p);
    if not_now {
        return Verdict::Pass;
    }
    traveller.packet.leave_checksums(rule.text.leave_checksums);
    let mut scene = Scene { now, router, draw, memory: &mut rule.memory, more };
    let verdict = scene.act(&rule.text.action, traveller);
    traveller.packet.leave_checksums(false);
    verdict
}
