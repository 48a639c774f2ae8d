//! The hash index of the flow table: open addressing over words of a hash and a flow's place.
//!
//! One word is one entry, so that a look-up costs one cache line of the index, and the line can
//! be asked for before it is needed (`touch`).

use super::place::FlowId;

const EMPTY: u64 = u64::MAX;
const SMALLEST: usize = 1024;

/// The upper half of a key's hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hash(u32);

impl Hash {
    /// The hash of nothing.
    pub(crate) const NONE: Hash = Hash(0);

    #[inline]
    pub(crate) fn new(hash: u64) -> Hash {
        Hash((hash >> 32) as u32)
    }
}

/// Places of flows by the hash of their keys, at most half full.
pub(crate) struct Index {
    entries: Box<[u64]>,
    len: usize,
}

impl Index {
    pub(crate) fn new() -> Index {
        Index { entries: vec![EMPTY; SMALLEST].into_boxed_slice(), len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Where the entry of a hash would best stand: its upper bits.
    #[inline]
    fn home(&self, hash: Hash) -> usize {
        let bits = self.entries.len().trailing_zeros();
        (u64::from(hash.0) >> (32 - bits)) as usize
    }

    /// The flow with that hash for which `is` holds.
    #[inline]
    pub(crate) fn find(&self, hash: Hash, is: impl Fn(FlowId) -> bool) -> Option<FlowId> {
        let mask = self.entries.len() - 1;
        let mut at = self.home(hash);
        // An index that is at most half full has an empty entry to stop at.
        loop {
            let entry = self.entries[at];
            if entry == EMPTY {
                return None;
            }
            if hash_of(entry) == hash && is(flow_of(entry)) {
                return Some(flow_of(entry));
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds a flow that is not in the index.
    pub(crate) fn insert(&mut self, hash: Hash, id: FlowId) {
        if (self.len + 1) * 2 > self.entries.len() {
            self.grow();
        }
        self.len += 1;
        self.place(entry(hash, id));
    }

    /// Takes a flow out.
    pub(crate) fn remove(&mut self, hash: Hash, id: FlowId) {
        let mask = self.entries.len() - 1;
        let wanted = entry(hash, id);
        let mut hole = self.home(hash);
        while self.entries[hole] != wanted {
            if self.entries[hole] == EMPTY {
                return;
            }
            hole = (hole + 1) & mask;
        }
        self.len -= 1;
        // Entries that follow move up, so that no look-up stops too early at the hole.
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let entry = self.entries[at];
            if entry == EMPTY {
                self.entries[hole] = EMPTY;
                return;
            }
            let home = self.home(hash_of(entry));
            if (at.wrapping_sub(home) & mask) >= (at.wrapping_sub(hole) & mask) {
                self.entries[hole] = entry;
                hole = at;
            }
        }
    }

    /// Every flow, in no order.
    pub(crate) fn ids(&self) -> impl Iterator<Item = FlowId> {
        self.entries.iter().filter(|&&entry| entry != EMPTY).map(|&entry| flow_of(entry))
    }

    fn place(&mut self, entry: u64) {
        let mask = self.entries.len() - 1;
        let mut at = self.home(hash_of(entry));
        while self.entries[at] != EMPTY {
            at = (at + 1) & mask;
        }
        self.entries[at] = entry;
    }

    #[cold]
    fn grow(&mut self) {
        let larger = vec![EMPTY; self.entries.len() * 2].into_boxed_slice();
        for entry in std::mem::replace(&mut self.entries, larger) {
            if entry != EMPTY {
                self.place(entry);
            }
        }
    }
}

#[inline]
fn entry(hash: Hash, id: FlowId) -> u64 {
    u64::from(hash.0) << 32 | u64::from(id.number())
}

#[inline]
fn flow_of(entry: u64) -> FlowId {
    FlowId::new(entry as u32)
}

#[inline]
fn hash_of(entry: u64) -> Hash {
    Hash((entry >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Hashes are few, so that entries collide and wrap around the end.
        #[test]
        fn is_a_map(steps in prop::collection::vec((any::<bool>(), 0u32..400, 0u32..4), 0..4000)) {
            let mut index = Index::new();
            let mut model = HashMap::new();
            for (add, id, hash) in steps {
                let (id, hash) = (FlowId::new(id), Hash(u32::MAX - hash * (1 << 20)));
                if add && !model.contains_key(&id) {
                    index.insert(hash, id);
                    model.insert(id, hash);
                } else if let Some(hash) = model.remove(&id) {
                    index.remove(hash, id);
                }
                prop_assert_eq!(index.len(), model.len());
            }
            for (&id, &hash) in &model {
                prop_assert_eq!(index.find(hash, |other| other == id), Some(id));
            }
            prop_assert_eq!(index.ids().count(), model.len());
        }
    }

    #[test]
    fn grows() {
        let mut index = Index::new();
        for id in 0..10_000u32 {
            index.insert(Hash(id.wrapping_mul(0x9e37_79b9)), FlowId::new(id));
        }
        for id in 0..10_000u32 {
            let (id, hash) = (FlowId::new(id), Hash(id.wrapping_mul(0x9e37_79b9)));
            assert_eq!(index.find(hash, |other| other == id), Some(id));
        }
    }
}
