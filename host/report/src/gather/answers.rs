//! From how far answers came: what records hint at of who answered.

use std::collections::BTreeMap;

use pathspider_records::Record;

/// The hints of a measurement's records.
#[derive(Debug, Clone, Default)]
pub(crate) struct AnswerTally {
    /// Records with a hint, by the fewest routers that it implies.
    pub(crate) hops: BTreeMap<u8, u64>,
    /// Those where other packets had another TTL than the first answers.
    pub(crate) apart: u64,
    /// Those that answered from much nearer or farther than others of their prefix.
    pub(crate) out_of_place: u64,
    /// Records of addresses that a translator stands for.
    pub(crate) translated: u64,
}

impl AnswerTally {
    pub(super) fn count(&mut self, record: &Record<'_>) {
        self.translated += u64::from(record.translated.as_str().is_some());
        let Some(answered) = &record.answered_from else { return };
        self.apart += u64::from(answered.is_apart());
        self.out_of_place += u64::from(answered.is_out_of_place());
        if let Some(&fewest) = answered.hops.iter().min() {
            *self.hops.entry(fewest).or_default() += 1;
        }
    }

    pub(super) fn merge(&mut self, other: AnswerTally) {
        self.apart += other.apart;
        self.out_of_place += other.out_of_place;
        self.translated += other.translated;
        for (hops, count) in other.hops {
            *self.hops.entry(hops).or_default() += count;
        }
    }

    /// Whether no record has a hint.
    pub(crate) fn is_empty(&self) -> bool {
        self.hops.is_empty() && self.translated == 0
    }
}
