//! Owns looking at something again and again while something else works.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// One look: how long after the start, and what was seen.
pub(super) type Sample<S> = (Duration, S);

/// Does `work` on the calling thread, and looks `every` so often until it is done or there is
/// nothing more to see.
pub(super) fn watched<T, S: Send>(
    every: Duration,
    look: impl Fn() -> Option<S> + Sync,
    work: impl FnOnce() -> T,
) -> (T, Vec<Sample<S>>) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let (began, mut samples) = (Instant::now(), Vec::new());
            while !over.load(Ordering::Relaxed)
                && let Some(seen) = look()
            {
                samples.push((began.elapsed(), seen));
                thread::park_timeout(every);
            }
            samples
        });
        let done = work();
        over.store(true, Ordering::Relaxed);
        watcher.thread().unpark();
        (done, watcher.join().unwrap_or_default())
    })
}

/// How long a growing count took from a twentieth to all but a twentieth of what it grew by, and by
/// how much it grew meanwhile: stray counts before and after have no part in it. `None` when that is
/// too short to be seen.
pub(super) fn growth(samples: &[Sample<u64>]) -> Option<(Duration, f64)> {
    let (first, last) = (samples.first()?.1, samples.last()?.1);
    let total = (last - first) as f64;
    let at = |share: f64| samples.iter().find(|(_, count)| (count - first) as f64 >= share * total);
    let (from, to) = (at(0.05)?, at(0.95)?);
    let time = to.0.checked_sub(from.0).filter(|time| !time.is_zero())?;
    Some((time, (to.1 - from.1) as f64))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn it_looks_until_the_work_is_done() {
        let (every, looks) = (Duration::from_millis(1), AtomicUsize::new(0));
        let look = || Some(looks.fetch_add(1, Ordering::Relaxed));
        let until_looked_at = || {
            while looks.load(Ordering::Relaxed) < 3 {
                thread::yield_now();
            }
        };
        let ((), samples) = watched(every, look, until_looked_at);
        assert!(samples.len() >= 3);
        assert_eq!(watched(every, || None::<()>, || 7), (7, Vec::new()));
    }

    #[test]
    fn stray_counts_have_no_part_in_a_growth() {
        let counts = [(0, 0), (1, 1), (10, 100), (11, 500), (12, 999), (60, 1000)];
        let samples = counts.map(|(second, count)| (Duration::from_secs(second), count));
        assert_eq!(growth(&samples), Some((Duration::from_secs(2), 899.0)));
        assert_eq!(growth(&samples[..1]), None);
    }
}
