//! Repetition: pass@k, pass^k and flaky cases.
//!
//! Data in: successes and trials per case. Data out: the unbiased estimators, without replacement,
//! with intervals. Invariants: k never exceeds the smallest number of scored trials of a case; an
//! interval is Wilson's over cases: drawing trials with replacement, as a bootstrap does, would bias
//! both estimators, and a value in [0, 1] varies at most as much as a yes or no of the same mean.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rates::{Cases, Rate, scored_success};

/// What several trials a case tell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Repeats {
    /// The largest k: the smallest number of scored trials of a case.
    pub k: u32,
    /// Chance that at least one of k trials succeeds, mean over cases.
    pub pass_at_k: f64,
    /// Lower 95 % limit.
    pub pass_at_k_low: f64,
    /// Upper 95 % limit.
    pub pass_at_k_high: f64,
    /// Chance that all k trials succeed, mean over cases.
    pub pass_hat_k: f64,
    /// Lower 95 % limit.
    pub pass_hat_k_low: f64,
    /// Upper 95 % limit.
    pub pass_hat_k_high: f64,
    /// `pass_at_k` - `pass_hat_k`: what luck decides.
    pub reliability_gap: f64,
    /// Lower 95 % limit.
    pub reliability_gap_low: f64,
    /// Upper 95 % limit.
    pub reliability_gap_high: f64,
    /// Cases with both a success and a failure.
    pub flaky_cases: usize,
    /// These / cases with a scored trial.
    pub flaky_rate: f64,
    /// Lower 95 % limit.
    pub flaky_low: f64,
    /// Upper 95 % limit.
    pub flaky_high: f64,
    /// Cases with a scored trial.
    pub cases: usize,
    /// The same for every k from 1.
    pub by_k: Vec<PassK>,
    /// The flaky cases, in plan order.
    pub flaky: Vec<FlakyCase>,
}

/// Estimates for one k.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PassK {
    /// Trials drawn.
    pub k: u32,
    /// At least one succeeds.
    pub pass_at_k: f64,
    /// Lower 95 % limit.
    pub pass_at_k_low: f64,
    /// Upper 95 % limit.
    pub pass_at_k_high: f64,
    /// All succeed.
    pub pass_hat_k: f64,
    /// Lower 95 % limit.
    pub pass_hat_k_low: f64,
    /// Upper 95 % limit.
    pub pass_hat_k_high: f64,
}

/// A case with both a success and a failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FlakyCase {
    /// Its suite.
    pub suite: String,
    /// Its id.
    pub case: String,
    /// Successful trials.
    pub successes: u32,
    /// Scored trials.
    pub trials: u32,
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
    let counted: Vec<FlakyCase> = cases
        .iter()
        .filter_map(|trials| {
            let first = trials.first()?;
            let scored = trials.iter().filter_map(|trial| scored_success(trial));
            let (trials, successes) =
                scored.fold((0, 0), |(n, c), success| (n + 1, c + u32::from(success)));
            (trials > 0).then(|| FlakyCase {
                suite: first.cell.suite.clone(),
                case: first.case.clone(),
                successes,
                trials,
            })
        })
        .collect();
    if counted.iter().all(|case| case.trials == 1) {
        return None;
    }
    let k = counted.iter().map(|case| case.trials).min()?;
    let values = |estimate: &dyn Fn(&FlakyCase) -> f64| -> Vec<f64> {
        counted.iter().map(estimate).collect()
    };
    let by_k: Vec<PassK> = (1..=k)
        .map(|k| {
            let some = values(&|case| pass_at_k(case.trials, case.successes, k));
            let all = values(&|case| pass_hat_k(case.trials, case.successes, k));
            let (some, of_some) = Rate::of_values(&some)?;
            let (all, of_all) = Rate::of_values(&all)?;
            Some(PassK {
                k,
                pass_at_k: some,
                pass_at_k_low: of_some.low,
                pass_at_k_high: of_some.high,
                pass_hat_k: all,
                pass_hat_k_low: of_all.low,
                pass_hat_k_high: of_all.high,
            })
        })
        .collect::<Option<_>>()?;
    let (reliability_gap, gap) = Rate::of_values(&values(&|case| {
        pass_at_k(case.trials, case.successes, k) - pass_hat_k(case.trials, case.successes, k)
    }))?;
    let is_flaky = |case: &FlakyCase| 0 < case.successes && case.successes < case.trials;
    let (flaky_rate, flaky) = Rate::of_values(&values(&|case| f64::from(is_flaky(case))))?;
    let last = by_k.last()?.clone();
    Some(Repeats {
        k,
        pass_at_k: last.pass_at_k,
        pass_at_k_low: last.pass_at_k_low,
        pass_at_k_high: last.pass_at_k_high,
        pass_hat_k: last.pass_hat_k,
        pass_hat_k_low: last.pass_hat_k_low,
        pass_hat_k_high: last.pass_hat_k_high,
        reliability_gap,
        reliability_gap_low: gap.low,
        reliability_gap_high: gap.high,
        flaky_cases: counted.iter().filter(|case| is_flaky(case)).count(),
        flaky_rate,
        flaky_low: flaky.low,
        flaky_high: flaky.high,
        cases: counted.len(),
        by_k,
        flaky: counted.into_iter().filter(is_flaky).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Drawing k of n trials of which c succeed is hypergeometric: `scipy.stats.hypergeom(n, c, k)`,
    /// version 1.17.1, 1 - pmf(0) and pmf(k).
    #[test]
    fn estimators_agree_with_scipy() {
        for (n, c, k, at, hat) in [
            (10, 3, 5, 0.916_666_666_667, 0.0),
            (20, 7, 3, 0.749_122_807_018, 0.030_701_754_386),
            (100, 37, 10, 0.992_616_797_214, 0.000_020_122_698),
            (8, 8, 3, 1.0, 1.0),
            (50, 1, 25, 0.5, 0.0),
        ] {
            assert!((pass_at_k(n, c, k) - at).abs() < 1e-11, "{n} {c} {k}");
            assert!((pass_hat_k(n, c, k) - hat).abs() < 1e-11, "{n} {c} {k}");
        }
    }

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
