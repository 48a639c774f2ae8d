//! What the rounds of each target come to, by the conclusions that are drawn now.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use pathspider_plugin_api::Condition;

use super::past::Past;
use crate::job::TargetKey;
use crate::rounds::{Folds, Standing, is_fold};

/// The rounds of all targets so far, in memory only where the run had rounds.
pub(super) struct Refold {
    /// Whether a target is known by its line.
    duplicates: bool,
    /// Whether it is known by its name.
    names: bool,
    folds: Folds,
    standings: HashMap<TargetKey, Standing, RandomState>,
}

impl Refold {
    pub(super) fn new(duplicates: bool, names: bool) -> Refold {
        let (folds, standings) = (Folds::default(), HashMap::default());
        Refold { duplicates, names, folds, standings }
    }

    /// Adds the conclusions of a round; what all rounds come to, where the record said it of the run's.
    pub(super) fn add(&mut self, past: &Past, conditions: &[Condition]) -> Vec<Condition> {
        if past.round.is_none() {
            return Vec::new();
        }
        let Some(target) = past.target().key(self.names, self.duplicates) else {
            return Vec::new();
        };
        let standing = self.standings.entry(target).or_default();
        standing.add(&mut self.folds, conditions.iter().map(|one| (one.as_str(), one.class())));
        if past.conditions().iter().any(|condition| is_fold(condition)) {
            standing.close(&mut self.folds)
        } else {
            Vec::new()
        }
    }
}
