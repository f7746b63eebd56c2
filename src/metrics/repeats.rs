//! Repetition: pass@k, pass^k and flaky cases.
//!
//! Data in: successes and trials per case. Data out: the unbiased estimators, without replacement.
//! Invariants: k never exceeds the smallest number of scored trials of a case.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rates::{Cases, scored_success};

/// What several trials a case tell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Repeats {
    /// The largest k: the smallest number of scored trials of a case.
    pub k: u32,
    /// Chance that at least one of k trials succeeds, mean over cases.
    pub pass_at_k: f64,
    /// Chance that all k trials succeed, mean over cases.
    pub pass_hat_k: f64,
    /// `pass_at_k` - `pass_hat_k`: what luck decides.
    pub reliability_gap: f64,
    /// Cases with both a success and a failure.
    pub flaky_cases: usize,
    /// Cases with a scored trial.
    pub cases: usize,
    /// The same for every k from 1.
    pub by_k: Vec<PassK>,
}

/// Estimates for one k.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PassK {
    /// Trials drawn.
    pub k: u32,
    /// At least one succeeds.
    pub pass_at_k: f64,
    /// All succeed.
    pub pass_hat_k: f64,
}

/// 1 - C(n-c, k) / C(n, k) (Chen et al. 2021, "Evaluating large language models trained on code").
pub fn pass_at_k(trials: u32, successes: u32, k: u32) -> f64 {
    1.0 - pass_hat_k(trials, trials - successes, k)
}

/// C(c, k) / C(n, k) (Yao et al. 2024, τ-bench), as a product that cannot overflow.
pub fn pass_hat_k(trials: u32, successes: u32, k: u32) -> f64 {
    (0..k)
        .map(|drawn| f64::from(successes.saturating_sub(drawn)) / f64::from(trials - drawn))
        .product()
}

/// `None` unless some case has more than one scored trial.
pub(super) fn repeats(cases: &Cases<'_>) -> Option<Repeats> {
    let counts: Vec<(u32, u32)> = cases
        .iter()
        .map(|trials| {
            let scored = trials.iter().filter_map(|trial| scored_success(trial));
            scored.fold((0, 0), |(n, c), success| (n + 1, c + u32::from(success)))
        })
        .filter(|(trials, _)| *trials > 0)
        .collect();
    if counts.iter().all(|(trials, _)| *trials == 1) {
        return None;
    }
    let k = counts.iter().map(|(trials, _)| *trials).min()?;
    let mean = |estimate: fn(u32, u32, u32) -> f64, k| {
        let total: f64 = counts.iter().map(|(n, c)| estimate(*n, *c, k)).sum();
        total / counts.len() as f64
    };
    let by_k: Vec<PassK> = (1..=k)
        .map(|k| PassK {
            k,
            pass_at_k: mean(pass_at_k, k),
            pass_hat_k: mean(pass_hat_k, k),
        })
        .collect();
    let last = by_k.last()?;
    Some(Repeats {
        k,
        pass_at_k: last.pass_at_k,
        pass_hat_k: last.pass_hat_k,
        reliability_gap: last.pass_at_k - last.pass_hat_k,
        flaky_cases: counts.iter().filter(|(n, c)| 0 < *c && c < n).count(),
        cases: counts.len(),
        by_k,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: C(3,2)/C(5,2) = 3/10; 1 - C(2,2)/C(5,2) = 9/10; C(3,3)/C(5,3) = 1/10; 1 - 0 = 1.
    #[test]
    fn estimators_by_hand() {
        for (n, c, k, at, hat) in [
            (5, 3, 2, 0.9, 0.3),
            (5, 3, 3, 1.0, 0.1),
            (5, 3, 1, 0.6, 0.6),
            (4, 0, 4, 0.0, 0.0),
            (4, 4, 4, 1.0, 1.0),
        ] {
            assert!((pass_at_k(n, c, k) - at).abs() < 1e-12, "{n} {c} {k}");
            assert!((pass_hat_k(n, c, k) - hat).abs() < 1e-12, "{n} {c} {k}");
        }
    }
}
