//! The course of one search: what was sent and heard so far, and what follows from it.
//!
//! What is sent next is a function of the evidence (`plan`), and so is what can be said in the end
//! (`deduce`). So a late answer, a lost one and a doubled one need no rules of their own.
//!
//! **The target is spared.** A marked packet is sent with few hops to live only where the plain one with
//! as many was answered by a router, so it cannot come to the target. A plain one that may come to the
//! target is counted, and so are the packets with all hops: of either side no more than
//! [`Settings::tries`] are sent. A SYN/ACK is answered with a reset at once, and a connection that was
//! made is reset in the end.
//!
//! **Plain and marked share a flow**, addresses and ports alike, so a balancer that goes by flows gives
//! them one path. Three flows are looked at: the first wholly, the others where the first one decided.
//!
//! **Data go in a connection that the marked SYN made again**, copy by copy of what the capture has, not
//! by a TCP of our own: its three packets are those of the measured connection, and a segment with few
//! hops to live is to the target no more than a lost one.

mod deduce;
mod evidence;
pub(crate) mod hearing;
mod plan;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};

use pathspider_plugin_api::packet::Packet;

use crate::Time;
use crate::location::Location;
use crate::template::{Stamp, Template, Token};
use evidence::{Evidence, Made, Probe};
use plan::Want;

/// Hops to live of a packet that is to come to the target.
const ALL_HOPS: u8 = 64;

/// Flows that are looked at.
pub const FLOWS: usize = 3;

/// Which of the two packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The one without the feature.
    Plain,
    /// The one with it.
    Marked,
}

/// Which hops are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Those that decide, by halves: for campaigns.
    Halves,
    /// All of them.
    Every,
}

/// How a search goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Which hops are asked.
    pub shape: Shape,
    /// How often each is asked before it counts as silent, and how many packets of either side may come
    /// to the target.
    pub tries: u8,
    /// How far it goes.
    pub most_hops: u8,
    /// After how long a router that is silent is asked again, the first time.
    pub patience: Time,
    /// And then: routers send one error a second.
    pub spacing: Time,
    /// After how long it ends with what it knows. The time in which routers were not to be asked, for
    /// others asked them, is not a part of it.
    pub longest: Time,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            shape: Shape::Halves,
            tries: 3,
            most_hops: 30,
            patience: Time::from_millis(350),
            spacing: Time::from_millis(1_100),
            longest: Time::from_secs(120),
        }
    }
}

/// What is sent along a path, and what is known before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The packet without the feature; `None` where there is nothing to compare with.
    pub plain: Option<Template>,
    /// The packet with it.
    pub marked: Template,
    /// Where these are data: the SYN of their connection.
    pub handshake: Option<Template>,
    /// How many routers the TTL of the target's answers implies. A wrong number costs packets, no truth.
    pub distance: Option<u8>,
    /// Whether marked packets are known to come to the target.
    pub arrives: bool,
    /// Whether something was found to be wrong.
    pub is_impaired: bool,
}

/// One search.
#[derive(Debug)]
pub struct Course {
    evidence: Evidence,
    ports: [u16; FLOWS],
    seed: u32,
    began: Time,
    /// For how long it was held back.
    held: Time,
    /// Since when it is.
    held_since: Option<Time>,
    closing: Vec<Vec<u8>>,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    /// A packet may go: with this many hops to live, to this router where it is known; or to the target.
    Ask { hop: Option<u8>, router: Option<IpAddr> },
    /// Nothing before this time.
    Wait(Time),
    /// The search is over.
    Over,
}

impl Course {
    /// Begins. The ports are ours alone while it lasts; numbers follow from `seed`, which nobody can
    /// foresee.
    pub fn new(
        subject: Subject,
        settings: Settings,
        ports: [u16; FLOWS],
        seed: u32,
        now: Time,
    ) -> Course {
        let evidence = Evidence::new(subject, settings);
        Course {
            evidence,
            ports,
            seed,
            began: now,
            held: Time::ZERO,
            held_since: None,
            closing: Vec::new(),
        }
    }

    /// The target.
    pub fn target(&self) -> IpAddr {
        self.evidence.subject.marked.remote().ip()
    }

    /// What is to be done at this time.
    pub(crate) fn next(&self, now: Time) -> Next {
        match self.want(now) {
            Want::Ask { hop: ALL_HOPS, .. } | Want::Connect(_) => {
                Next::Ask { hop: None, router: None }
            }
            Want::Ask { hop, .. } => {
                Next::Ask { hop: Some(hop), router: self.evidence.router_at(hop) }
            }
            Want::Wait(until) => Next::Wait(until),
            Want::Over => Next::Over,
        }
    }

