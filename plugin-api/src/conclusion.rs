//! What `combine` gives: conditions, and what it wishes of the host.

use crate::condition::Condition;

/// What a measurement concludes from a job's connections.
///
/// A list of conditions is one; so is nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Conclusion {
    pub(crate) conditions: Vec<Condition>,
    pub(crate) wishes: Wishes,
}

/// What a measurement wishes of the host for a job. The host grants it where its options ask for it
/// and it can; this version of the host grants none yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wishes(pub(crate) u32);

impl Wishes {
    const LOCATE: u32 = 1;
    const CONFIRM: u32 = 1 << 1;

    /// Whether to find where on the path it was harmed.
    pub fn locates(self) -> bool {
        self.0 & Wishes::LOCATE != 0
    }

    /// Whether to measure the target again.
    pub fn confirms(self) -> bool {
        self.0 & Wishes::CONFIRM != 0
    }
}

impl Conclusion {
    /// Nothing can be said.
    pub fn none() -> Conclusion {
        Conclusion::default()
    }

    /// Asks for where on the path it was harmed, beside what options ask for.
    pub fn locate(mut self) -> Conclusion {
        self.wishes.0 |= Wishes::LOCATE;
        self
    }

    /// Asks for the target to be measured again, beside what options ask for.
    pub fn confirm(mut self) -> Conclusion {
        self.wishes.0 |= Wishes::CONFIRM;
        self
    }

    /// The conditions, in their order.
    pub fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    /// What it wishes of the host.
    pub fn wishes(&self) -> Wishes {
        self.wishes
    }
}

impl From<Vec<Condition>> for Conclusion {
    fn from(conditions: Vec<Condition>) -> Conclusion {
        Conclusion { conditions, wishes: Wishes::default() }
    }
}

impl FromIterator<Condition> for Conclusion {
    fn from_iter<I: IntoIterator<Item = Condition>>(conditions: I) -> Conclusion {
        Vec::from_iter(conditions).into()
    }
}

impl Extend<Condition> for Conclusion {
    fn extend<I: IntoIterator<Item = Condition>>(&mut self, conditions: I) {
        self.conditions.extend(conditions);
    }
}
