//! What a target's acknowledgments say of the marks that packets left with.

use pathspider_plugin_api::prelude::*;

use super::{ALL_CE, BLEACHED, CONGESTED, NO_COUNTS, PASSED, REMARKED, UNDERCOUNT};

/// The marks in the order of a record's counts.
const MARKS: [&str; 3] = ["ect0", "ect1", "ce"];
const CE: usize = 2;

/// The sums over all packet number spaces in which the target acknowledged something.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Feedback {
    /// Packets that it acknowledged.
    acknowledged: u64,
    /// Of these, those in spaces whose marks it reported.
    told: u64,
    /// Packets that it counted with ECT(0), ECT(1) and CE.
    counts: [u64; 3],
}

impl Feedback {
    /// Reads what the host says; `None` where the target acknowledged nothing.
    pub(crate) fn of(flow: Flow<'_>) -> Option<Feedback> {
        let info = flow.outcome().get("quic_info").and_then(Value::as_record)?;
        let spaces = info.get("ecn").and_then(Value::as_record)?;
        let mut feedback = Feedback::default();
        for (_, space) in spaces.iter() {
            let Some(space) = space.as_record() else { continue };
            let acknowledged = space.u64("acknowledged").unwrap_or(0);
            feedback.acknowledged += acknowledged;
            let counts = MARKS.map(|mark| space.u64(mark));
            if counts.iter().any(Option::is_some) {
                feedback.told += acknowledged;
                for (sum, count) in feedback.counts.iter_mut().zip(counts) {
                    *sum = sum.saturating_add(count.unwrap_or(0));
                }
            }
        }
        (feedback.acknowledged > 0).then_some(feedback)
    }

    /// Whether it counted a packet with any mark.
    pub(crate) fn is_counted(&self) -> bool {
        self.counts.iter().any(|count| *count > 0)
    }

    /// What became of packets with the mark at this place; `mirrors` is whether the target counts any, of
    /// this connection or another one.
    pub(crate) fn said(&self, meant: usize, mirrors: bool) -> Vec<Condition> {
        if !self.is_counted() {
            return vec![if mirrors { BLEACHED } else { NO_COUNTS }];
        }
        let [right, ce] = [meant, CE].map(|place| self.counts[place]);
        let others = MARKS.iter().zip(self.counts).enumerate();
        // A queue may set CE; nothing may set another mark, or take CE off.
        let wrong = others.filter(|(place, (_, count))| ![meant, CE].contains(place) && *count > 0);
        let mut said: Vec<Condition> = wrong.map(|(_, (mark, _))| REMARKED.with(mark)).collect();
        if meant != CE && ce > 0 {
            said.push(if right == 0 && said.is_empty() { ALL_CE } else { CONGESTED });
        }
        if self.counts.iter().fold(0_u64, |sum, count| sum.saturating_add(*count)) < self.told {
            said.push(UNDERCOUNT);
        }
        if said.is_empty() {
            said.push(PASSED);
        }
        said
    }
}
