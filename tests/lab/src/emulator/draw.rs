//! Owns chance: numbers that follow from the scenario's seed, the rule, the target and how many of
//! its packets the rule has seen. They do not depend on what other targets do meanwhile, so a
//! hundred measured at once fare as each would alone.

use std::net::IpAddr;

/// What a rule's chance hangs on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draw {
    pub(super) seed: u64,
    pub(super) rule: usize,
    pub(super) target: IpAddr,
    pub(super) count: u32,
}

impl Draw {
    /// A number from 0 up to, not including, 1; different for each `purpose`.
    pub(super) fn fraction(self, purpose: u64) -> f64 {
        let address = match self.target {
            IpAddr::V4(address) => u128::from(u32::from(address)),
            IpAddr::V6(address) => u128::from(address),
        };
        let parts = [
            self.rule as u64,
            address as u64,
            (address >> 64) as u64,
            u64::from(self.count),
            purpose,
        ];
        let mixed = parts.iter().fold(self.seed, |state, part| mix(state ^ mix(*part)));
        // The upper 53 bits: as many as the fraction of a double holds.
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The finaliser of splitmix64.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_repeat_and_are_even() {
        let draw = |count| Draw { seed: 7, rule: 0, target: [10, 0, 0, 1].into(), count };
        let mut below = 0;
        for count in 0..10_000 {
            assert_eq!(draw(count).fraction(0).to_bits(), draw(count).fraction(0).to_bits());
            below += u32::from(draw(count).fraction(0) < 0.1);
        }
        assert!((900..1100).contains(&below), "{below} of 10,000 below 0.1");
    }
}
