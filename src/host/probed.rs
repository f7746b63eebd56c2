//! What a probe found: a rate over all threads, and how far its passes lay apart.
//!
//! Data in: times of passes of each thread. Data out: the sum over threads of a pass's work over its
//! median time. Invariant: a pass during which a thread was set aside moves the spread, hardly the rate.

use crate::clock::Stopwatch;

/// How many times its time a probe may take to get the passes that it needs on a busy machine.
const MOST_TIMES: f64 = 5.0;

/// A measured rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probed {
    /// All threads together, a second.
    pub rate: f64,
    /// Half the range of the middle half of the passes / their median: mean over threads.
    pub spread_share: f64,
}

impl Probed {
    /// Runs the same on so many threads at once; `None` where nothing sensible came of it.
    pub(super) fn of_threads(threads: usize, probe: impl Fn() -> Self + Sync) -> Option<Self> {
        let found: Vec<Self> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(&probe)).collect();
            let joined = workers.into_iter().map(std::thread::ScopedJoinHandle::join);
            joined.filter_map(Result::ok).collect()
        });
        let rate: f64 = found.iter().map(|one| one.rate).sum();
        let spread: f64 = found.iter().map(|one| one.spread_share).sum();
        (rate.is_finite() && rate > 0.0).then(|| Self {
            rate,
            spread_share: spread / found.len() as f64,
        })
    }

    /// One thread's passes: for so long, and longer until there are so many, since a few passes of a
    /// thread that was set aside say nothing.
    pub(super) fn of_repeated(work: f64, probe_ms: f64, least: usize, pass: impl Fn()) -> Self {
        let watch = Stopwatch::start();
        let mut passes_ms = Vec::new();
        let goes_on = |passes: usize, elapsed: f64| {
            elapsed < probe_ms || passes < least && elapsed < MOST_TIMES * probe_ms
        };
        while goes_on(passes_ms.len(), watch.elapsed_ms()) {
            let one = Stopwatch::start();
            pass();
            passes_ms.push(one.elapsed_ms());
        }
        Self::of_passes(work, passes_ms)
    }

    /// One thread's passes, each of so much work.
    pub(super) fn of_passes(work: f64, mut passes_ms: Vec<f64>) -> Self {
        passes_ms.sort_by(f64::total_cmp);
        let at = |quarters: usize| {
            let rank = passes_ms.len() * quarters / 4;
            passes_ms.get(rank).copied().unwrap_or(0.0)
        };
        let median_ms = at(2);
        Self {
            rate: work / (median_ms / 1000.0),
            spread_share: (at(3) - at(1)) / 2.0 / median_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_of_the_median_pass_and_the_spread_of_the_middle_half() {
        // Quarters of 10, 10, 20, 30, 400: 10, 20, 30.
        let one = Probed::of_passes(100.0, vec![400.0, 10.0, 30.0, 20.0, 10.0]);
        assert!((one.rate - 5_000.0).abs() < 1e-9);
        assert!((one.spread_share - 0.5).abs() < 1e-9);
        let all = Probed::of_threads(3, || one).unwrap();
        assert!((all.rate - 15_000.0).abs() < 1e-9 && (all.spread_share - 0.5).abs() < 1e-9);
        assert_eq!(
            Probed::of_threads(1, || Probed::of_passes(1.0, Vec::new())),
            None
        );
    }
}
