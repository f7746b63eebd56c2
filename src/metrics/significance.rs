//! Tests of paired outcomes, and their adjustment when there are several.
//!
//! Data in: counts or differences per case. Data out: p-values and decisions. Invariants: pure; no
//! test rejects more often than its level says when there is no difference, save Tango's and
//! Cochran's, which rest on large-sample distributions and come near.

use statrs::distribution::{Binomial, ChiSquared, ContinuousCDF, DiscreteCDF, Normal};

use super::bootstrap::Random;
use super::interval::{Interval, PairedTable};
use super::lattice::Lattice;

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

/// Tango's score statistic for a paired difference of `difference` (Tango 1998, Stat Med
/// 17:891-908): how many standard errors the observed one lies above it. Counts may be expected
/// ones. Limits of Tango's interval are where it is ±z.
pub fn tango(only_candidate: f64, only_baseline: f64, cases: f64, difference: f64) -> f64 {
    let (b, c, n) = (only_candidate, only_baseline, cases);
    let linear = -b - c + (2.0 * n - b + c) * difference;
    let constant = -c * difference * (1.0 - difference);
    let root = (linear * linear - 8.0 * n * constant).max(0.0).sqrt();
    // Share of cases that only the baseline solves, most likely if the difference were this one.
    let share = (root - linear) / (4.0 * n);
    let variance = n * (2.0 * share + difference * (1.0 - difference));
    let distance = b - c - n * difference;
    if variance > 0.0 {
        distance / variance.sqrt()
    } else if distance == 0.0 {
        0.0
    } else {
        distance.signum() * f64::INFINITY
    }
}

/// Tango's interval of a paired difference: where [`tango`] is ±z.
pub fn tango_interval(table: &PairedTable, z: f64) -> Option<Interval> {
    let n = table.cases();
    if n <= 0.0 {
        return None;
    }
    let (b, c) = (table.only_candidate, table.only_baseline);
    let estimate = (b - c) / n;
    let limit = |end: f64| {
        let (mut inside, mut outside) = (estimate, end);
        for _ in 0..60 {
            let middle = f64::midpoint(inside, outside);
            if tango(b, c, n, middle).abs() > z {
                outside = middle;
            } else {
                inside = middle;
            }
        }
        inside
    };
    Some(Interval {
        low: limit(-1.0),
        high: limit(1.0),
    })
}

/// Tango's equivalence test of a paired difference: the larger of the p-values of the two one-sided
/// tests against -margin and margin. Small where the difference lies inside the margin.
pub fn tango_equivalence(table: &PairedTable, margin: f64) -> f64 {
    let at = |difference| {
        let (b, c) = (table.only_candidate, table.only_baseline);
        tango(b, c, table.cases(), difference)
    };
    let normal = Normal::standard();
    normal.sf(at(-margin)).max(normal.cdf(at(margin)))
}

/// Sign-flip test on differences per case, two-sided: how often random signs give a sum at least
/// as far from 0. All patterns are counted. The differences are in a unit of their own, such as
/// twentieths. Equals [`mcnemar_exact`] when every difference is -1, 0 or 1.
pub fn sign_flip(differences: &[i64]) -> f64 {
    let up = differences.iter().filter(|d| **d > 0).count() as u64;
    let down = differences.iter().filter(|d| **d < 0).count() as u64;
    let mut sizes: Vec<i64> = differences.iter().map(|d| d.abs()).collect();
    sizes.retain(|size| *size > 0);
    sizes.sort_unstable();
    if sizes.first() == sizes.last() {
        return mcnemar_exact(up, down);
    }
    let observed = differences.iter().sum::<i64>().abs();
    let either = |size: i64| {
        let half = |at| (0.5, Lattice::point(at));
        Lattice::mix(&[half(-size), half(size)])
    };
    let sum = sizes
        .chunk_by(|one, two| one == two)
        .map(|equal| either(equal[0]).times(equal.len()))
        .reduce(|sum, part| sum.plus(&part));
    sum.map_or(1.0, |sum| sum.at_least_from_zero(observed).min(1.0))
}

