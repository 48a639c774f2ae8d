//! What can be said in the end, and what cannot.

use std::collections::BTreeMap;

use super::evidence::{Cell, Evidence, Position, Step};
use super::{ALL_HOPS, FLOWS, Side};
use crate::Time;
use crate::field::{Field, Reading, of_sent};
use crate::location::{Fate, Finding, HopSeen, Location, Span};

/// What was found.
pub(super) fn location(evidence: &Evidence, now: Time) -> Location {
    // Nothing more is waited for.
    let now = now + evidence.settings.spacing;
    let work = evidence.work(now);
    let found = Found::of(evidence, work, now);
    let mut unknown = Vec::new();
    let findings = found.findings(&mut unknown);
    let deepest =
        evidence.probes.iter().map(|probe| probe.hop).filter(|hop| *hop != ALL_HOPS).max();
    let fate = |side, hop| match evidence.cell(work, side, hop, now) {
        Cell::Answered(fate) => fate.clone(),
        _ if evidence
            .probes
            .iter()
            .any(|probe| (probe.flow, probe.side, probe.hop) == (work, side, hop)) =>
        {
            Fate::Silent
        }
        _ => Fate::Unasked,
    };
    let hops = (1..=deepest.unwrap_or(0))
        .map(|hop| HopSeen { hop, plain: fate(Side::Plain, hop), marked: fate(Side::Marked, hop) })
        .filter(|seen| seen.plain != Fate::Unasked || seen.marked != Fate::Unasked)
        .collect();
    let last_well = found.last_well();
    Location {
        shape: evidence.settings.shape,
        findings,
        alike: found.alike,
        hops,
        last_well,
        target_at: found.end,
        quoted_to: (found.quoted_to > 0).then_some(found.quoted_to),
        unknown,
        sent: evidence.sent,
        at_target: evidence.at_target(Side::Plain) + evidence.at_target(Side::Marked),
        flows: found.agreeing,
        took: Time::ZERO,
    }
}

/// What the flow that was looked at wholly shows, and what the others say to it.
struct Found<'a> {
    evidence: &'a Evidence,
    now: Time,
    work: usize,
    known: BTreeMap<u8, Position>,
    steps: Vec<Step>,
    alike: Vec<(Field, u8)>,
    quoted_to: u8,
    end: Option<u8>,
    agreeing: u8,
    is_divided: bool,
}

