//! A hint at who answered: from how far the answers to a target's connections came. A box in the
//! target's place is nearer than the target and its neighbours, or its packets have other TTLs than the
//! target's own.

use std::collections::HashMap;
use std::net::IpAddr;

use foldhash::fast::RandomState;
use pathspider_observer::{Ttls, hops};
use pathspider_plugin_api::{Record, Value};

use crate::engine::prefix;

/// Targets of one prefix whose distances differ by no more than this are neighbours like any.
const USUAL: u8 = 2;

/// Prefixes that are remembered at the most. Beyond it, all are forgotten.
const MOST: usize = 1 << 16;

/// From how far the targets of each prefix have answered so far.
#[derive(Default)]
pub(super) struct Neighbours {
    prefixes: HashMap<IpAddr, Distances, RandomState>,
}

/// The target of a prefix that is nearest, and the one that is farthest.
#[derive(Clone, Copy)]
struct Distances {
    nearest: (u8, IpAddr),
    farthest: (u8, IpAddr),
}

impl Neighbours {
    /// What is known of the answers to the connections of a target; `None` where none was seen.
    pub(super) fn hint(
        &mut self,
        target: IpAddr,
        connections: impl Iterator<Item = Ttls> + Clone,
    ) -> Option<Record> {
        let (hops, hint) = hint(connections)?;
        let others = self.others(target, &hops).filter(|others| is_apart(&hops, *others));
        Some(match others {
            Some((fewest, most)) => hint.with("prefix_hops", Numbers::of([fewest, most]).list()),
            None => hint,
        })
    }

    /// The fewest and the most routers that answers of other targets of the prefix came over; notes this
    /// target's.
    fn others(&mut self, target: IpAddr, hops: &Numbers) -> Option<(u8, u8)> {
        let (fewest, most) = (hops.iter().next()?, hops.iter().last()?);
        if self.prefixes.len() >= MOST {
            self.prefixes.clear();
        }
        let first = Distances { nearest: (fewest, target), farthest: (most, target) };
        let noted = self.prefixes.entry(prefix(target)).or_insert(first);
        let ends = [noted.nearest, noted.farthest];
        let others = || ends.iter().filter(|(_, of)| *of != target).map(|(hops, _)| *hops);
        let range = others().min().zip(others().max());
        noted.nearest = noted.nearest.min(first.nearest);
        noted.farthest = noted.farthest.max(first.farthest);
        range
    }
}

/// Whether a target is out of place among its neighbours.
fn is_apart(hops: &Numbers, (fewest, most): (u8, u8)) -> bool {
    hops.iter().all(|hops| hops.saturating_add(USUAL) < fewest || hops > most.saturating_add(USUAL))
}

/// From over how many routers these connections were answered, the fewest first, and what is written of it;
/// `None` where they were not.
fn hint(connections: impl Iterator<Item = Ttls> + Clone) -> Option<(Numbers, Record)> {
    let ttl = Numbers::of(connections.clone().filter_map(|ttls| ttls.first()));
    ttl.iter().next()?;
    let distances = Numbers::of(ttl.iter().map(hops));
    let others = connections.filter_map(|ttls| ttls.others());
    let others = others.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    let others = Numbers::of(others.into_iter().flat_map(|(lowest, highest)| [lowest, highest]));
    let hint = Record::with_capacity(4)
        .with("ttl", ttl.list())
        .with("hops", distances.list())
        .with("other_ttl", others.list());
    Some((distances, hint))
}

/// Numbers, each once and the lowest first: a bit for each.
#[derive(Clone, Copy)]
struct Numbers([u64; 4]);

impl Numbers {
    fn of(numbers: impl IntoIterator<Item = u8>) -> Numbers {
        let mut bits = [0; 4];
        for number in numbers {
            bits[usize::from(number / 64)] |= 1 << (number % 64);
        }
        Numbers(bits)
    }

    fn iter(&self) -> impl Iterator<Item = u8> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let word = left.iter().position(|bits| *bits != 0)?;
            let bit = left[word].trailing_zeros();
            left[word] &= left[word] - 1;
            Some(word as u8 * 64 + bit as u8)
        })
    }

    fn list(&self) -> Value {
        self.iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(connections: &[&[u8]]) -> Option<String> {
        let ttls = connections.iter().map(|answers| Ttls::of(answers.iter().copied()));
        let hint = Neighbours::default().hint("192.0.2.1".parse().unwrap(), ttls);
        hint.map(|hint| serde_json::to_string(&hint).unwrap())
    }

    #[test]
    fn the_first_answers_stand_beside_the_others() {
        assert_eq!(text(&[&[], &[]]), None);
        assert_eq!(
            text(&[&[57, 57, 57], &[57, 57]]).unwrap(),
            r#"{"ttl":[57],"hops":[7],"other_ttl":[57]}"#
        );
        assert_eq!(
            text(&[&[64, 118], &[], &[63, 117, 118]]).unwrap(),
            r#"{"ttl":[63,64],"hops":[0,1],"other_ttl":[117,118]}"#
        );
        assert_eq!(text(&[&[255]]).unwrap(), r#"{"ttl":[255],"hops":[0],"other_ttl":[]}"#);
    }
    #[test]
    fn a_target_that_is_out_of_place_among_its_neighbours_is_told_from_them() {
        let mut neighbours = Neighbours::default();
        let mut others = |target: &str, ttl: u8| {
            let ttls = [Ttls::of([ttl])];
            let hint = neighbours.hint(target.parse().unwrap(), ttls.into_iter()).unwrap();
            hint.get("prefix_hops").map(|hops| serde_json::to_string(hops).unwrap())
        };
        assert_eq!(others("192.0.2.1", 57), None, "the first one");
        assert_eq!(others("192.0.2.2", 55), None, "two routers more");
        assert_eq!(others("198.51.100.1", 64), None, "of another prefix");
        assert_eq!(others("192.0.2.3", 63).as_deref(), Some("[7,9]"));
        assert_eq!(others("192.0.2.3", 63).as_deref(), Some("[9]"), "itself is no neighbour");
        assert_eq!(others("192.0.2.4", 50).as_deref(), Some("[1,9]"));
        assert_eq!(others("2001:db8:0:1::1", 60), None);
        assert_eq!(others("2001:db8:0:2::1", 64).as_deref(), Some("[4]"));
    }
}
