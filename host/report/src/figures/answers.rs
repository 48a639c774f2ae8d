//! Who may have answered, by the hints of the records: never a verdict.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::gather::AnswerTally;

/// What the records of a measurement hint at.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Answers {
    /// Records that say from how far the answers came.
    pub(crate) records: u64,
    /// Those where other packets had another TTL than the first answers.
    pub(crate) apart: u64,
    /// Those that answered from much nearer or farther than others of their prefix.
    pub(crate) out_of_place: u64,
    /// Records of addresses that a translator stands for.
    pub(crate) translated: u64,
    /// How many records have each number of routers, the fewest of their first answers.
    pub(crate) hops: BTreeMap<u8, u64>,
}

/// The hints of a measurement; `None` where its records have none.
pub(super) fn of(tally: Option<&AnswerTally>) -> Option<Answers> {
    let tally = tally.filter(|tally| !tally.is_empty())?.clone();
    let AnswerTally { hops, apart, out_of_place, translated } = tally;
    Some(Answers { records: hops.values().sum(), apart, out_of_place, translated, hops })
}

impl Answers {
    /// Each count with what it is of.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (u64, &'static str)> {
        let near = self.hops.iter().filter(|(hops, _)| **hops <= NEAR).map(|(_, count)| count);
        let rows = [
            (self.records, "records say from how far the answers came"),
            (near.sum(), "of them over one router or none, so from near by"),
            (self.apart, "of them where other packets had another TTL than the first answers"),
            (self.out_of_place, "of them from much nearer or farther than others of their prefix"),
            (self.translated, "records of addresses that a translator stands for (NAT64)"),
        ];
        rows.into_iter().filter(|(count, _)| *count > 0)
    }
}

/// Over this many routers at the most, an answer comes from near by.
const NEAR: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_of_what_there_is() {
        assert!(of(None).is_none() && of(Some(&AnswerTally::default())).is_none());
        let hops = [(0, 2), (1, 3), (9, 5)].into();
        let tally = AnswerTally { hops, translated: 1, ..AnswerTally::default() };
        let answers = of(Some(&tally)).unwrap();
        let counts: Vec<u64> = answers.rows().map(|(count, _)| count).collect();
        assert_eq!(counts, [10, 5, 1]);
        let answers = of(Some(&AnswerTally { out_of_place: 2, ..tally })).unwrap();
        assert_eq!(answers.rows().map(|(count, _)| count).collect::<Vec<_>>(), [10, 5, 2, 1]);
    }
}
