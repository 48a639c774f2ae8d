//! Where flows and claims stand in their tables, and by which they refer to each other.

use std::cmp::Ordering;
use std::num::NonZeroU32;

/// A place in a table. Its complement is what is kept, so that a place that may be missing is no
/// larger.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Place(NonZeroU32);

impl Place {
    /// Tables are far smaller than the one number for which there is no place.
    #[inline]
    const fn new(index: u32) -> Place {
        match NonZeroU32::new(!index) {
            Some(complement) => Place(complement),
            None => Place(NonZeroU32::MIN),
        }
    }

    #[inline]
    const fn number(self) -> u32 {
        !self.0.get()
    }
}

/// A flow's place in the flow table.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FlowId(Place);

/// A claim's place among those that are not answered.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ClaimId(Place);

const _: () = assert!(size_of::<Option<FlowId>>() == 4 && size_of::<Option<ClaimId>>() == 4);

macro_rules! place {
    ($id:ident) => {
        impl $id {
            /// The place with this number.
            #[inline]
            pub(crate) const fn new(number: u32) -> $id {
                $id(Place::new(number))
            }

            /// Its number.
            #[inline]
            pub(crate) const fn number(self) -> u32 {
                self.0.number()
            }

            /// Its index in the table.
            #[inline]
            pub(crate) const fn index(self) -> usize {
                self.number() as usize
            }
        }

        impl PartialOrd for $id {
            fn partial_cmp(&self, other: &$id) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        /// By their numbers.
        impl Ord for $id {
            fn cmp(&self, other: &$id) -> Ordering {
                self.number().cmp(&other.number())
            }
        }

        impl std::fmt::Debug for $id {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($id), "({})"), self.number())
            }
        }
    };
}

place!(FlowId);
place!(ClaimId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_keeps_its_number() {
        for number in [0, 1, 1 << 20, u32::MAX - 1] {
            assert_eq!(FlowId::new(number).number(), number);
            assert_eq!(ClaimId::new(number).index(), number as usize);
            assert!(number == 0 || FlowId::new(number) > FlowId::new(number - 1));
        }
    }
}
