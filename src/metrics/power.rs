//! What so many cases can find: the smallest true difference that is seen in 80 % of runs.
//!
//! Data in: paired cases, or a rate with its sample size. Data out: a difference, with what it
//! rests on. Invariants: pure; never smaller than what a single case is worth; `None` where no
//! difference at all could be found.
//!
//! One trial a case: the power of the exact McNemar test, the conditional power averaged over the
//! number of discordant cases (Schork, Williams 1980, Biom J 22:349-355; DIST=EXACT_COND of SAS
//! PROC POWER). Several trials: half of the interval's width, which the difference has to exceed,
//! and z of the power standard errors of the mean difference (as in Miller 2024, "Adding error bars
//! to evals", section 5, with the width of the interval that is used). One rate: the power of the
//! score test of one proportion, exactly from the binomial distribution. `tests/it/coverage` checks
//! each by simulation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, ContinuousCDF, Discrete, DiscreteCDF, Normal};

use super::interval::{wilson, z_95};
use super::rates::{IntervalMethod, Rate};
use super::verdict::{Estimate, LEVEL, PairedCase, TestMethod};

/// Power that "would be found" stands for.
pub const POWER: f64 = 0.8;
/// Standard normal quantile of [`POWER`].
fn z_power() -> f64 {
    Normal::standard().inverse_cdf(POWER)
}

/// The smallest difference between two sides of a pair that would be found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Detectable {
    /// As a share: 0.1 is 10 points.
    pub difference: f64,
    /// In this share of runs.
    pub power: f64,
    /// At this limit of the p-value (Holm's first step in a family; what is left at a look).
    pub alpha: f64,
    /// With so many cases.
    pub cases: usize,
    /// Share of cases that one side alone solves, as observed; the difference itself where that is
    /// more. `null` with several trials, where the spread of the differences stands for it.
    pub discordance: Option<f64>,
    /// Standard deviation of differences per case; `null` with one trial a case.
    pub spread: Option<f64>,
    /// How it was found.
    pub formula: String,
}

/// See [`Detectable`]. `None` without cases, and where even a difference of 1 would be missed.
pub fn detectable_difference(cases: &[PairedCase], alpha: f64) -> Option<Detectable> {
    let estimate = Estimate::at(cases, alpha)?;
    let n = cases.len();
    let table = &estimate.table;
    let discordance = (table.only_baseline + table.only_candidate) / n as f64;
    let spread = spread(cases);
    let (difference, formula) = match (estimate.p_method, spread) {
        (TestMethod::SignFlip, Some(spread)) if spread > 0.0 => {
            let interval = estimate.interval;
            let half = (interval.high - interval.low) / 2.0;
            let difference = half + z_power() * spread / (n as f64).sqrt();
            (difference, BY_SPREAD)
        }
        _ => (
            detectable_discordant(n as u64, discordance, alpha)?,
            "exact power of McNemar's test, averaged over the number of discordant cases",
        ),
    };
    if difference > 1.0 {
        return None;
    }
    let by_spread = formula == BY_SPREAD;
    Some(Detectable {
        difference,
        power: POWER,
        alpha,
        cases: n,
        discordance: (!by_spread).then_some(discordance.max(difference)),
        spread: spread.filter(|_| by_spread),
        formula: formula.to_owned(),
    })
}

const BY_SPREAD: &str = "half of the interval's width + z of the power · spread / √cases";

/// Standard deviation of the differences per case; `None` with fewer than two.
fn spread(cases: &[PairedCase]) -> Option<f64> {
    if cases.len() < 2 {
        return None;
    }
    let share = |trials: &[bool]| {
        trials.iter().filter(|success| **success).count() as f64 / trials.len() as f64
    };
    let differences: Vec<f64> = cases
        .iter()
        .map(|case| share(&case.candidate) - share(&case.baseline))
        .collect();
    let mean = differences.iter().sum::<f64>() / differences.len() as f64;
    let squares: f64 = differences.iter().map(|d| (d - mean).powi(2)).sum();
    Some((squares / (differences.len() - 1) as f64).sqrt())
}

/// Discordant cases, and how many of them the smaller side may have for the test to reject.
struct Rejections(Vec<Option<u64>>);

