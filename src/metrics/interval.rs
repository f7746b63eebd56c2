//! Intervals and tests for proportions and paired proportions.
//!
//! Data in: counts, which may be fractional where they are means over trials. Data out: intervals
//! and p-values. Invariants: pure; limits lie inside [0, 1] or [-1, 1] and hold the estimate;
//! exchanging the sides of a pair mirrors the interval.

use statrs::distribution::{Binomial, ContinuousCDF, DiscreteCDF, Normal};

use super::bootstrap::Random;

/// A closed interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower limit.
    pub low: f64,
    /// Upper limit.
    pub high: f64,
}

/// The 97.5 % quantile of the standard normal distribution, 1.959963984540054.
pub fn z_95() -> f64 {
    Normal::standard().inverse_cdf(0.975)
}

/// Wilson's score interval at 95 % (Wilson 1927; method 3 of Newcombe 1998, Stat Med 17:857-872)
/// for `successes` of `n`. `None` when `n` is 0.
///
/// `successes` may be fractional: a mean of shares times the number of cases. For values in [0, 1]
/// the variance is at most that of a yes-or-no value with the same mean, so the interval is then
/// conservative.
///
/// ```
/// let interval = toolbench::metrics::interval::wilson(81.0, 263.0);
/// assert!(interval.is_some_and(|found| (found.low - 0.2553).abs() < 5e-5));
/// ```
pub fn wilson(successes: f64, n: f64) -> Option<Interval> {
    if n <= 0.0 {
        return None;
    }
    let (p, z) = ((successes / n).clamp(0.0, 1.0), z_95());
    let denominator = 1.0 + z * z / n;
    let centre = (p + z * z / (2.0 * n)) / denominator;
    let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt() / denominator;
    // Rounding must not push a limit past the estimate or off the ends.
    Some(Interval {
        low: (centre - half).clamp(0.0, p),
        high: (centre + half).clamp(p, 1.0),
    })
}

/// Cases by who solved them. Fractional with several trials: the expected table when one trial is
/// drawn at random from each side of every case.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PairedTable {
    /// Both sides succeed.
    pub both: f64,
    /// Only the candidate succeeds.
    pub only_candidate: f64,
    /// Only the baseline succeeds.
    pub only_baseline: f64,
    /// Neither succeeds.
    pub neither: f64,
}

impl PairedTable {
    /// Number of cases.
    pub fn cases(&self) -> f64 {
        self.both + self.only_candidate + self.only_baseline + self.neither
    }

    /// The same proportions in `factor` times as many cases.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Self {
        Self {
            both: self.both * factor,
            only_candidate: self.only_candidate * factor,
            only_baseline: self.only_baseline * factor,
            neither: self.neither * factor,
        }
    }

    /// Correlation of the two sides with the continuity correction of Newcombe's method 10: a
    /// positive numerator is lowered by n/2, but not below 0. 0 when a margin is empty.
    fn corrected_phi(&self) -> f64 {
        let (a, b, c, d) = (
            self.both,
            self.only_candidate,
            self.only_baseline,
            self.neither,
        );
        let margins = (a + b) * (c + d) * (a + c) * (b + d);
        if margins <= 0.0 {
            return 0.0;
        }
        let raw = a * d - b * c;
        let numerator = if raw > 0.0 {
            (raw - self.cases() / 2.0).max(0.0)
        } else {
            raw
        };
        numerator / margins.sqrt()
    }
}

