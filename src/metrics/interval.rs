//! Intervals for proportions, paired proportions and quantiles.
//!
//! Data in: counts, which may be fractional where they are means over trials. Data out: intervals.
//! Invariants: pure; limits lie inside [0, 1] or [-1, 1] and hold the estimate; exchanging the
//! sides of a pair mirrors the interval.
//!
//! Measured by `tests/it/coverage`: Wilson's interval holds its level on average over rates and
//! sample sizes and dips below it where few values are possible (5 cases, a rate of 2 %: 90 %),
//! as every interval without random parts must (Brown, Cai, DasGupta 2001, Stat Sci 16:101-133).

use statrs::distribution::{Binomial, ContinuousCDF, DiscreteCDF, Normal};

/// A closed interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower limit.
    pub low: f64,
    /// Upper limit.
    pub high: f64,
}

impl Interval {
    /// The smallest interval that holds both.
    #[must_use]
    pub fn hull(self, other: Self) -> Self {
        Self {
            low: self.low.min(other.low),
            high: self.high.max(other.high),
        }
    }
}

/// The 97.5 % quantile of the standard normal distribution, 1.959963984540054.
pub fn z_95() -> f64 {
    Normal::standard().inverse_cdf(0.975)
}

/// How many standard errors leave `alpha` outside, half of it on each side.
pub fn z_of(alpha: f64) -> f64 {
    -Normal::standard().inverse_cdf(alpha / 2.0)
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
    wilson_at(successes, n, z_95())
}

/// [`wilson`] with `z` standard errors ([`z_of`]).
pub fn wilson_at(successes: f64, n: f64, z: f64) -> Option<Interval> {
    if n <= 0.0 {
        return None;
    }
    let p = (successes / n).clamp(0.0, 1.0);
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
    newcombe_paired_at(table, z_95())
}

/// [`newcombe_paired`] with `z` standard errors ([`z_of`]).
pub fn newcombe_paired_at(table: &PairedTable, z: f64) -> Option<(f64, Interval)> {
    let n = table.cases();
    newcombe_unequal_at(table, n, n, z)
}

/// The same where one side has more trials of each case than the other: Wilson's limits of each are
/// those of its own number of trials. What the sides have in common is taken off by their geometric
/// mean, which is less than it may be, so that the interval errs to the wide side.
pub fn newcombe_unequal_at(
    table: &PairedTable,
    baseline_n: f64,
    candidate_n: f64,
    z: f64,
) -> Option<(f64, Interval)> {
    let n = table.cases();
    if n <= 0.0 {
        return None;
    }
    let candidate = table.both + table.only_candidate;
    let baseline = table.both + table.only_baseline;
    let one = wilson_at(candidate * (candidate_n / n), candidate_n, z)?;
    let two = wilson_at(baseline * (baseline_n / n), baseline_n, z)?;
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

/// Ranks, from 1, of the order statistics that hold the `share` quantile with at least 95 %: the
/// distribution-free interval from the binomial distribution (Conover 1999, Practical
/// Nonparametric Statistics, section 3.2). `None` for a limit that `n` values do not have.
pub fn quantile_ranks(n: u64, share: f64) -> (Option<u64>, Option<u64>) {
    quantile_ranks_at(n, share, 0.025)
}

/// The same with at most `tail` outside on either side.
pub fn quantile_ranks_at(n: u64, share: f64, tail: f64) -> (Option<u64>, Option<u64>) {
    let Ok(below) = Binomial::new(share, n) else {
        return (None, None);
    };
    // At least `rank` values lie below the quantile with chance 1 - cdf(rank - 1).
    let low = (0..n).take_while(|rank| below.cdf(*rank) <= tail).count() as u64;
    let high = n
        - (0..n)
            .rev()
            .take_while(|rank| 1.0 - below.cdf(*rank) <= tail)
            .count() as u64;
    ((low > 0).then_some(low), (high < n).then_some(high + 1))
}

#[cfg(test)]
#[path = "interval_tests.rs"]
mod tests;