impl Rejections {
    fn new(n: u64, alpha: f64) -> Self {
        let most = |discordant: u64| {
            let tails = Binomial::new(0.5, discordant).ok()?;
            (0..=discordant / 2)
                .take_while(|few| 2.0 * tails.cdf(*few) <= alpha)
                .last()
        };
        Self((0..=n).map(most).collect())
    }

    /// Chance that the test rejects in the direction of `difference`.
    fn power(&self, discordance: f64, difference: f64) -> f64 {
        let n = self.0.len() as u64 - 1;
        let with = f64::midpoint(1.0, difference / discordance).clamp(0.0, 1.0);
        let Ok(discordant) = Binomial::new(discordance.clamp(0.0, 1.0), n) else {
            return 0.0;
        };
        let counts = self.0.iter().enumerate();
        counts
            .filter_map(|(count, few)| {
                let weight = discordant.pmf(count as u64);
                if weight < 1e-12 {
                    return None;
                }
                let against = Binomial::new(1.0 - with, count as u64).ok()?;
                Some(weight * against.cdf((*few)?))
            })
            .sum()
    }
}

/// The smallest difference that `n` cases find with [`POWER`] when `discordance` of them, or as
/// many as the difference asks for, are solved by one side alone.
pub fn detectable_discordant(n: u64, discordance: f64, alpha: f64) -> Option<f64> {
    let rejections = Rejections::new(n, alpha);
    let found =
        |difference: f64| rejections.power(discordance.max(difference), difference) >= POWER;
    if !found(1.0) {
        return None;
    }
    let (mut missed, mut enough) = (0.0, 1.0);
    for _ in 0..30 {
        let middle = f64::midpoint(missed, enough);
        if found(middle) {
            enough = middle;
        } else {
            missed = middle;
        }
    }
    Some(enough)
}

/// The smallest change of one rate that as many further cases would find.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DetectableChange {
    /// Fall below the present rate, as a share; `null` where none would be found.
    pub fall: Option<f64>,
    /// Rise above it; `null` where none would be found.
    pub rise: Option<f64>,
    /// In this share of runs.
    pub power: f64,
    /// Two-sided level of the test.
    pub alpha: f64,
    /// How it was found.
    pub formula: String,
}

/// See [`DetectableChange`]: against the observed rate as a fixed target, by the interval of the
/// next run. `None` without a rate.
pub fn detectable_change(rate: &Rate) -> Option<DetectableChange> {
    let present = rate.rate?;
    let (fall, rise, formula) = if rate.method == IntervalMethod::Bootstrap {
        let error = (rate.high? - rate.low?) / (2.0 * z_95());
        let change = (z_95() + z_power()) * error;
        (
            (change <= present).then_some(change),
            (change <= 1.0 - present).then_some(change),
            "(z of the level + z of the power) standard errors",
        )
    } else {
        let fall = detectable_fall(present, rate.n);
        let rise = detectable_fall(1.0 - present, rate.n);
        (
            fall,
            rise,
            "exact power of the score test of one proportion",
        )
    };
    Some(DetectableChange {
        fall,
        rise,
        power: POWER,
        alpha: LEVEL,
        formula: formula.to_owned(),
    })
}

/// The smallest fall from `present` that `n` cases find: Wilson's interval lies below `present`.
pub fn detectable_fall(present: f64, n: u64) -> Option<f64> {
    let below = |successes: u64| {
        wilson(successes as f64, n as f64).is_some_and(|found| found.high < present)
    };
    let most = (0..=n).take_while(|successes| below(*successes)).last()?;
    let found = |fall: f64| {
        Binomial::new((present - fall).max(0.0), n).is_ok_and(|next| next.cdf(most) >= POWER)
    };
    if !found(present) {
        return None;
    }
    let (mut missed, mut enough) = (0.0, present);
    for _ in 0..40 {
        let middle = f64::midpoint(missed, enough);
        if found(middle) {
            enough = middle;
        } else {
            missed = middle;
        }
    }
    Some(enough)
}

#[cfg(test)]
#[path = "power_tests.rs"]
mod tests;
