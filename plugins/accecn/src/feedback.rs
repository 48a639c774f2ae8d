//! What the target fed back of the marks on data, where it agreed to Accurate ECN in B.

use pathspider_plugin_api::chains::accecn::{self, Arrived};
use pathspider_plugin_api::chains::tcp;
use pathspider_plugin_api::packet::ecn::{CE, ECT_1};
use pathspider_plugin_api::prelude::*;

use crate::{
    ACE_ZEROED, COUNTED, DATA_CHANGED, DATA_CONNECTIVITY, DATA_INTACT, NOT_COUNTED, OPTION_NONE,
    OPTION_SEEN, OPTION_STRIPPED, OPTION_ZEROED, mode,
};

/// The conclusions from B, beside the baseline A.
pub(crate) fn conclude(a: Flow<'_>, b: Flow<'_>) -> Vec<Condition> {
    if !mode(b).is_some_and(|mode| mode.is_accurate()) {
        return Vec::new();
    }
    let mut found = Vec::from_iter(option(b));
    if !is_as_meant(b) {
        return found;
    }
    if a.has(tcp::CONNECTED) {
        found.push(DATA_CONNECTIVITY.compared(a.connected(), b.connected()));
    }
    found.extend(ace(b));
    found.extend(Arrived::before_ce(b).map(|arrived| marked(arrived, ECT_1)));
    if sent(b, accecn::SENT_CE) > 0 {
        found.extend(Arrived::from_ce(b).map(|arrived| marked(arrived, CE)));
    }
    found
}

fn sent(flow: Flow<'_>, field: Field<u32>) -> u32 {
    flow.get(field).unwrap_or(0)
}

/// Whether data left with ECT(1), and none with another mark than that and CE.
fn is_as_meant(b: Flow<'_>) -> bool {
    sent(b, accecn::SENT_ECT1) > 0
        && sent(b, accecn::SENT_NOT_ECT) == 0
        && sent(b, accecn::SENT_ECT0) == 0
}

/// What became of the option, which has counters of octets.
fn option(b: Flow<'_>) -> Option<Condition> {
    let (first, later) = (b.get(accecn::OPTION_SYN)?, b.get(accecn::OPTION_LATER));
    Some(match (first, later) {
        _ if b.has(accecn::ZEROED) => OPTION_ZEROED,
        (true, Some(false)) => OPTION_STRIPPED,
        (true, _) | (_, Some(true)) => OPTION_SEEN,
        (false, Some(false)) => OPTION_NONE,
        (false, None) => return None,
    })
}

/// Whether the ACE field, which counts packets with CE, rose with the data that had it.
fn ace(b: Flow<'_>) -> Option<Condition> {
    let (before, after) = (b.get(accecn::ACE_BEFORE)?, b.get(accecn::ACE_AFTER)?);
    let rise = after.wrapping_sub(before) & 7;
    Some(match (before, after) {
        (0, 0) => ACE_ZEROED,
        _ if rise > 0 => COUNTED,
        _ => NOT_COUNTED,
    })
}

/// Whether data arrived with the mark that they left with.
fn marked(arrived: Arrived, sent: u8) -> Condition {
    let word = |mark: u8| accecn::MARKS[usize::from(mark & 3)];
    match arrived.instead_of(sent) {
        None => DATA_INTACT.of(word(sent)),
        Some(mark) => DATA_CHANGED.of(word(sent)).with(word(mark)),
    }
}
