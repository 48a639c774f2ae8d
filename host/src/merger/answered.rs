//! A hint at who answered: from how far the answers to a target's connections came. A box in the
//! target's place is nearer than the target, or its packets have other TTLs than the target's own.

use pathspider_observer::{Ttls, hops};
use pathspider_plugin_api::{Record, Value};

/// What is known of the answers to these connections; `None` where none was seen.
pub(super) fn hint(connections: impl Iterator<Item = Ttls> + Clone) -> Option<Record> {
    let ttl = each_once(connections.clone().filter_map(|ttls| ttls.first()));
    if ttl.is_empty() {
        return None;
    }
    let hops = each_once(ttl.iter().copied().map(hops));
    let others = connections.filter_map(|ttls| ttls.others());
    let others = others.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    let others = each_once(others.into_iter().flat_map(|(lowest, highest)| [lowest, highest]));
    let list = |numbers: Vec<u8>| numbers.into_iter().collect::<Value>();
    Some(
        Record::with_capacity(3)
            .with("ttl", list(ttl))
            .with("hops", list(hops))
            .with("other_ttl", list(others)),
    )
}

/// The numbers, each once and the lowest first.
fn each_once(numbers: impl Iterator<Item = u8>) -> Vec<u8> {
    let mut numbers: Vec<u8> = numbers.collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(connections: &[&[u8]]) -> Option<String> {
        let ttls = connections.iter().map(|answers| Ttls::of(answers.iter().copied()));
        hint(ttls).map(|hint| serde_json::to_string(&hint).unwrap())
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
}
