//! Where the fields of a run's chains stand: in which slot of each flow, resolved once a run.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use abi_stable::std_types::{RStr, RVec};

use crate::chain::ChainInfo;
use crate::field::ChainFields;
use crate::info::ChainName;

/// The chains of a run, and the slot of each of their fields: the same for all flows.
// Crosses by reference: fields may be appended, never moved or removed (see `abi`).
#[repr(C)]
#[derive(Debug, Default)]
pub struct Slots {
    chains: RVec<ChainSlots>,
    names: RVec<RStr<'static>>,
}

/// A chain's slots: this many from the first on.
#[repr(C)]
#[derive(Debug)]
pub struct ChainSlots {
    name: RStr<'static>,
    first: u32,
    /// [`OPEN`] where nobody here knows its fields.
    count: u32,
}

const OPEN: u32 = u32::MAX;

/// Where a field stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// In this slot.
    At(usize),
    /// Nowhere: the chain was asked for, and is not here.
    Open,
    /// Nowhere: the chain was not asked for, or has no such field.
    Unasked,
}

impl Slots {
    /// Those of these chains, after those that every flow has.
    pub fn new<'c>(chains: impl IntoIterator<Item = &'c ChainInfo>) -> Slots {
        let mut slots = Slots::default();
        let own = crate::chains::flow::CHAIN;
        slots.add(own.name, own.fields.iter().map(|field| field.name));
        for chain in chains {
            slots.add_chain(chain);
        }
        slots
    }

    /// Those of the chains that a measurement names, as far as `known` has one of the same bare name.
    /// Fields of another one are null.
    pub fn asked(names: &[ChainName], known: &[&Slots]) -> Slots {
        let mut slots = Slots::new(&[]);
        for name in names {
            let bare = bare(name);
            let found = known.iter().find_map(|known| Some((known, known.fields_of(bare)?)));
            match found {
                Some((known, fields)) => slots.add(bare, fields.map(|slot| known.name(slot))),
                None => slots.add_open(bare),
            }
        }
        slots
    }

    /// Those of the known chains of both.
    pub(crate) fn joined(&self, other: &Slots) -> Slots {
        let mut slots = Slots::default();
        for from in [self, other] {
            for (place, fields) in from.chains() {
                let name = from.chains[place].name.as_str();
                if slots.fields_of(name).is_none() {
                    slots.add(name, fields.map(|slot| from.name(slot)));
                }
            }
        }
        slots
    }

    /// Those of the chains that a measurement names, each as it was found. Fields of one that was not
    /// found are null.
    pub fn found<'c>(
        names: impl IntoIterator<Item = (&'c ChainName, Option<&'c ChainInfo>)>,
    ) -> Slots {
        let mut slots = Slots::new(&[]);
        for (name, found) in names {
            match found {
                Some(chain) => slots.add_chain(chain),
                None => slots.add_open(bare(name)),
            }
        }
        slots
    }

    fn add_chain(&mut self, chain: &ChainInfo) {
        self.add(&chain.name, chain.fields.iter().map(|field| field.name.as_str()));
    }

    fn add_open(&mut self, chain: &str) {
        self.chains.push(ChainSlots { name: interned(chain), first: 0, count: OPEN });
    }

    fn add<'n>(&mut self, chain: &str, fields: impl Iterator<Item = &'n str>) {
        let first = self.names.len() as u32;
        self.names.extend(fields.map(interned));
        let count = self.names.len() as u32 - first;
        self.chains.push(ChainSlots { name: interned(chain), first, count });
    }

    /// The slots of the chain with this name.
    fn fields_of(&self, chain: &str) -> Option<Range<usize>> {
        self.chains()
            .map(|(place, _)| place)
            .find(|&place| self.chains[place].name == chain)
            .map(|place| self.range(place))
    }

    fn range(&self, place: usize) -> Range<usize> {
        let ChainSlots { first, count, .. } = self.chains[place];
        first as usize..(first + count) as usize
    }

    /// The slots of the chain at this place, of those that it was made of.
    pub(crate) fn of_chain(&self, place: usize) -> Range<usize> {
        self.range(place + 1)
    }

    /// The number of slots.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether there is a chain beside what every flow has.
    pub fn observes(&self) -> bool {
        self.chains.len() > 1
    }

    /// Where a field stands.
    ///
    /// Names decide, not places alone: another plugin's chain may have the same name, and a later
    /// version of a chain its fields in another order.
    pub(crate) fn slot(&self, chain: &ChainFields, place: usize) -> Slot {
        let Some(field) = chain.fields.get(place).map(|field| field.name) else {
            return Slot::Unasked;
        };
        let is_field = |slot: usize| self.names.get(slot).is_some_and(|name| name == field);
        let mut found = Slot::Unasked;
        for slots in self.chains.iter().filter(|slots| slots.name == chain.name) {
            let first = slots.first as usize;
            if slots.count == OPEN {
                found = Slot::Open;
            } else if place < slots.count as usize && is_field(first + place) {
                return Slot::At(first + place);
            } else if let Some(slot) = (first..first + slots.count as usize).find(|&s| is_field(s))
            {
                return Slot::At(slot);
            }
        }
        found
    }

    /// The slots of all fields by their names; of several with one name, the first.
    pub(crate) fn by_name(&self) -> HashMap<&'static str, usize> {
        self.names.iter().enumerate().rev().map(|(slot, name)| (name.as_str(), slot)).collect()
    }

    /// The slot of the field with this name.
    pub(crate) fn named(&self, field: &str) -> Option<usize> {
        self.names.iter().position(|name| name == field)
    }

    /// The chains whose fields are known, each with its place, from 0, and its slots.
    pub(crate) fn chains(&self) -> impl Iterator<Item = (usize, Range<usize>)> {
        let known = (0..self.chains.len()).filter(|&place| self.chains[place].count != OPEN);
        known.map(|place| (place, self.range(place)))
    }

    /// The name of a slot's field.
    pub fn name(&self, slot: usize) -> &'static str {
        self.names[slot].as_str()
    }
}

