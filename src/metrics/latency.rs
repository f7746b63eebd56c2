//! Times, speed, tokens and corrections of scored trials.
//!
//! Data in: trials of a row. Data out: nearest-rank quantiles on raw values, ratios of sums.
//! Invariants: nothing is interpolated; a tail without a value beyond it is `null`; failures are
//! part of every figure, because people wait for them too.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rates::{Cases, Rate, is_exhausted, pair_rate};
use crate::types::{AttemptRecord, TrialRecord};

/// Nearest-rank quantiles in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Quantiles {
    /// Values.
    pub n: usize,
    /// Smallest value that at least 50 % do not exceed.
    pub p50: Option<f64>,
    /// 90 %; from 10 values.
    pub p90: Option<f64>,
    /// 95 %; from 20 values.
    pub p95: Option<f64>,
    /// 99 %; from 100 values.
    pub p99: Option<f64>,
    /// Largest value.
    pub max: Option<f64>,
}

impl Quantiles {
    /// Of raw values in any order.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self {
            n: values.len(),
            p50: nearest_rank(&values, 50),
            p90: tail(&values, 90),
            p95: tail(&values, 95),
            p99: tail(&values, 99),
            max: values.last().copied(),
        }
    }
}

/// The value of rank ⌈percent·n/100⌉ (Hyndman and Fan 1996, type 1), in whole numbers so that no
/// rounding shifts the rank. `None` without values.
pub fn nearest_rank(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (percent * sorted.len()).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// [`nearest_rank`] where n·(1 - q) ≥ 1: at least one value is expected beyond it.
fn tail(sorted: &[f64], percent: usize) -> Option<f64> {
    (sorted.len() * (100 - percent) >= 100)
        .then(|| nearest_rank(sorted, percent))
        .flatten()
}

/// Times of scored trials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// First request to first generated token.
    pub first_token_ms: Quantiles,
    /// First request to the first schema-valid call, corrections included; only trials with one.
    pub valid_call_ms: Quantiles,
    /// First request to the end of judging.
    pub task_ms: Quantiles,
    /// The same for successful trials.
    pub task_successful_ms: Quantiles,
    /// The same for failed trials.
    pub task_failed_ms: Quantiles,
    /// Mean time of a task.
    pub task_mean_ms: Option<f64>,
    /// Mean time in the model, first attempts of turns.
    pub model_mean_ms: Option<f64>,
    /// Mean time in tool hosts.
    pub tool_mean_ms: Option<f64>,
    /// Mean time in the model after corrections.
    pub correction_mean_ms: Option<f64>,
    /// Scored trials measured while the machine was busy with something else.
    pub noisy_trials: usize,
}

/// Speed of the model alone, as ratios of sums over the attempts of scored trials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Speed {
    /// Generated tokens after the first / time from first to last; attempts with two or more.
    pub decode_tokens_per_second: Option<f64>,
    /// Prompt tokens computed (not taken from a kept prefix) / time to compute them.
    pub prefill_tokens_per_second: Option<f64>,
    /// Mean time to build the grammar's parser, attempts under a grammar.
    pub grammar_mean_ms: Option<f64>,
    /// Time spent on grammar masks / decode time, attempts under a grammar.
    pub mask_share: Option<f64>,
}

/// Tokens of scored trials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tokens {
    /// Of prompts, all attempts.
    pub prompt_tokens: u64,
    /// Of these, taken from a kept prefix.
    pub cached_tokens: u64,
    /// Of these, computed.
    pub computed_tokens: u64,
    /// Generated.
    pub output_tokens: u64,
    /// Of these, forced by the grammar.
    pub forced_tokens: u64,
    /// Of these, in bounded thoughts.
    pub reasoning_tokens: u64,
    /// (Prompt + generated tokens of all scored trials) / successful trials: failures cost too.
    pub per_success_tokens: Option<f64>,
    /// Generated tokens of all scored trials / successful trials.
    pub output_per_success_tokens: Option<f64>,
}

