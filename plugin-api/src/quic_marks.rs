//! With which ECN marks packets over QUIC left, and with which they arrived: the target's acknowledgments
//! count them (RFC 9000, section 13.4).

use crate::chains::{ecn, quic};
use crate::flows::Flow;
use crate::{Record, Value};

/// The marks as a record's counts have them, with their values in the ECN field.
const MARKS: [(&str, u8); 3] = [("ect0", 2), ("ect1", 1), ("ce", CE)];
const CE: u8 = 3;

/// What a target counted in all packet number spaces in which it acknowledged something.
#[derive(Debug, Default, Clone, Copy)]
pub struct QuicMarks {
    /// Packets that it acknowledged, in spaces whose marks it reported.
    acknowledged: u64,
    /// Packets that it counted with ECT(0), ECT(1) and CE.
    counts: [u64; 3],
    /// In one space, it counted more than were sent.
    is_overcounted: bool,
}

/// What became of packets that all left with one mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marked {
    /// All that were acknowledged arrived with it.
    Passed,
    /// Some arrived with CE: of several, not all; or the only one that was counted.
    Congested,
    /// Several were counted, and all arrived with CE.
    AllCe,
    /// Some arrived with this other mark, `ect0` or `ect1`.
    As(&'static str),
    /// The target counts none of them, and counts marks of another connection.
    Bleached,
    /// The target counts no marks of any connection.
    Uncounted,
    /// The target counts fewer than it acknowledged: some arrived without a mark, or it counts wrongly.
    Undercounted,
    /// The target counts more than were sent: its counts mean nothing.
    Overcounted,
}

impl Flow<'_> {
    /// Whether all packets left with this ECN field; `None` where the capture has none. Needs the chains
    /// `quic` and `ecn`.
    pub fn left_with_mark(self, field: u8) -> Option<bool> {
        self.get(quic::VERSION_FWD)?;
        let seen = [ecn::ECT0_DATA_FWD, ecn::ECT1_DATA_FWD, ecn::CE_DATA_FWD];
        let mut each = MARKS.into_iter().zip(seen);
        Some(each.all(|((_, mark), seen)| self.has(seen) == (mark == field)))
    }

    /// What the target counted of a connection of kind `quic`; `None` where it acknowledged nothing.
    pub fn quic_marks(self) -> Option<QuicMarks> {
        let info = self.outcome().get("quic_info").and_then(Value::as_record)?;
        let spaces = info.get("ecn").and_then(Value::as_record)?;
        let mut marks = QuicMarks::default();
        let mut is_acknowledged = false;
        for space in spaces.iter().filter_map(|(_, space)| space.as_record()) {
            is_acknowledged |= space.u64("acknowledged").is_some_and(|count| count > 0);
            marks.add(space);
        }
        is_acknowledged.then_some(marks)
    }
}

impl QuicMarks {
    fn add(&mut self, space: &Record) {
        let counts = MARKS.map(|(word, _)| space.u64(word));
        if counts.iter().all(Option::is_none) {
            return;
        }
        self.acknowledged += space.u64("acknowledged").unwrap_or(0);
        let counts = counts.map(Option::unwrap_or_default);
        self.is_overcounted |= space.u64("sent").is_some_and(|sent| sum(counts) > sent);
        for (all, count) in self.counts.iter_mut().zip(counts) {
            *all = all.saturating_add(count);
        }
    }

    /// Whether the target counted a packet with any mark.
    pub fn is_counted(&self) -> bool {
        sum(self.counts) > 0
    }

    /// What became of packets that left with this mark: ECT(0), ECT(1) or CE. `mirrors` is whether the
    /// target counts any marks, of this connection or another one.
    pub fn of(&self, field: u8, mirrors: bool) -> Vec<Marked> {
        if !self.is_counted() {
            return vec![if mirrors { Marked::Bleached } else { Marked::Uncounted }];
        }
        if self.is_overcounted {
            return vec![Marked::Overcounted];
        }
        let came = || MARKS.into_iter().zip(self.counts).filter(|(_, count)| *count > 0);
        let has = |mark: u8| came().any(|((_, came), _)| came == mark);
        // A queue may set CE; nothing may set another mark, or take CE off.
        let wrong = came().filter(|((_, mark), _)| ![field, CE].contains(mark));
        let mut found: Vec<Marked> = wrong.map(|((word, _), _)| Marked::As(word)).collect();
        if field != CE && has(CE) {
            // A full queue may have marked a single one.
            let is_all = !has(field) && found.is_empty() && sum(self.counts) > 1;
            found.push(if is_all { Marked::AllCe } else { Marked::Congested });
        }
        if sum(self.counts) < self.acknowledged {
            found.push(Marked::Undercounted);
        }
        if found.is_empty() {
            found.push(Marked::Passed);
        }
        found
    }
}

/// The sum of counts, which are of the target's choice.
fn sum(counts: [u64; 3]) -> u64 {
    counts.into_iter().fold(0, u64::saturating_add)
}