/// For the test that pins them.
#[cfg(test)]
pub(super) fn pinned() -> [super::Fields; 2] {
    [
        super::pinned_fields!(Slots { chains, names }),
        super::pinned_fields!(ChainSlots { name, first, count }),
    ]
}

/// A chain's name without the plugin's.
fn bare(name: &ChainName) -> &str {
    name.0.rsplit('.').next().unwrap_or_default()
}

/// The same name, kept for the rest of the process, once.
fn interned(name: &str) -> RStr<'static> {
    static NAMES: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let names = names.get_or_insert_default();
    match names.get(name) {
        Some(known) => (*known).into(),
        None => {
            let kept: &'static str = name.to_owned().leak();
            names.insert(kept);
            kept.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chains::{basic, syn, tcp};
    use crate::{Field, FieldInfo};

    fn slot<T>(slots: &Slots, field: Field<T>) -> Slot {
        slots.slot(field.chain(), field.place())
    }

    #[test]
    fn a_field_is_found_by_chain_and_name() {
        let chains = [basic::CHAIN, tcp::CHAIN].map(ChainInfo::from);
        let slots = Slots::new(&chains);
        let first = crate::chains::flow::CHAIN.fields.len();
        assert_eq!(slot(&slots, basic::SOURCE), Slot::At(first));
        assert_eq!(slot(&slots, tcp::SYNFLAGS_FWD), Slot::At(first + basic::CHAIN.fields.len()));
        assert_eq!(slot(&slots, syn::COUNT_FWD), Slot::Unasked);
        assert_eq!(slots.named("tcp_connected"), Some(slots.len() - 1));
    }

    #[test]
    fn another_chain_of_the_same_name_and_another_order_confuse_nobody() {
        let field = |name: &str| FieldInfo {
            name: name.into(),
            ..ChainInfo::from(tcp::CHAIN).fields[0].clone()
        };
        let other = ChainInfo { fields: vec![field("segments")], ..tcp::CHAIN.into() };
        let mut turned = ChainInfo::from(tcp::CHAIN);
        turned.fields.reverse();
        let slots = Slots::new(&[other.clone(), turned]);
        assert_eq!(slot(&slots, tcp::SYNFLAGS_FWD), Slot::At(slots.len() - 1));
        let without = Slots::new(&[other]);
        assert_eq!(slot(&without, tcp::SYNFLAGS_FWD), Slot::Unasked);
    }

    #[test]
    fn what_is_asked_for_and_unknown_is_null() {
        let library = Slots::new(&[basic::CHAIN, syn::CHAIN].map(ChainInfo::from));
        let slots = Slots::asked(&ChainName::list(["acme.tcp", "syn"]), &[&library]);
        assert_eq!(slot(&slots, tcp::SYNFLAGS_FWD), Slot::Open);
        assert!(matches!(slot(&slots, syn::COUNT_FWD), Slot::At(_)));
        assert_eq!(slot(&slots, basic::SOURCE), Slot::Unasked);
        assert!(slots.observes() && !Slots::new(&[]).observes());
    }
}
