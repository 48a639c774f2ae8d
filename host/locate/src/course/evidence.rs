//! What was sent and what came of it, and what that says of each hop.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{ALL_HOPS, FLOWS, Settings, Side, Subject};
use crate::Time;
use crate::field::{Field, Reading, of_sent};
use crate::location::Fate;
use crate::template::{Template, Token};

/// How often a hop is asked where answers were lost, to distinguish a loss by chance from one by rule.
const TRIES_WITH_LOSS: u8 = 8;

/// How often a connection is asked for.
const CONNECTING: u8 = 3;

/// A packet that was sent.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) flow: usize,
    pub(super) side: Side,
    pub(super) hop: u8,
    pub(super) sent: Time,
    pub(super) token: Token,
    pub(super) template: Template,
    pub(super) answer: Option<Fate>,
}

/// A connection that data go in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    /// There is none.
    Not { tries: u8 },
    /// Its SYN was sent.
    Asked { own: u32, since: Time, tries: u8 },
    /// It stands: our next number, theirs, their last timestamp, and what they acknowledged.
    Established { own: u32, theirs: u32, timestamp: Option<u32>, reached: u32, tries: u8 },
}

/// All that is known.
#[derive(Debug)]
pub(super) struct Evidence {
    pub(super) subject: Subject,
    pub(super) settings: Settings,
    pub(super) probes: Vec<Probe>,
    pub(super) made: [Made; FLOWS],
    pub(super) sent: u32,
    /// The deepest hop that said anything.
    deepest: u8,
    /// Whether an answer came only after one that did not.
    has_loss: bool,
    /// The probe that was answered just now.
    last: usize,
}

/// What came of the packets of one side with this many hops to live, in one flow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell<'a> {
    /// One may be sent.
    Open,
    /// An answer may still come, until then.
    Pending(Time),
    /// None came, and none may be sent any more.
    Silent,
    /// None was sent, and none may be: it may come to the target, to which enough came.
    Spared,
    Answered(&'a Fate),
}

/// What both sides' packets say of a hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    Open(Side),
    Pending(Time),
    /// Plain packets got no answer, so marked ones would say nothing.
    Dark,
    /// It is not asked, to spare the target.
    Spared,
    /// Plain packets came to their end here: the target, or whoever refuses them.
    End,
    /// Both came here.
    Through,
    /// Plain ones came here, and marked ones did not.
    Lost,
    /// Plain ones came here, and marked ones were refused.
    Refused,
}

impl Evidence {
    pub(super) fn new(subject: Subject, settings: Settings) -> Evidence {
        let made = [Made::Not { tries: 0 }; FLOWS];
        Evidence {
            subject,
            settings,
            probes: Vec::new(),
            made,
            sent: 0,
            deepest: 0,
            has_loss: false,
            last: usize::MAX,
        }
    }

    pub(super) fn template(&self, side: Side) -> Option<&Template> {
        match side {
            Side::Plain => self.subject.plain.as_ref(),
            Side::Marked => Some(&self.subject.marked),
        }
    }

    /// Notes that a connection is asked for.
    pub(super) fn connecting(&mut self, flow: usize, sequence: u32, now: Time) {
        let tries = match self.made[flow] {
            Made::Not { tries } | Made::Asked { tries, .. } | Made::Established { tries, .. } => {
                tries
            }
        };
        self.made[flow] = Made::Asked { own: sequence, since: now, tries: tries + 1 };
    }

    /// Whether packets can go in a flow: `Err` where that is not settled, and not at all where no
    /// connection comes about.
    pub(super) fn is_ready(&self, flow: usize, now: Time) -> Result<bool, Option<Time>> {
        if self.subject.handshake.is_none() {
            return Ok(true);
        }
        match self.made[flow] {
            Made::Established { .. } => Ok(true),
            Made::Not { tries } if tries < 2 * CONNECTING => Err(None),
            Made::Asked { since, tries, .. } => match since + self.settings.spacing {
                until if now < until => Err(Some(until)),
                _ if tries < CONNECTING => Err(None),
                _ => Ok(false),
            },
            Made::Not { .. } => Ok(false),
        }
    }

    fn of_cell(&self, flow: usize, side: Side, hop: u8) -> impl Iterator<Item = &Probe> {
        let is_of = move |probe: &&Probe| (probe.flow, probe.side, probe.hop) == (flow, side, hop);
        self.probes.iter().filter(is_of)
    }