/// Corrections and what they cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Corrections {
    /// Corrections sent per scored trial.
    pub mean: Option<f64>,
    /// Scored trials with at least one.
    pub corrected_trials: usize,
    /// Successful / corrected trials: mean over cases.
    pub recovery: Rate,
    /// Scored trials that used up every correction.
    pub exhausted_trials: usize,
    /// Mean time of attempts after a correction, per corrected trial.
    pub overhead_ms: Option<f64>,
    /// Mean prompt + generated tokens of attempts after a correction, per corrected trial.
    pub overhead_tokens: Option<f64>,
}

pub(super) fn scored<'a>(cases: &'a Cases<'a>) -> impl Iterator<Item = &'a TrialRecord> {
    cases
        .iter()
        .flatten()
        .copied()
        .filter(|trial| trial.outcome.is_scored())
}

pub(super) fn latency(cases: &Cases<'_>) -> Latency {
    let quantiles = |value: &dyn Fn(&TrialRecord) -> Option<f64>| {
        Quantiles::of(scored(cases).filter_map(value).collect())
    };
    let mean = |value: &dyn Fn(&TrialRecord) -> f64| mean_of(scored(cases).map(value));
    Latency {
        first_token_ms: quantiles(&|trial| trial.time.to_first_token_ms),
        valid_call_ms: quantiles(&|trial| trial.time.to_valid_call_ms),
        task_ms: quantiles(&|trial| Some(trial.time.total_ms)),
        task_successful_ms: quantiles(&|trial| {
            trial.outcome.is_success().then_some(trial.time.total_ms)
        }),
        task_failed_ms: quantiles(&|trial| {
            (!trial.outcome.is_success()).then_some(trial.time.total_ms)
        }),
        task_mean_ms: mean(&|trial| trial.time.total_ms),
        model_mean_ms: mean(&|trial| trial.time.model_ms),
        tool_mean_ms: mean(&|trial| trial.time.tool_ms),
        correction_mean_ms: mean(&|trial| trial.time.correction_ms),
        noisy_trials: scored(cases).filter(|trial| trial.noisy).count(),
    }
}

fn mean_of(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, total) = values.fold((0_usize, 0.0), |(n, sum), value| (n + 1, sum + value));
    (count > 0).then(|| total / count as f64)
}

pub(super) fn speed(cases: &Cases<'_>) -> Speed {
    let attempts = || scored(cases).flat_map(|trial| &trial.attempts);
    let decoded = attempts()
        .filter(|a| a.usage.output_tokens >= 2 && a.timing.decode_ms > 0.0)
        .map(|a| (f64::from(a.usage.output_tokens - 1), a.timing.decode_ms));
    let computed = attempts()
        .filter(|a| a.usage.computed_tokens > 0 && a.timing.prefill_ms > 0.0)
        .map(|a| (f64::from(a.usage.computed_tokens), a.timing.prefill_ms));
    let masked = attempts()
        .filter(|a| a.grammar.is_some() && a.timing.decode_ms > 0.0)
        .map(|a| (a.timing.mask_ms, a.timing.decode_ms));
    Speed {
        decode_tokens_per_second: ratio_of_sums(decoded).map(|per_ms| per_ms * 1000.0),
        prefill_tokens_per_second: ratio_of_sums(computed).map(|per_ms| per_ms * 1000.0),
        grammar_mean_ms: mean_of(
            attempts()
                .filter(|a| a.grammar.is_some() && a.reply.is_some())
                .map(|a| a.timing.grammar_ms),
        ),
        mask_share: ratio_of_sums(masked),
    }
}

fn ratio_of_sums(pairs: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
    let (top, bottom) = pairs.fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y));
    (bottom > 0.0).then(|| top / bottom)
}