    /// Notes that it may not send yet what it wants to.
    pub(crate) fn hold(&mut self, now: Time) {
        self.held_since.get_or_insert(now);
    }

    /// Notes that it waits for nobody else any more.
    pub(crate) fn free(&mut self, now: Time) {
        if let Some(since) = self.held_since.take() {
            self.held += now.saturating_sub(since);
        }
    }

    /// For how long it has been under way, but for the time in which it was held back.
    fn own_time(&self, now: Time) -> Time {
        let held = self.held_since.map_or(Time::ZERO, |since| now.saturating_sub(since));
        now.saturating_sub(self.began).saturating_sub(self.held + held)
    }

    fn want(&self, now: Time) -> Want {
        if self.own_time(now) > self.evidence.settings.longest {
            return Want::Over;
        }
        plan::want(&self.evidence, now)
    }

    /// The packet that is to go now; `None` where none is.
    pub(crate) fn send(&mut self, now: Time) -> Option<Vec<u8>> {
        let want = self.want(now);
        self.free(now);
        let number = self.evidence.sent;
        let token = self.token(number);
        let packet = match want {
            Want::Connect(flow) => {
                let syn = self.evidence.subject.handshake.clone()?;
                let port = self.ports[flow];
                let stamp = Stamp { ttl: ALL_HOPS, port, token };
                self.evidence.connecting(flow, token.sequence, now);
                syn.stamped(stamp)
            }
            Want::Ask { flow, side, hop } => {
                let (template, token) = self.copy(flow, side, token)?;
                let stamp = Stamp { ttl: hop, port: self.ports[flow], token };
                let packet = template.stamped(stamp);
                let template = packet.clone();
                let probe = Probe { flow, side, hop, sent: now, token, template, answer: None };
                self.evidence.probes.push(probe);
                packet
            }
            Want::Wait(_) | Want::Over => return None,
        };
        self.evidence.sent += 1;
        Some(packet.octets().to_vec())
    }

    /// What is copied, and the token that it gets.
    fn copy(&self, flow: usize, side: Side, token: Token) -> Option<(Template, Token)> {
        let template = self.evidence.template(side)?;
        match self.evidence.made[flow] {
            Made::Established { own, theirs, timestamp, .. } => {
                let token = Token { sequence: own, ..token };
                let syn = self.evidence.subject.handshake.as_ref();
                Some((template.acknowledging(theirs, timestamp, syn), token))
            }
            _ => Some((template.clone(), token)),
        }
    }

    /// The token of the packet of this number. Each is another one, and far from the former: a target
    /// in TIME-WAIT takes a SYN whose number is higher.
    fn token(&self, number: u32) -> Token {
        let sequence = self.seed.wrapping_add(number.wrapping_mul(0x0010_0001));
        // Of IPv4, 0 says nothing.
        let number = (self.seed >> 7).wrapping_add(number) % u32::from(u16::MAX);
        Token { sequence, number: number as u16 + 1 }
    }

    /// Takes a packet that came in; gives the answers that it asks for. `None` where it is none of this
    /// course's.
    pub(crate) fn heard(&mut self, packet: &Packet<'_>, now: Time) -> Option<Vec<Vec<u8>>> {
        let replies = hearing::heard(&mut self.evidence, self.ports, packet, now)?;
        self.evidence.sent += replies.len() as u32;
        Some(replies)
    }

    /// The ends of its flows: the target's, and our ports.
    pub(crate) fn ends(&self) -> [(SocketAddr, u16); FLOWS] {
        self.ports.map(|port| (self.evidence.subject.marked.remote(), port))
    }

    /// The hop that spoke just now, where one did, and whether it did so for the first time.
    pub(crate) fn take_last(&mut self) -> Option<(u8, bool)> {
        self.evidence.take_last()
    }

    /// Ends: gives the packets that end what was begun, and what was found.
    pub fn end(mut self, now: Time) -> (Vec<Vec<u8>>, Location) {
        for flow in 0..FLOWS {
            if let Made::Established { reached, .. } = self.evidence.made[flow] {
                let reset = self.evidence.subject.marked.reset(self.ports[flow], reached);
                self.closing.extend(reset);
            }
        }
        self.evidence.sent += self.closing.len() as u32;
        let mut location = deduce::location(&self.evidence, now);
        location.took = now.saturating_sub(self.began);
        if self.own_time(now) > self.evidence.settings.longest {
            location.unknown.push("the rest, for it took too long".to_owned());
        }
        (self.closing, location)
    }
}