/// Patterns of signs drawn by [`sign_flip_drawn`].
const DRAWN_SIGN_FLIPS: u32 = 20_000;
const SIGN_FLIP_SEED: u64 = 0x5169_0f1b;

/// [`sign_flip`] for differences without a common unit: 20,000 patterns drawn with a fixed seed and
/// the (k + 1)/(m + 1) estimate, which keeps the level.
pub fn sign_flip_drawn(differences: &[f64]) -> f64 {
    const SAME: f64 = 1e-9;
    let moved = |difference: &&f64| difference.abs() > SAME;
    let moved: Vec<f64> = differences.iter().filter(moved).copied().collect();
    if moved.is_empty() {
        return 1.0;
    }
    let observed = moved.iter().sum::<f64>().abs() - SAME;
    let mut random = Random::new(SIGN_FLIP_SEED);
    let far = (0..DRAWN_SIGN_FLIPS)
        .filter(|_| {
            let sums = moved.chunks(64).map(|chunk| signed_sum(chunk, &mut random));
            sums.sum::<f64>().abs() >= observed
        })
        .count();
    (far as f64 + 1.0) / (f64::from(DRAWN_SIGN_FLIPS) + 1.0)
}

fn signed_sum(values: &[f64], random: &mut Random) -> f64 {
    let pattern = random.next_u64();
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
    let mut adjusted = vec![1.0; p_values.len()];
    let mut floor = 0.0_f64;
    for (rank, index) in ascending(p_values).into_iter().enumerate() {
        let left = (p_values.len() - rank) as f64;
        floor = floor.max((p_values[index] * left).min(1.0));
        adjusted[index] = floor;
    }
    adjusted
}

/// Which hypotheses Holm's procedure rejects when `level(m)` is the limit of a p-value where m are
/// left to be tested: `alpha / m` in a fixed design, the m-th part's limit at this look in a
/// sequential one (Ye, Li, Liu, Yao 2013, Stat Med 32:1112-1124). Same order as given.
pub fn holm_rejects(p_values: &[f64], level: impl Fn(usize) -> f64) -> Vec<bool> {
    let mut rejected = vec![false; p_values.len()];
    for (rank, index) in ascending(p_values).into_iter().enumerate() {
        if p_values[index] > level(p_values.len() - rank) {
            break;
        }
        rejected[index] = true;
    }
    rejected
}

fn ascending(p_values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    order
}

/// Cochran's Q for k treatments of the same cases (Cochran 1950, Biometrika 37:256-266): whether
/// they succeed equally often. Rows are cases, values are 0 to 1 (shares, with several trials).
/// Gives the p-value of the chi-squared distribution with k - 1 degrees of freedom; `None` with
/// fewer than two treatments or cases, 1 when no case tells them apart.
pub fn cochran_q(cases: &[Vec<f64>]) -> Option<f64> {
    let treatments = cases.first()?.len();
    if treatments < 2 || cases.len() < 2 {
        return None;
    }
    let k = treatments as f64;
    let totals: Vec<f64> = (0..treatments)
        .map(|treatment| cases.iter().map(|case| case[treatment]).sum())
        .collect();
    let mean = totals.iter().sum::<f64>() / k;
    let between: f64 = totals.iter().map(|total| (total - mean).powi(2)).sum();
    // For zeros and ones this is L - L²/k of the usual formula.
    let within: f64 = cases
        .iter()
        .map(|case| {
            let centre = case.iter().sum::<f64>() / k;
            case.iter()
                .map(|value| (value - centre).powi(2))
                .sum::<f64>()
        })
        .sum();
    if within <= 1e-12 {
        return Some(1.0);
    }
    let q = (k - 1.0) * between / within;
    Some(ChiSquared::new(k - 1.0).map_or(1.0, |tail| tail.sf(q)))
}

#[cfg(test)]
#[path = "significance_tests.rs"]
mod tests;