pub(super) fn tokens(cases: &Cases<'_>) -> Tokens {
    let sum = |tokens: &dyn Fn(&AttemptRecord) -> u32| -> u64 {
        scored(cases)
            .flat_map(|trial| &trial.attempts)
            .map(|attempt| u64::from(tokens(attempt)))
            .sum()
    };
    let successes = scored(cases).filter(|t| t.outcome.is_success()).count();
    let per_success = |total: u64| (successes > 0).then(|| total as f64 / successes as f64);
    let prompt_tokens = sum(&|a| a.usage.prompt_tokens);
    let output_tokens = sum(&|a| a.usage.output_tokens);
    Tokens {
        prompt_tokens,
        cached_tokens: sum(&|a| a.usage.cached_tokens),
        computed_tokens: sum(&|a| a.usage.computed_tokens),
        output_tokens,
        forced_tokens: sum(&|a| a.usage.forced_tokens),
        reasoning_tokens: sum(&|a| a.usage.reasoning_tokens),
        per_success_tokens: per_success(prompt_tokens + output_tokens),
        output_per_success_tokens: per_success(output_tokens),
    }
}

pub(super) fn corrections(cases: &Cases<'_>) -> Corrections {
    let corrected = || scored(cases).filter(|trial| trial.corrections > 0);
    Corrections {
        mean: mean_of(scored(cases).map(|trial| f64::from(trial.corrections))),
        corrected_trials: corrected().count(),
        recovery: pair_rate(cases, |trial| {
            let counts = trial.outcome.is_scored() && trial.corrections > 0;
            (
                u32::from(counts && trial.outcome.is_success()),
                u32::from(counts),
            )
        }),
        exhausted_trials: scored(cases).filter(|t| is_exhausted(t.outcome)).count(),
        overhead_ms: mean_of(corrected().map(|trial| trial.time.correction_ms)),
        overhead_tokens: mean_of(corrected().map(correction_tokens)),
    }
}

fn correction_tokens(trial: &TrialRecord) -> f64 {
    trial
        .attempts
        .iter()
        .filter(|attempt| attempt.attempt > 1)
        .map(|a| f64::from(a.usage.prompt_tokens) + f64::from(a.usage.output_tokens))
        .sum()
}

pub(super) fn peak_memory_bytes<'a>(trials: impl Iterator<Item = &'a TrialRecord>) -> Option<u64> {
    trials
        .flat_map(|trial| &trial.attempts)
        .filter_map(|attempt| attempt.peak_memory_bytes)
        .max()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one_to(n: u32) -> Vec<f64> {
        (1..=n).map(f64::from).rev().collect()
    }

    /// Nearest rank as in Langford 2006, "Quartiles in elementary statistics", and by hand.
    #[test]
    fn quantiles_by_hand() {
        let of_five = Quantiles::of(vec![15.0, 20.0, 35.0, 40.0, 50.0]);
        assert_eq!((of_five.p50, of_five.p90), (Some(35.0), None));
        let of_twenty = Quantiles::of(one_to(20));
        assert_eq!(
            (of_twenty.p50, of_twenty.p90, of_twenty.p95, of_twenty.p99),
            (Some(10.0), Some(18.0), Some(19.0), None)
        );
        let of_hundred = Quantiles::of(one_to(100));
        assert_eq!(
            (
                of_hundred.p50,
                of_hundred.p95,
                of_hundred.p99,
                of_hundred.max
            ),
            (Some(50.0), Some(95.0), Some(99.0), Some(100.0))
        );
        assert_eq!(Quantiles::of(one_to(19)).p95, None);
        assert_eq!(Quantiles::of(Vec::new()), Quantiles::default());
    }

    proptest! {
        #[test]
        fn quantiles_are_monotone_and_observed(values in proptest::collection::vec(0.0_f64..1e6, 1..300)) {
            let quantiles = Quantiles::of(values.clone());
            let present: Vec<f64> = [quantiles.p50, quantiles.p90, quantiles.p95, quantiles.p99, quantiles.max]
                .into_iter().flatten().collect();
            prop_assert!(present.windows(2).all(|pair| pair[0] <= pair[1]));
            prop_assert!(present.iter().all(|quantile| values.contains(quantile)));
        }
    }
}