    /// What came of the packets of a side with this many hops to live.
    pub(super) fn cell(&self, flow: usize, side: Side, hop: u8, now: Time) -> Cell<'_> {
        if let Some(fate) = self.of_cell(flow, side, hop).find_map(|probe| probe.answer.as_ref()) {
            return Cell::Answered(fate);
        }
        let Settings { tries: most, patience, spacing, .. } = self.settings;
        let tried = self.of_cell(flow, side, hop).count();
        let last = self.of_cell(flow, side, hop).map(|probe| probe.sent).max();
        // The packet is known to arrive, so a loss by chance must be excluded.
        let has_plain = self.subject.plain.is_some();
        let is_known_to_arrive = self.subject.arrives && has_plain && side == Side::Marked;
        let is_doubtful = self.has_loss || is_known_to_arrive;
        let may_be_sent = match hop {
            // One of the plain ones is left for the hop at which the target is.
            ALL_HOPS if side == Side::Plain => tried < usize::from(most.saturating_sub(1).max(1)),
            ALL_HOPS => tried < usize::from(most),
            _ => tried < usize::from(if is_doubtful { TRIES_WITH_LOSS } else { most }),
        };
        let is_spared = self.may_arrive(hop) && self.at_target(side) >= u32::from(most);
        let may_be_sent = may_be_sent && !is_spared;
        let Some(last) = last else {
            return if may_be_sent { Cell::Open } else { Cell::Spared };
        };
        let is_near = hop != ALL_HOPS && (tried == 1 || !may_be_sent);
        let until = last + if is_near { patience } else { spacing };
        match (now < until, may_be_sent) {
            (true, _) => Cell::Pending(until),
            (false, true) => Cell::Open,
            (false, false) => Cell::Silent,
        }
    }

    /// Notes what came of a probe, by its place. The first answer counts.
    pub(super) fn note(&mut self, at: usize, fate: Fate) {
        let Some(Probe { flow, side, hop, sent, answer, .. }) = self.probes.get_mut(at) else {
            return;
        };
        if answer.is_some() {
            return;
        }
        if matches!(fate, Fate::Seen { .. }) {
            self.deepest = self.deepest.max(*hop);
        }
        *answer = Some(fate);
        self.last = at;
        let (flow, side, hop, sent) = (*flow, *side, *hop, *sent);
        let is_lost = |other: &Probe| other.sent < sent && other.answer.is_none();
        let has_lost = self.of_cell(flow, side, hop).any(is_lost);
        self.has_loss |= has_lost;
    }

    /// The hop of the answer that came just now, where it was a router's, and whether it is the only one of
    /// that hop.
    pub(super) fn take_last(&mut self) -> Option<(u8, bool)> {
        let last = std::mem::replace(&mut self.last, usize::MAX);
        let is_seen = |probe: &&Probe| matches!(probe.answer, Some(Fate::Seen { .. }));
        let hop = self.probes.get(last).filter(is_seen)?.hop;
        let of_hop = self.probes.iter().filter(|probe| probe.hop == hop).filter(is_seen);
        Some((hop, of_hop.count() == 1))
    }

    /// Whether a packet with this many hops to live may come to the target, for all that is known.
    fn may_arrive(&self, hop: u8) -> bool {
        let is_far = self.subject.distance.is_none_or(|distance| hop >= distance);
        hop == ALL_HOPS || (is_far && hop > self.deepest)
    }

    /// The last probe of a flow that has no answer and may have come to the target: it went further than
    /// any router that spoke.
    pub(super) fn last_that_may_arrive(&self, flow: usize) -> Option<usize> {
        self.probes.iter().rposition(|probe| {
            probe.flow == flow && probe.answer.is_none() && probe.hop > self.deepest
        })
    }

    /// Packets of a side that came to the target, or may have.
    pub(super) fn at_target(&self, side: Side) -> u32 {
        let came = |probe: &&Probe| {
            probe.side == side
                && match probe.answer {
                    Some(Fate::Seen { .. }) => false,
                    Some(_) => true,
                    None => self.may_arrive(probe.hop),
                }
        };
        self.probes.iter().filter(came).count() as u32
    }

    /// What is known of a hop in a flow.
    pub(super) fn position(&self, flow: usize, hop: u8, now: Time) -> Position {
        if self.subject.plain.is_some() {
            match self.cell(flow, Side::Plain, hop, now) {
                Cell::Open => return Position::Open(Side::Plain),
                Cell::Pending(until) => return Position::Pending(until),
                Cell::Silent => return Position::Dark,
                Cell::Spared => return Position::Spared,
                Cell::Answered(Fate::Seen { .. }) => {}
                Cell::Answered(_) => return Position::End,
            }
        }
        let has_plain = self.subject.plain.is_some();
        match self.cell(flow, Side::Marked, hop, now) {
            Cell::Open => Position::Open(Side::Marked),
            Cell::Pending(until) => Position::Pending(until),
            Cell::Silent if has_plain => Position::Lost,
            Cell::Silent => Position::Dark,
            Cell::Spared => Position::Spared,
            Cell::Answered(Fate::Seen { .. }) => Position::Through,
            Cell::Answered(Fate::Refused { .. }) if has_plain => Position::Refused,
            Cell::Answered(_) => Position::End,
        }
    }

    /// The hops of a flow whose answers are complete.
    pub(super) fn resolved(&self, flow: usize, now: Time) -> BTreeMap<u8, Position> {
        let hops = 1..=self.settings.most_hops;
        let known = hops.map(|hop| (hop, self.position(flow, hop, now)));
        let is_settled =
            |at: &(u8, Position)| !matches!(at.1, Position::Open(_) | Position::Pending(_));
        known.filter(is_settled).collect()
    }

    /// Whether marked packets come to the target in a flow.
    pub(super) fn arrives(&self, flow: usize, now: Time) -> bool {
        let marked = self.cell(flow, Side::Marked, ALL_HOPS, now);
        self.subject.arrives || matches!(marked, Cell::Answered(Fate::Answered { .. }))
    }

    /// The flow that is looked at wholly: the first, unless marked packets come to the target in it
    /// again and in another one they do not.
    pub(super) fn work(&self, now: Time) -> usize {
        if self.subject.arrives || !self.arrives(0, now) {
            return 0;
        }
        let is_tried = |flow: &usize| self.of_cell(*flow, Side::Marked, ALL_HOPS).next().is_some();
        (1..FLOWS).find(|flow| is_tried(flow) && !self.arrives(*flow, now)).unwrap_or(0)
    }

    /// Who answered at a hop.
    pub(super) fn router_at(&self, hop: u8) -> Option<IpAddr> {
        self.probes.iter().filter(|probe| probe.hop == hop).find_map(|probe| match probe.answer {
            Some(Fate::Seen { from, .. }) => Some(from),
            _ => None,
        })
    }

    /// What a side's packet was as it came to the hops of a flow, field by field: first as it was sent
    /// (hop 0), then as each hop quotes it.
    pub(super) fn readings(&self, flow: usize, side: Side) -> BTreeMap<Field, Vec<(u8, Reading)>> {
        let mut readings: BTreeMap<Field, Vec<(u8, Reading)>> = BTreeMap::new();
        let Some(template) = self.template(side) else { return readings };
        for (field, sent) in of_sent(template) {
            readings.insert(field, vec![(0, sent)]);
        }
        let mut shown: Vec<_> = self
            .probes
            .iter()
            .filter(|probe| (probe.flow, probe.side) == (flow, side))
            .filter_map(|probe| match &probe.answer {
                Some(Fate::Seen { shown, .. }) => Some((probe.hop, shown)),
                _ => None,
            })
            .collect();
        shown.sort_by_key(|(hop, _)| *hop);
        for (_, shown) in &shown {
            for change in shown.changes.iter().filter(|change| change.sent == Reading::Absent) {
                readings.entry(change.field).or_insert_with(|| vec![(0, Reading::Absent)]);
            }
        }
        for (field, list) in &mut readings {
            let sent = list[0].1.clone();
            for (hop, shown) in &shown {
                // Ports and the sum are other ones in each flow: only whether they changed counts.
                let changed = shown.changes.iter().find(|change| change.field == *field);
                if !shown.hidden.contains(field) {
                    let seen = changed.map_or(&sent, |change| &change.seen);
                    list.push((*hop, seen.clone()));
                }
            }
        }
        readings
    }

    /// Where a field of a side changes in a flow: the last hop before, the first after, and what it was.
    pub(super) fn changes(&self, flow: usize, side: Side) -> Vec<Step> {
        let mut steps = Vec::new();
        for (field, list) in self.readings(flow, side) {
            for pair in list.windows(2) {
                let [(before, from), (after, to)] = pair else { continue };
                if from != to {
                    steps.push(Step {
                        field,
                        before: *before,
                        after: *after,
                        from: from.clone(),
                        to: to.clone(),
                    });
                }
            }
        }
        steps
    }
}

/// A change between two hops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) field: Field,
    pub(super) before: u8,
    pub(super) after: u8,
    pub(super) from: Reading,
    pub(super) to: Reading,
}