/// Candidate minus baseline: estimate and 95 % interval by square-and-add of Wilson limits with
/// the corrected phi (method 10 of Newcombe 1998, Stat Med 17:2635-2650). `None` without cases.
pub fn newcombe_paired(table: &PairedTable) -> Option<(f64, Interval)> {
    let n = table.cases();
    let candidate = table.both + table.only_candidate;
    let baseline = table.both + table.only_baseline;
    let (one, two) = (wilson(candidate, n)?, wilson(baseline, n)?);
    let (p1, p2) = (candidate / n, baseline / n);
    let phi = table.corrected_phi();
    let combine = |x: f64, y: f64| (x * x - 2.0 * phi * x * y + y * y).max(0.0).sqrt();
    let difference = (table.only_candidate - table.only_baseline) / n;
    let interval = Interval {
        low: (difference - combine(p1 - one.low, two.high - p2)).max(-1.0),
        high: (difference + combine(one.high - p1, p2 - two.low)).min(1.0),
    };
    Some((difference, interval))
}

/// Exact McNemar test, two-sided: twice the smaller tail of Binomial(b + c, 1/2), at most 1, for
/// the numbers of cases that only one side solves.
pub fn mcnemar_exact(only_candidate: u64, only_baseline: u64) -> f64 {
    let discordant = only_candidate + only_baseline;
    if discordant == 0 {
        return 1.0;
    }
    Binomial::new(0.5, discordant).map_or(1.0, |tails| {
        (2.0 * tails.cdf(only_candidate.min(only_baseline))).min(1.0)
    })
}

/// Most differences for which all sign patterns are counted rather than drawn.
const EXACT_SIGN_FLIPS: usize = 16;
/// Patterns drawn beyond that.
const DRAWN_SIGN_FLIPS: u32 = 20_000;
const SIGN_FLIP_SEED: u64 = 0x5169_0f1b;

/// Sign-flip test on differences per case, two-sided: how often random signs give a sum at least
/// as far from 0. Equals [`mcnemar_exact`] when every difference is -1, 0 or 1. All patterns up to
/// 16 non-zero differences, else 20,000 drawn with a fixed seed and the (k + 1)/(m + 1) estimate.
pub fn sign_flip(differences: &[f64]) -> f64 {
    const SAME: f64 = 1e-9;
    let moved: Vec<f64> = differences
        .iter()
        .copied()
        .filter(|difference| difference.abs() > SAME)
        .collect();
    let Some(first) = moved.first() else {
        return 1.0;
    };
    if moved.iter().all(|d| (d.abs() - first.abs()).abs() < SAME) {
        let up = moved.iter().filter(|d| **d > 0.0).count() as u64;
        return mcnemar_exact(up, moved.len() as u64 - up);
    }
    let observed = moved.iter().sum::<f64>().abs() - SAME;
    if moved.len() <= EXACT_SIGN_FLIPS {
        let patterns = 1_u32 << moved.len();
        let far = (0..patterns)
            .filter(|pattern| signed_sum(&moved, u64::from(*pattern)).abs() >= observed)
            .count();
        return far as f64 / f64::from(patterns);
    }
    let mut random = Random::new(SIGN_FLIP_SEED);
    let far = (0..DRAWN_SIGN_FLIPS)
        .filter(|_| {
            let sum: f64 = moved
                .chunks(64)
                .map(|chunk| signed_sum(chunk, random.next_u64()))
                .sum();
            sum.abs() >= observed
        })
        .count();
    (far as f64 + 1.0) / (f64::from(DRAWN_SIGN_FLIPS) + 1.0)
}

fn signed_sum(values: &[f64], pattern: u64) -> f64 {
    values
        .iter()
        .enumerate()
        .map(|(bit, value)| {
            if pattern >> bit & 1 == 1 {
                *value
            } else {
                -value
            }
        })
        .sum()
}

/// Holm's step-down adjustment (Holm 1979): the k-th smallest of m p-values times m - k + 1, never
/// smaller than the one before, at most 1. Same order as given.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut floor = 0.0_f64;
    for (rank, index) in order.into_iter().enumerate() {
        let left = (p_values.len() - rank) as f64;
        floor = floor.max((p_values[index] * left).min(1.0));
        adjusted[index] = floor;
    }
    adjusted
}

#[cfg(test)]
#[path = "interval_tests.rs"]
mod tests;
