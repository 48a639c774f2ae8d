//! A set of kinds of TCP options.

use std::fmt;

use crate::Value;

/// Kinds of TCP options (IANA's numbers), as a set.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct OptionKinds([u64; 4]);

impl OptionKinds {
    /// None.
    pub const NONE: OptionKinds = OptionKinds([0; 4]);

    /// Adds a kind.
    #[inline]
    pub fn add(&mut self, kind: u8) {
        self.0[usize::from(kind >> 6)] |= 1 << (kind & 63);
    }

    /// Whether it has this kind.
    pub fn has(self, kind: u8) -> bool {
        self.0[usize::from(kind >> 6)] & 1 << (kind & 63) != 0
    }

    /// What is in both sets.
    #[inline]
    pub fn common(self, other: OptionKinds) -> OptionKinds {
        OptionKinds(std::array::from_fn(|word| self.0[word] & other.0[word]))
    }

    /// What is in either set.
    #[inline]
    pub fn joined(self, other: OptionKinds) -> OptionKinds {
        OptionKinds(std::array::from_fn(|word| self.0[word] | other.0[word]))
    }

    /// The kinds, the lowest first.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        let words = self.0.into_iter().zip((0u8..).step_by(64));
        words.flat_map(|(word, first)| bits(word).map(move |bit| first + bit))
    }

    /// The kinds in a list of numbers; what is no kind is left out.
    pub(crate) fn of_list(list: &[Value]) -> OptionKinds {
        let kinds = list.iter().filter_map(|value| u8::try_from(value.as_u64()?).ok());
        kinds.collect()
    }
}

impl FromIterator<u8> for OptionKinds {
    fn from_iter<I: IntoIterator<Item = u8>>(kinds: I) -> OptionKinds {
        let mut set = OptionKinds::NONE;
        kinds.into_iter().for_each(|kind| set.add(kind));
        set
    }
}

impl From<OptionKinds> for Value {
    fn from(kinds: OptionKinds) -> Value {
        kinds.iter().collect()
    }
}

impl fmt::Debug for OptionKinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The places of the bits that are set, the lowest first.
fn bits(mut word: u64) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let lowest = word.trailing_zeros() as u8;
        (word != 0).then(|| {
            word &= word - 1;
            lowest
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_what_was_put_into_it() {
        let kinds: OptionKinds = [254, 2, 8, 64].into_iter().collect();
        assert_eq!(kinds.iter().collect::<Vec<_>>(), [2, 8, 64, 254]);
        assert!(kinds.has(64) && !kinds.has(63));
        let list = Value::from(kinds);
        assert_eq!(OptionKinds::of_list(list.as_list().unwrap()), kinds);
        let other: OptionKinds = [8, 9].into_iter().collect();
        assert_eq!(kinds.common(other).iter().collect::<Vec<_>>(), [8]);
        assert_eq!(other.joined(kinds).iter().count(), 5);
    }
}
