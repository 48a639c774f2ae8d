//! What numbers of cases say beyond themselves: intervals of shares, and whether a change is chance.

use serde::Serialize;
use statrs::distribution::{Binomial, ChiSquared, ContinuousCDF, DiscreteCDF};

/// The quantile of the normal distribution for an interval of 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// With fewer changes than this, the test is the exact one: the approximation would be too rough.
const FEW_CHANGES: u64 = 25;

/// A share, its number of cases, and its interval of confidence of 95 % (Wilson's score interval,
/// which holds for few cases and for shares near 0 and 1).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Share {
    /// Those that have it.
    pub(crate) cases: u64,
    /// Those that could have it.
    pub(crate) of: u64,
    /// The share; none of nothing.
    pub(crate) share: Option<f64>,
    /// The interval's lower end.
    pub(crate) low: Option<f64>,
    /// The interval's upper end.
    pub(crate) high: Option<f64>,
}

impl Share {
    /// So many of this many.
    pub(crate) fn of(cases: u64, of: u64) -> Share {
        if of == 0 {
            return Share { cases, of, share: None, low: None, high: None };
        }
        let n = of as f64;
        let share = cases as f64 / n;
        let scale = 1.0 + Z * Z / n;
        let centre = (share + Z * Z / (2.0 * n)) / scale;
        let half = Z / scale * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
        // Rounding must not take the ends beyond what there can be.
        let low = if cases == 0 { 0.0 } else { (centre - half).max(0.0) };
        let high = if cases == of { 1.0 } else { (centre + half).min(1.0) };
        Share { cases, of, share: Some(share), low: Some(low), high: Some(high) }
    }
}

/// Whether pairs changed more in one direction than chance would have it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Change {
    /// Pairs that have it only in the first.
    pub(crate) lost: u64,
    /// Pairs that have it only in the second.
    pub(crate) gained: u64,
    /// The test that was made.
    pub(crate) test: Test,
    /// How probable a difference like this, or a larger one, is by chance; none without changes.
    pub(crate) p: Option<f64>,
}

/// A test for pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Test {
    /// The exact binomial test of the changes, two-sided.
    Exact,
    /// McNemar's, with the correction for continuity.
    Mcnemar,
}

impl Change {
    /// Tests so many changes in each direction.
    pub(crate) fn of(lost: u64, gained: u64) -> Change {
        let changes = lost + gained;
        let (test, p) = match changes {
            0 => (Test::Exact, None),
            1..FEW_CHANGES => (Test::Exact, exact(lost.min(gained), changes)),
            _ => (Test::Mcnemar, mcnemar(lost, gained)),
        };
        Change { lost, gained, test, p }
    }
}

fn exact(fewer: u64, changes: u64) -> Option<f64> {
    let chance = Binomial::new(0.5, changes).ok()?;
    Some((2.0 * chance.cdf(fewer)).min(1.0))
}

fn mcnemar(lost: u64, gained: u64) -> Option<f64> {
    let apart = (lost.abs_diff(gained) as f64 - 1.0).max(0.0);
    let statistic = apart * apart / (lost + gained) as f64;
    Some(ChiSquared::new(1.0).ok()?.sf(statistic))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: Option<f64>, expected: f64) -> bool {
        found.is_some_and(|found| (found - expected).abs() < 5e-5)
    }

    /// Values of R's `prop.test(x, n, correct = FALSE)`.
    #[test]
    fn intervals_are_wilsons() {
        for (cases, of, low, high) in [
            (5, 100, 0.02154, 0.11175),
            (0, 20, 0.0, 0.16113),
            (20, 20, 0.83887, 1.0),
            (1, 2, 0.09453, 0.90547),
            (1, 1_000_000, 0.0, 0.00001),
        ] {
            let share = Share::of(cases, of);
            assert!(close(share.low, low) && close(share.high, high), "{share:?}");
        }
        let nothing = Share::of(0, 0);
        assert_eq!((nothing.share, nothing.low, nothing.high), (None, None, None));
    }

    /// Values of R's `binom.test` and `mcnemar.test`.
    #[test]
    fn changes_are_tested() {
        assert!(close(Change::of(1, 9).p, 0.02148));
        assert!(close(Change::of(5, 5).p, 1.0));
        assert!(close(Change::of(1, 0).p, 1.0));
        assert!(close(Change::of(10, 30).p, 0.002_663));
        assert_eq!(Change::of(10, 30).test, Test::Mcnemar);
        assert!(Change::of(0, 1_000).p.is_some_and(|p| p < 1e-100));
        assert_eq!(Change::of(0, 0).p, None);
    }
}
