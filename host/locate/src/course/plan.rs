//! What is sent next, for what is known.

use std::collections::BTreeMap;

use super::evidence::{Cell, Evidence, Position};
use super::{ALL_HOPS, FLOWS, Shape, Side};
use crate::Time;

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// A copy.
    Ask { flow: usize, side: Side, hop: u8 },
    /// A connection for data.
    Connect(usize),
    /// Nothing before this time.
    Wait(Time),
    /// Nothing more.
    Over,
}

/// Hops that may be under way at a time, where none of them is near the target.
const AT_ONCE: usize = 3;

/// After this many dark hops in a row, no later hop is asked.
const DARK: usize = 5;

/// What is wanted now.
pub(super) fn want(evidence: &Evidence, now: Time) -> Want {
    let steps = [reproduce, climb, compare];
    let settled = steps.into_iter().find_map(|step| step(evidence, now));
    settled.unwrap_or(Want::Over)
}

/// A packet in a flow, which may have to be made first. `None` where nothing can be sent in it.
fn ask(evidence: &Evidence, flow: usize, side: Side, hop: u8, now: Time) -> Option<Want> {
    match evidence.is_ready(flow, now) {
        Ok(true) => Some(Want::Ask { flow, side, hop }),
        Ok(false) => None,
        Err(None) => Some(Want::Connect(flow)),
        Err(Some(until)) => Some(Want::Wait(until)),
    }
}

/// What was found before is to come again: with all hops, plain and marked. Where the marked packet
/// arrives in the first flow, the others are tried.
fn reproduce(evidence: &Evidence, now: Time) -> Option<Want> {
    if evidence.subject.arrives {
        return None;
    }
    let cell = |flow, side| match evidence.cell(flow, side, ALL_HOPS, now) {
        Cell::Open => ask(evidence, flow, side, ALL_HOPS, now),
        Cell::Pending(until) => Some(Want::Wait(until)),
        Cell::Silent | Cell::Spared | Cell::Answered(_) => None,
    };
    let plain = evidence.subject.plain.as_ref().and_then(|_| cell(0, Side::Plain));
    let of_first = plain.or_else(|| cell(0, Side::Marked));
    if of_first.is_some() || !evidence.arrives(0, now) {
        return of_first;
    }
    // The first that does not arrive is looked at; what comes after it, not.
    for flow in 1..FLOWS {
        let wanted = cell(flow, Side::Marked);
        if wanted.is_some() {
            return wanted;
        }
        if !evidence.arrives(flow, now) {
            return None;
        }
    }
    Some(Want::Over)
}

/// The hops of the flow that is looked at wholly.
fn climb(evidence: &Evidence, now: Time) -> Option<Want> {
    let flow = evidence.work(now);
    let known = evidence.resolved(flow, now);
    match evidence.settings.shape {
        Shape::Every => every(evidence, flow, &known, now),
        Shape::Halves => {
            let hop = halves(evidence, flow, &known, now)?;
            settle(evidence, flow, &[hop], now)
        }
    }
}

/// What brings hops forward, the first one first.
fn settle(evidence: &Evidence, flow: usize, hops: &[u8], now: Time) -> Option<Want> {
    let mut waits: Option<Time> = None;
    for &hop in hops {
        match evidence.position(flow, hop, now) {
            Position::Open(side) => match ask(evidence, flow, side, hop, now)? {
                Want::Wait(until) => waits = Some(waits.map_or(until, |other| other.min(until))),
                other => return Some(other),
            },
            Position::Pending(until) => {
                waits = Some(waits.map_or(until, |other| other.min(until)));
            }
            _ => {}
        }
    }
    waits.map(Want::Wait)
}

type Known = BTreeMap<u8, Position>;

fn end_of(known: &Known) -> Option<u8> {
    known.iter().find(|(_, position)| **position == Position::End).map(|(hop, _)| *hop)
}

/// The dark hops at the end of what is known.
fn dark_at_end(known: &Known) -> usize {
    known.values().rev().take_while(|position| **position == Position::Dark).count()
}

fn last_through(known: &Known) -> u8 {
    let through = known.iter().filter(|(_, position)| **position == Position::Through);
    through.map(|(hop, _)| *hop).next_back().unwrap_or(0)
}