impl<'a> Found<'a> {
    fn of(evidence: &'a Evidence, work: usize, now: Time) -> Found<'a> {
        let known = evidence.resolved(work, now);
        let (steps, alike) = explaining(evidence, work);
        let is_through = |at: &(&u8, &Position)| *at.1 == Position::Through;
        let quoted_to = known.iter().rfind(is_through).map_or(0, |(hop, _)| *hop);
        let end =
            known.iter().find(|(_, position)| **position == Position::End).map(|(hop, _)| *hop);
        let mut found = Found {
            evidence,
            now,
            work,
            known,
            steps,
            alike,
            quoted_to,
            end,
            agreeing: 1,
            is_divided: false,
        };
        for flow in (0..FLOWS).filter(|flow| *flow != work) {
            match found.agrees(flow) {
                Some(true) => found.agreeing += 1,
                Some(false) => found.is_divided = true,
                None => {}
            }
        }
        found
    }

    /// Whether another flow fares as this one; `None` if no hop was asked in both.
    fn agrees(&self, flow: usize) -> Option<bool> {
        let other = self.evidence.resolved(flow, self.now);
        let mut has_common = false;
        if !self.evidence.subject.arrives {
            let arrives = |flow| match self.evidence.cell(flow, Side::Marked, ALL_HOPS, self.now) {
                Cell::Answered(Fate::Answered { .. }) => Some(true),
                Cell::Answered(_) => Some(false),
                _ => None,
            };
            if arrives(flow) == Some(true) && !self.evidence.arrives(self.work, self.now) {
                return Some(false);
            }
        }
        for (hop, position) in &self.known {
            let Some(theirs) = other.get(hop) else { continue };
            match (position, theirs) {
                (Position::Through, Position::Through) => has_common = true,
                (Position::Lost, Position::Lost) | (Position::Refused, Position::Refused) => {
                    has_common = true;
                }
                (Position::Through, Position::Lost | Position::Refused)
                | (Position::Lost | Position::Refused, Position::Through) => return Some(false),
                _ => {}
            }
        }
        let shown = |flow| self.evidence.readings(flow, Side::Marked);
        let theirs = shown(flow);
        for (field, ours) in
            shown(self.work).into_iter().filter(|(field, _)| !field.is_of_translation())
        {
            for (hop, reading) in ours {
                let other = theirs.get(&field).and_then(|list| {
                    list.iter().find(|(at, _)| *at == hop).map(|(_, reading)| reading)
                });
                if other.is_some_and(|other| *other != reading) {
                    return Some(false);
                }
            }
        }
        has_common.then_some(true)
    }

    fn findings(&self, unknown: &mut Vec<String>) -> Vec<Finding> {
        let subject = &self.evidence.subject;
        if self.quoted_to == 0 && !self.known.values().any(|position| is_shown(*position)) {
            let what = if subject.handshake.is_some() && self.evidence.probes.is_empty() {
                "anything, for no connection came about again"
            } else {
                "any hop, for no router answered"
            };
            unknown.push(what.to_owned());
        }
        let arrives = self.evidence.arrives(self.work, self.now);
        if !subject.arrives && arrives {
            return vec![Finding::NotReproduced];
        }
        let plain = self.evidence.cell(self.work, Side::Plain, ALL_HOPS, self.now);
        if matches!(plain, Cell::Answered(Fate::Refused { .. })) {
            unknown.push("who refuses, for the baseline is refused too".to_owned());
            return Vec::new();
        }
        if self.is_divided || self.goes_back() {
            return vec![Finding::SomePaths];
        }
        let mut findings: Vec<Finding> = self
            .steps
            .iter()
            .map(|step| Finding::Changed {
                field: step.field,
                hop: Span::after(step.before, step.after),
                from: step.from.clone(),
                to: step.to.clone(),
            })
            .collect();
        let is_bad = |(hop, position): (&u8, &Position)| {
            *hop > self.quoted_to && matches!(position, Position::Lost | Position::Refused)
        };
        if !arrives || self.known.iter().any(is_bad) {
            findings.extend(self.loss(unknown));
        }
        if findings.is_empty() && self.is_unquoted() {
            findings.push(Finding::Unquoted);
        }
        let is_unsaid = findings.is_empty() && self.quoted_to > 0;
        if is_unsaid && subject.is_impaired {
            findings.push(Finding::Beyond(self.quoted_to));
        } else if is_unsaid {
            unknown
                .push(format!("what comes after hop {}, for nobody there quotes", self.quoted_to));
        }
        findings
    }

    /// Whether a field has its old value again behind a hop that showed another one.
    fn goes_back(&self) -> bool {
        let sent = of_sent(&self.evidence.subject.marked);
        let of_field = |field: Field| {
            sent.iter().find(|(other, _)| *other == field).map(|(_, reading)| reading.clone())
        };
        self.steps.iter().any(|step| of_field(step.field).unwrap_or(Reading::Absent) == step.to)
    }

    /// Where the marked packets are lost, or refused.
    fn loss(&self, unknown: &mut Vec<String>) -> Option<Finding> {
        let full = |side| self.evidence.cell(self.work, side, ALL_HOPS, self.now);
        let (plain, marked) = (full(Side::Plain), full(Side::Marked));
        let at_end = self.end.map(|hop| self.evidence.cell(self.work, Side::Plain, hop, self.now));
        let mut came = [Some(plain), at_end].into_iter().flatten();
        let is_plain_there = came.any(|cell| matches!(cell, Cell::Answered(Fate::Answered { .. })));
        let well = self.quoted_to;
        let lowest = |wanted: Position| {
            let found = self.known.iter().find(|at| *at.0 > well && *at.1 == wanted);
            found.map(|(hop, _)| *hop)
        };
        // Where nobody saw the target's own distance, its answers imply one.
        let target = self.end.or_else(|| {
            let distance = self.evidence.subject.distance?;
            Some((distance + 1).max(well + 1))
        });
        if let Some(hop) = lowest(Position::Refused) {
            return Some(Finding::Rejected(Span::after(well, hop)));
        }
        if let Cell::Answered(Fate::Refused { .. }) = marked {
            if !is_plain_there {
                return None;
            }
            return target.map(|target| Finding::Rejected(Span::after(well, target)));
        }
        let lost = lowest(Position::Lost);
        let plain_beyond = self.known.iter().filter(|at| *at.0 > well && is_shown(*at.1)).count();
        // A target that never answers copies is not missed.
        let is_answerable = self.evidence.subject.marked.is_answerable();
        if !is_plain_there && plain_beyond < if is_answerable { 2 } else { 1 } {
            unknown.push("where packets are lost, for the baseline's were lost as well".to_owned());
            return (well > 0).then_some(Finding::Beyond(well));
        }
        if !is_plain_there {
            unknown.push("whether the target answers the baseline still".to_owned());
        }
        lost.or(target).map(|hop| Finding::Dropped(Span::after(well, hop)))
    }

    /// Whether no quote shows what distinguishes the marked packet.
    fn is_unquoted(&self) -> bool {
        let marked = of_sent(&self.evidence.subject.marked);
        let plain = self.evidence.subject.plain.as_ref().map(of_sent);
        let is_meant = |(field, reading): &&(Field, Reading)| match &plain {
            Some(plain) => !plain.contains(&(*field, reading.clone())),
            None => true,
        };
        let meant = marked.iter().filter(|(field, _)| !field.is_of_translation()).filter(is_meant);
        let readings = self.evidence.readings(self.work, Side::Marked);
        let is_hidden = |field: &Field| readings.get(field).is_none_or(|list| list.len() == 1);
        let meant: Vec<Field> = meant.map(|(field, _)| *field).collect();
        let is_hidden =
            meant.iter().any(is_hidden) && (plain.is_none() || meant.iter().all(is_hidden));
        self.quoted_to > 0 && !meant.is_empty() && is_hidden
    }

    /// The last hop at which the marked packet is as it was sent.
    fn last_well(&self) -> Option<u8> {
        let changed = self.steps.iter().map(|step| step.before).min();
        let well = changed.map_or(self.quoted_to, |before| before.min(self.quoted_to));
        (well > 0).then_some(well)
    }
}

fn is_shown(position: Position) -> bool {
    matches!(position, Position::Through | Position::Lost | Position::Refused)
}

/// The changes of the marked packet that explain something, and those that the plain one shares.
fn explaining(evidence: &Evidence, flow: usize) -> (Vec<Step>, Vec<(Field, u8)>) {
    let plain = evidence.template(Side::Plain).map(of_sent);
    let same_as_sent = |field: Field, reading: &Reading| {
        let plain = plain.as_ref()?;
        let sent = plain.iter().find(|(other, _)| *other == field).map(|(_, reading)| reading);
        Some(sent == Some(reading))
    };
    let of_plain = evidence.changes(flow, Side::Plain);
    let sent = of_sent(&evidence.subject.marked);
    let (mut explaining, mut alike) = (Vec::new(), Vec::new());
    for step in evidence.changes(flow, Side::Marked) {
        let as_sent = sent.iter().find(|(field, _)| *field == step.field);
        // Each connection has ports of its own.
        let is_meant = !step.field.is_of_translation()
            && as_sent.is_some_and(|(field, reading)| same_as_sent(*field, reading) == Some(false));
        let overlaps = |other: &Step| {
            other.field == step.field && other.before < step.after && step.before < other.after
        };
        let is_shared = of_plain.iter().any(overlaps);
        let is_translation = step.field.is_of_translation() && plain.is_none();
        if !is_translation && (is_meant || !is_shared) {
            explaining.push(step);
        } else {
            alike.push((step.field, step.after));
        }
    }
    (explaining, alike)
}
