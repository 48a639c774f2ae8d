//! The fields of the chain `accecn`, and what its counters say of marks.

use crate::flows::Flow;

crate::fields! {
    pub CHAIN = "accecn":
        "feedback of Accurate ECN (RFC 9768): the handshake, and what comes of marks on data";
    SYN_MARKS: u8 = "accecn_syn_marks":
        "ECN fields of the originator's SYNs as a sum: 1 Not-ECT, 2 ECT(1), 4 ECT(0), 8 CE; null without SYN";
    ANSWER: u8 = "accecn_answer":
        "the bits AE, CWR and ECE of the first SYN/ACK as a number; null without one";
    ANSWER_MARK: u8 = "accecn_answer_mark":
        "the ECN field of that SYN/ACK: 0 Not-ECT, 1 ECT(1), 2 ECT(0), 3 CE";
    THIRD: u8 = "accecn_third":
        "the bits AE, CWR and ECE of the originator's first segment after it; null without one";
    OPTION_SYN: bool = "accecn_option_syn":
        "that SYN/ACK has option 172 or 174; null without one";
    OPTION_LATER: bool = "accecn_option_later":
        "a later segment to the originator has such an option; null when there was none but resets";
    ZEROED: bool = "accecn_zeroed":
        "such an option has a zero for E0B or E1B, which begin at one; null when none has a counter";
    SENT_NOT_ECT: u32 = "accecn_sent_not_ect" in "segments":
        "of the originator with data and no mark, repeats too";
    SENT_ECT1: u32 = "accecn_sent_ect1" in "segments": "with data and ECT(1)";
    SENT_ECT0: u32 = "accecn_sent_ect0" in "segments": "with data and ECT(0)";
    SENT_CE: u32 = "accecn_sent_ce" in "segments": "with data and CE";
    ACE_BEFORE: u8 = "accecn_ace_before":
        "the bits AE, CWR and ECE of the last segment that acknowledges all data, before data with CE were sent";
    E0B_BEFORE: u32 = "accecn_e0b_before" in "octets":
        "the counter for ECT(0) of such a segment's option; null when it has none";
    CEB_BEFORE: u32 = "accecn_ceb_before" in "octets": "the counter for CE";
    E1B_BEFORE: u32 = "accecn_e1b_before" in "octets": "the counter for ECT(1)";
    ACE_AFTER: u8 = "accecn_ace_after":
        "the same bits of the last segment that acknowledges all data, after data with CE were sent";
    E0B_AFTER: u32 = "accecn_e0b_after" in "octets":
        "the counter for ECT(0) of such a segment's option; null when it has none";
    CEB_AFTER: u32 = "accecn_ceb_after" in "octets": "the counter for CE";
    E1B_AFTER: u32 = "accecn_e1b_after" in "octets": "the counter for ECT(1)";
    ECE_AFTER: bool = "accecn_ece_after":
        "a segment that acknowledges all data, after data with CE were sent, has ECE; null when none does so";
}

/// The words for the values of the ECN field, at their places.
pub const MARKS: [&str; 4] = ["notect", "ect1", "ect0", "ce"];

/// What the counters for ECT(0), CE and ECT(1) begin at (RFC 9768, section 3.2.1).
const FIRST: [Option<u32>; 3] = [Some(1), Some(0), Some(1)];
/// The values of the ECN field that these count.
const COUNTED: [u8; 3] = [2, 3, 1];

/// Which marks data arrived with, as the target's counters say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrived {
    /// A bit for each value of the ECN field.
    marks: u8,
}

impl Arrived {
    /// With which those did that were sent before the first with CE. `None` where the counters do not
    /// say: there are none, or too few, or they are no true ones.
    pub fn before_ce(flow: Flow<'_>) -> Option<Arrived> {
        Arrived::between(flow, FIRST, before(flow))
    }

    /// With which those did that were sent from the first with CE on.
    pub fn from_ce(flow: Flow<'_>) -> Option<Arrived> {
        let after = [E0B_AFTER, CEB_AFTER, E1B_AFTER].map(|field| flow.get(field));
        Arrived::between(flow, before(flow), after)
    }

    fn between(
        flow: Flow<'_>,
        earlier: [Option<u32>; 3],
        later: [Option<u32>; 3],
    ) -> Option<Arrived> {
        if flow.has(ZEROED) {
            return None;
        }
        let mut marks = 0;
        let mut all_are_known = true;
        for ((earlier, later), mark) in earlier.into_iter().zip(later).zip(COUNTED) {
            match earlier.zip(later) {
                Some((earlier, later)) if earlier != later => marks |= 1 << mark,
                Some(_) => {}
                None => all_are_known = false,
            }
        }
        match marks {
            0 => all_are_known.then_some(Arrived { marks: 1 }),
            marks => Some(Arrived { marks }),
        }
    }

    /// Whether some arrived with this mark.
    pub fn has(self, mark: u8) -> bool {
        self.marks >> (mark & 3) & 1 == 1
    }

    /// The mark that data have become that were sent with this one; `None` where some arrived with it.
    pub fn instead_of(self, mark: u8) -> Option<u8> {
        let others = [3, 2, 1, 0].into_iter().find(|other| self.has(*other));
        others.filter(|_| !self.has(mark))
    }
}

fn before(flow: Flow<'_>) -> [Option<u32>; 3] {
    [E0B_BEFORE, CEB_BEFORE, E1B_BEFORE].map(|field| flow.get(field))
}
