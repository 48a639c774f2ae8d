//! Owns one path: its routers, its rules sorted by where they act, and how a packet travels it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::accurate::Accurate;
use super::memory::Memory;
use crate::packet::{Packet, Quote};
use crate::scenario::{Direction, Hop, RespondRule, RuleText, Scenario};

/// The way a packet goes: a direction that is not both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Way {
    /// To the target.
    Forward,
    /// To the vantage point.
    Reverse,
}

impl Way {
    pub(super) fn back(self) -> Way {
        match self {
            Way::Forward => Way::Reverse,
            Way::Reverse => Way::Forward,
        }
    }
}

/// A packet on its way: about to meet rule `rule` of router `hop`, or leaving when there is none.
#[derive(Clone, Debug)]
pub(super) struct Traveller {
    pub(super) packet: Packet,
    pub(super) path: usize,
    pub(super) target: IpAddr,
    pub(super) way: Way,
    /// Counted from 0 at the vantage point's side; past either end the packet has arrived.
    pub(super) hop: isize,
    pub(super) rule: usize,
}

impl Traveller {
    /// The same packet past the rule it has just met.
    pub(super) fn past_rule(self) -> Self {
        Self { rule: self.rule + 1, ..self }
    }

    /// The same packet at the next router.
    pub(super) fn past_hop(self) -> Self {
        Self { hop: self.next_hop(), rule: 0, ..self }
    }

    /// An answer, made at this router, on the way back.
    pub(super) fn answered_with(&self, packet: Packet) -> Self {
        let way = self.way.back();
        let turned =
            Self { packet, path: self.path, target: self.target, way, hop: self.hop, rule: 0 };
        turned.past_hop()
    }

    fn next_hop(&self) -> isize {
        match self.way {
            Way::Forward => self.hop + 1,
            Way::Reverse => self.hop - 1,
        }
    }
}

/// A router of a path.
#[derive(Debug)]
pub struct Router {
    /// Its IPv4 address.
    pub ipv4: Ipv4Addr,
    /// Its IPv6 address.
    pub ipv6: Ipv6Addr,
    /// Whether it says nothing when a packet's time to live runs out.
    pub silent: bool,
    /// How much it quotes then.
    pub quote: Quote,
    /// Whether it speaks in the target's name then.
    pub as_target: bool,
    /// How often a second it speaks then at the most.
    pub limit: Option<f64>,
    /// What it remembers of that.
    pub(super) memory: Memory,
}

impl Router {
    pub(super) fn address_for(&self, packet: &Packet) -> IpAddr {
        if packet.is_ipv6() { self.ipv6.into() } else { self.ipv4.into() }
    }
}

/// A rule in force.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) text: RuleText,
    pub(super) memory: Memory,
}

/// A scenario in force.
#[derive(Debug)]
pub struct Path {
    pub(super) name: String,
    pub(super) seed: u64,
    pub(super) routers: Vec<Router>,
    pub(super) rules: Vec<Rule>,
    pub(super) responses: Vec<RespondRule>,
    /// What the servers do beyond their kernel.
    pub(super) accurate: Option<Accurate>,
    /// By router and way, the rules that act there, in the scenario's order.
    places: Vec<[Vec<usize>; 2]>,
}

impl Path {
    /// Puts a scenario in force. `router` gives the addresses of the routers the scenario leaves
    /// to the lab, counted from 1.
    pub fn new(scenario: &Scenario, router: impl Fn(u8) -> (Ipv4Addr, Ipv6Addr)) -> Self {
        let routers: Vec<Router> = (1..=scenario.hops)
            .map(|number| {
                let special = scenario.special_hops.iter().find(|hop| hop.number == number);
                let (ipv4, ipv6) = router(number);
                Router {
                    ipv4: special.and_then(|hop| hop.ipv4).unwrap_or(ipv4),
                    ipv6: special.and_then(|hop| hop.ipv6).unwrap_or(ipv6),
                    silent: special.is_some_and(|hop| hop.silent),
                    quote: match special {
                        Some(hop) if hop.extensions => Quote::Extended,
                        Some(Hop { quote: Some(bytes), .. }) => Quote::Bytes(*bytes),
                        _ => Quote::Most,
                    },
                    as_target: special.is_some_and(|hop| hop.as_target),
                    limit: special.and_then(|hop| hop.limit),
                    memory: Memory::default(),
                }
            })
            .collect();
        let mut places = vec![[Vec::new(), Vec::new()]; routers.len()];
        for (index, rule) in scenario.rules.iter().enumerate() {
            let place = &mut places[usize::from(rule.hop) - 1];
            for way in [Way::Forward, Way::Reverse] {
                if visits(rule, way) {
                    place[way as usize].push(index);
                }
            }
        }
        let rules = scenario.rules.iter().cloned();
        Self {
            name: scenario.name.clone(),
            seed: scenario.seed,
            rules: rules.map(|text| Rule { text, memory: Memory::default() }).collect(),
            responses: scenario.responses.clone(),
            accurate: Accurate::of(scenario.server.accurate_ecn),
            routers,
            places,
        }
    }

    /// The path's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its routers, the vantage point's first.
    pub fn routers(&self) -> &[Router] {
        &self.routers
    }

    /// The index of the `nth` rule that acts at a router on a way.
    pub(super) fn rule_at(&self, hop: usize, way: Way, nth: usize) -> Option<usize> {
        self.places[hop][way as usize].get(nth).copied()
    }
}

/// Whether a rule sees packets that go this way. Some see both, whatever they say, because what
/// they do on one way follows from what they saw on the other.
fn visits(rule: &RuleText, way: Way) -> bool {
    rule.action.remembers()
        || match rule.direction {
            Direction::Both => true,
            Direction::Forward => way == Way::Forward,
            Direction::Reverse => way == Way::Reverse,
        }
}