/// Every hop, up to the target: three at a time, and one where the target may be.
fn every(evidence: &Evidence, flow: usize, known: &Known, now: Time) -> Option<Want> {
    let most = evidence.settings.most_hops;
    let end = end_of(known).unwrap_or(most + 1);
    let open: Vec<u8> = (1..=most.min(end - 1)).filter(|hop| !known.contains_key(hop)).collect();
    let first = *open.first()?;
    let below: Known = known.range(..first).map(|(hop, position)| (*hop, *position)).collect();
    if dark_at_end(&below) >= DARK {
        return None;
    }
    // In a connection every copy has the same number, so answers of the target tell them apart by
    // nothing but the order.
    let is_far = |hop: &u8| evidence.subject.distance.is_some_and(|distance| *hop + 1 < distance);
    let at_once = if is_far(&first) { AT_ONCE } else { 1 };
    let window: Vec<u8> =
        open.into_iter().take(at_once).filter(|hop| *hop == first || is_far(hop)).collect();
    settle(evidence, flow, &window, now)
}

/// The unknown hop whose answer decides most.
fn halves(evidence: &Evidence, flow: usize, known: &Known, now: Time) -> Option<u8> {
    let most = evidence.settings.most_hops;
    let is_open = |hop: &u8| !known.contains_key(hop);
    let well = last_through(known);
    let end = end_of(known);
    let middle = |first: u8, last: u8| {
        let half = (first + last) / 2;
        (first..=last).filter(is_open).min_by_key(|hop| hop.abs_diff(half))
    };
    let far = evidence.subject.distance.unwrap_or(0).clamp(0, most);
    let is_bad =
        |at: &(&u8, &Position)| *at.0 > well && matches!(at.1, Position::Lost | Position::Refused);
    let bad = known.iter().find(is_bad).map(|(hop, _)| *hop);
    // A packet that is lost on the way is searched for, also where others like it arrived.
    let edge = match (bad, evidence.arrives(flow, now)) {
        (None, true) => deepest(known, far, most),
        (bad, _) => match bad.or(end) {
            Some(upper) => middle(well + 1, upper - 1),
            None if far > well => middle(well + 1, far).or_else(|| deepest(known, far, most)),
            None => deepest(known, far, most),
        },
    };
    edge.or_else(|| {
        let steps = evidence.changes(flow, Side::Marked);
        let between = steps.iter().filter(|step| step.after - step.before > 1);
        between.filter_map(|step| middle(step.before + 1, step.after - 1)).next()
    })
}

/// The way to the deepest hop that says anything: from where the target seems to be, up while routers
/// answer and down while they do not.
fn deepest(known: &Known, far: u8, most: u8) -> Option<u8> {
    let is_open = |hop: &u8| !known.contains_key(hop);
    if far == 0 {
        let next = known.keys().next_back().map_or(1, |hop| hop + 1);
        let is_over = end_of(known).is_some() || dark_at_end(known) >= DARK;
        return (!is_over && next <= most).then_some(next);
    }
    if let Some(end) = end_of(known) {
        let below = known.range(..end).rev().take_while(|at| *at.1 == Position::Dark).count();
        let has_well = last_through(known) > 0;
        let next = (end - 1).saturating_sub(below as u8);
        let is_told = known.get(&next).is_some();
        return (!is_told && next > 0 && below < DARK && (!has_well || next > last_through(known)))
            .then_some(next);
    }
    if is_open(&far) {
        return Some(far);
    }
    let asked = known.iter().rev().find(|at| *at.1 != Position::Spared);
    let up = asked.map_or(far, |(hop, _)| hop + 1);
    match known.get(&(up - 1)) {
        // The target is at the next one, or the path is longer than its answers say.
        Some(Position::Dark) if up - 1 > far => None,
        Some(Position::Dark) => {
            let dark = known.range(..=far).rev().take_while(|at| *at.1 == Position::Dark).count();
            let next = far.saturating_sub(dark as u8);
            (next > 0 && dark < DARK && is_open(&next)).then_some(next)
        }
        _ => (up <= most && is_open(&up)).then_some(up),
    }
}

/// The hops that decided, in the other flows.
fn compare(evidence: &Evidence, now: Time) -> Option<Want> {
    let work = evidence.work(now);
    let known = evidence.resolved(work, now);
    let well = last_through(&known);
    let mut deciding: Vec<u8> = vec![well];
    for step in evidence.changes(work, Side::Marked) {
        deciding.extend([step.before, step.after]);
    }
    let is_bad = |at: &&u8| **at > well && matches!(known[*at], Position::Lost | Position::Refused);
    deciding.extend(known.keys().find(is_bad));
    deciding.retain(|hop| *hop > 0);
    deciding.sort_unstable();
    deciding.dedup();
    let others = (0..FLOWS).filter(|flow| *flow != work);
    others.filter_map(|flow| settle(evidence, flow, &deciding, now)).next()
}
