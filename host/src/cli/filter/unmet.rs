//! What was asked for that no record has: more often a slip than a finding.

use pathspider_plugin_api::Record;

use super::criteria::Criteria;
use pathspider_runtime::say;

/// Which tests of a filter no record has met, so far.
#[derive(Debug)]
pub(super) struct Unmet {
    /// Of `--condition`, of `--without`, of `--where`: the places of those tests.
    conditions: Vec<usize>,
    without: Vec<usize>,
    keys: Vec<usize>,
    read: u64,
}

impl Unmet {
    pub(super) fn new(criteria: &Criteria) -> Unmet {
        Unmet {
            conditions: (0..criteria.with.len()).collect(),
            without: (0..criteria.without.len()).collect(),
            keys: (0..criteria.keys.len()).collect(),
            read: 0,
        }
    }

    /// Looks what a record has.
    pub(super) fn look(&mut self, criteria: &Criteria, record: &Record) {
        self.read += 1;
        self.conditions.retain(|&at| !criteria.with[at].is_in(record));
        self.without.retain(|&at| !criteria.without[at].is_in(record));
        self.keys.retain(|&at| !criteria.keys[at].names_a_key_of(record));
    }

    /// Says what none has.
    pub(super) fn tell(&self, criteria: &Criteria) {
        if self.read == 0 {
            say!("the input has no record, so there is nothing to pick from");
            return;
        }
        let with = self.conditions.iter().map(|&at| &criteria.with[at]);
        let without = self.without.iter().map(|&at| &criteria.without[at]);
        for pattern in with.chain(without) {
            say!("no record has a condition like {:?}", pattern.text());
        }
        for &at in &self.keys {
            say!("no record has the key {:?}", criteria.keys[at].key());
        }
    }
}
