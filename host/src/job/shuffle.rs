//! Keeps the targets of an input until its end, and gives them in an order that a seed decides.
//!
//! Those that a run before has measured are kept too, and left out at the end: the seed orders as
//! many as in that run, so that both together measure what one run in one go would have.

use std::io;
use std::net::IpAddr;

use rand::rngs::{ChaCha8Rng, SysRng};
use rand::seq::SliceRandom;
use rand::{SeedableRng, TryRng};

use super::target::Keys;
use super::verbatim::Verbatim;

/// A target that waits, its keys as compact as they came: 80 octets and those of its line.
struct KeptBack {
    line: u64,
    address: Option<IpAddr>,
    port: u16,
    /// `None` of one that was measured before.
    record: Option<Box<[u8]>>,
    came: Option<Box<Verbatim>>,
}

/// The targets that wait for the input's end.
pub(super) struct Shuffle {
    seed: u64,
    kept_back: Vec<KeptBack>,
}

impl Shuffle {
    pub(super) fn new(seed: u64) -> Shuffle {
        Shuffle { seed, kept_back: Vec::new() }
    }

    pub(super) fn keep_back(&mut self, line: u64, address: Option<IpAddr>, port: u16, keys: Keys) {
        let Keys { record, came } = keys;
        // Cannot fail: every key of a record is a text, and what was read can be written.
        let record = serde_json::to_vec(&record).unwrap_or_default().into_boxed_slice();
        self.kept_back.push(KeptBack { line, address, port, record: Some(record), came });
    }

    /// Keeps the place of a target that was measured before.
    pub(super) fn keep_place(&mut self, line: u64) {
        self.kept_back.push(KeptBack { line, address: None, port: 0, record: None, came: None });
    }

    /// All that are to be measured, in the seed's order: the same for the same input, in whichever
    /// order the names in it were resolved.
    pub(super) fn take(
        &mut self,
    ) -> impl Iterator<Item = (u64, Option<IpAddr>, u16, Keys)> + use<> {
        let mut kept_back = std::mem::take(&mut self.kept_back);
        kept_back.sort_unstable_by_key(|kept_back| kept_back.line);
        kept_back.shuffle(&mut ChaCha8Rng::seed_from_u64(self.seed));
        kept_back.into_iter().filter_map(|kept_back| {
            let record = serde_json::from_slice(&kept_back.record?).unwrap_or_default();
            let keys = Keys { record, came: kept_back.came };
            Some((kept_back.line, kept_back.address, kept_back.port, keys))
        })
    }
}

/// A seed that nobody can foresee.
///
/// # Errors
///
/// The system has no random numbers.
pub fn random_seed() -> io::Result<u64> {
    // Short enough to be typed again.
    SysRng.try_next_u32().map(u64::from).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use pathspider_plugin_api::Record;

    use super::*;

    fn order(seed: u64, lines: impl Iterator<Item = u64>) -> Vec<u64> {
        let mut shuffle = Shuffle::new(seed);
        for line in lines {
            let record = Record::new().with("line", line);
            shuffle.keep_back(line, None, 80, Keys { record, came: None });
        }
        shuffle.take().map(|(_, _, _, keys)| keys.record.u64("line").unwrap()).collect()
    }

    #[test]
    fn a_seed_decides_the_order() {
        let first = order(7, 0..1000);
        assert_eq!(order(7, (0..1000).rev()), first, "in whichever order they came");
        assert_ne!(order(8, 0..1000), first);
        // Pinned: a seed means the same order in every version.
        assert_eq!(order(1, 0..8), [3, 4, 5, 2, 7, 1, 6, 0]);
        let mut sorted = first;
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..1000), "none is lost");
    }
}
