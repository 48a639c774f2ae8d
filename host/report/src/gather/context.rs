//! What is known before records are read: what stands beside them, and by which keys they are grouped.

use std::hash::{BuildHasher, Hash, Hasher};

use pathspider_asn::Databases;
use pathspider_records::{About, KeyPath, Record, Scalar, Wanted};

use super::State;

/// Which of two sets of records is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    /// The first, or the only one.
    A,
    /// The second.
    B,
}

/// A key by which records are grouped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) name: String,
    /// Its number among the keys that are wanted of records.
    pub(crate) wanted: usize,
}

/// All that is known before.
#[derive(Debug)]
pub(crate) struct Context {
    sources: Vec<(About, Side)>,
    pub(crate) keys: Vec<Key>,
    /// Where the networks of targets are looked up.
    pub(super) databases: Databases,
    pub(crate) state: State,
}

impl Context {
    /// What stands beside each source and on which side it is, and the keys to group by.
    pub(crate) fn new(
        sources: Vec<(About, Side)>,
        keys: &[String],
        databases: Databases,
    ) -> Context {
        let key = |(wanted, name): (usize, &String)| Key { name: name.clone(), wanted };
        let keys = keys.iter().enumerate().map(key).collect();
        Context { sources, keys, databases, state: State::default() }
    }

    /// What is to be read of each record.
    pub(crate) fn wanted(&self) -> Wanted {
        Wanted::new(self.keys.iter().map(|key| KeyPath::new(&*key.name)).collect())
    }

    /// What stands beside a source.
    pub(crate) fn about(&self, source: usize) -> &About {
        static NOTHING: std::sync::LazyLock<About> = std::sync::LazyLock::new(About::default);
        self.sources.get(source).map_or(&*NOTHING, |(about, _)| about)
    }

    pub(crate) fn abouts(&self) -> impl Iterator<Item = &About> {
        self.sources.iter().map(|(about, _)| about)
    }

    pub(crate) fn side(&self, source: usize) -> Side {
        self.sources.get(source).map_or(Side::A, |(_, side)| *side)
    }

    /// What makes a target one: address and port, or the name.
    pub(crate) fn target(&self, record: &Record<'_>) -> u64 {
        let mut hasher = self.state.build_hasher();
        let named = match &record.dip {
            Scalar::Text(address) => address,
            _ => record.domain.as_str().unwrap_or_default(),
        };
        named.hash(&mut hasher);
        record.dp.as_u64().hash(&mut hasher);
        hasher.finish()
    }
}
