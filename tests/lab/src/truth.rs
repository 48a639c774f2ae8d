//! Owns what is known of a path before it is measured: its name, what it does, and the conditions
//! every plugin is to find on it.

use std::collections::BTreeMap;

/// The known truth of one path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Truth {
    /// A word for the path; written into jobs as `lab_path` and found again in the records.
    pub name: String,
    /// What the path does, as the rest of a sentence that begins with "The path".
    pub summary: String,
    /// The conditions to be found, by plugin.
    pub expected: BTreeMap<String, Vec<String>>,
}

impl Truth {
    /// A truth without expectations yet.
    pub fn new(name: impl Into<String>, summary: impl Into<String>) -> Self {
        Self { name: name.into(), summary: summary.into(), expected: BTreeMap::new() }
    }

    /// Adds what `plugin` is to find.
    #[must_use]
    pub fn expecting(mut self, plugin: &str, conditions: &[&str]) -> Self {
        let conditions = conditions.iter().map(ToString::to_string).collect();
        self.expected.insert(plugin.into(), conditions);
        self
    }

    /// What `plugin` is to find; `None` when the truth says nothing of it.
    pub fn expected(&self, plugin: &str) -> Option<&[String]> {
        self.expected.get(plugin).map(Vec::as_slice)
    }
}
