//! Times, speed and tokens of scored trials.
//!
//! Data in: trials of a row. Data out: nearest-rank quantiles on raw values, ratios of sums.
//! Invariants: nothing is interpolated; a tail without a value beyond it is `null`; failures are
//! part of every figure, because people wait for them too. The intervals of quantiles assume nothing
//! but that cases are drawn alike; several values of a case count as one where the limits are found.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::interval::quantile_ranks;
use super::rates::Cases;
use super::ratio::of_cases;
use crate::types::{AttemptRecord, TrialRecord};

/// Nearest-rank quantiles in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Quantiles {
    /// Values.
    pub n: usize,
    /// Smallest value that at least 50 % do not exceed.
    pub p50: Option<f64>,
    /// Lower 95 % limit of the median: an order statistic, distribution-free; from 6 cases.
    pub p50_low: Option<f64>,
    /// Upper 95 % limit of the median.
    pub p50_high: Option<f64>,
    /// 90 %; from 10 values.
    pub p90: Option<f64>,
    /// 95 %; from 20 values.
    pub p95: Option<f64>,
    /// Lower 95 % limit of it.
    pub p95_low: Option<f64>,
    /// Upper 95 % limit of it; from 72 cases.
    pub p95_high: Option<f64>,
    /// 99 %; from 100 values.
    pub p99: Option<f64>,
    /// Largest value.
    pub max: Option<f64>,
}

impl Quantiles {
    /// Of raw values by case, in any order.
    pub fn of(cases: Vec<Vec<f64>>) -> Self {
        let units = cases.iter().filter(|values| !values.is_empty()).count();
        let mut values: Vec<f64> = cases.into_iter().flatten().collect();
        values.sort_by(f64::total_cmp);
        let p95 = tail(&values, 95);
        let (p50_low, p50_high) = limits(&values, units, 0.5);
        let (p95_low, p95_high) = limits(&values, units, 0.95);
        Self {
            n: values.len(),
            p50: nearest_rank(&values, 50),
            p50_low,
            p50_high,
            p90: tail(&values, 90),
            p95,
            p95_low: p95_low.filter(|_| p95.is_some()),
            p95_high: p95_high.filter(|_| p95.is_some()),
            p99: tail(&values, 99),
            max: values.last().copied(),
        }
    }
}

/// 95 % limits of a quantile. With several values a case, the ranks among `units` cases are carried
/// over to all values, outwards: as if the values of a case were all alike.
fn limits(sorted: &[f64], units: usize, share: f64) -> (Option<f64>, Option<f64>) {
    let (low, high) = quantile_ranks(units as u64, share);
    let rank = |rank: u64| rank as usize * sorted.len();
    let low = low.map(|found| (rank(found) / units).max(1));
    let high = high.map(|found| rank(found).div_ceil(units));
    let at = |rank: usize| sorted.get(rank - 1).copied();
    (low.and_then(at), high.and_then(at))
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
    /// First request to the first generated token after a bounded thought; where there is no thought,
    /// the first token.
    pub first_output_ms: Quantiles,
    /// Time from first to last token / (tokens - 1), one value a reply of two or more tokens.
    pub inter_token_ms: Quantiles,
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
    /// Lower 95 % limit (see [`super::ratio`]).
    pub decode_low_tokens_per_second: Option<f64>,
    /// Upper 95 % limit.
    pub decode_high_tokens_per_second: Option<f64>,
    /// Prompt tokens computed (not taken from a kept prefix) / time to compute them.
    pub prefill_tokens_per_second: Option<f64>,
    /// Lower 95 % limit.
    pub prefill_low_tokens_per_second: Option<f64>,
    /// Upper 95 % limit.
    pub prefill_high_tokens_per_second: Option<f64>,
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
    /// Lower 95 % limit (see [`super::ratio`]).
    pub per_success_low_tokens: Option<f64>,
    /// Upper 95 % limit.
    pub per_success_high_tokens: Option<f64>,
    /// Generated tokens of all scored trials / successful trials.
    pub output_per_success_tokens: Option<f64>,
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
        by_case(cases, &|trial| value(trial).into_iter().collect())
    };
    let mean = |value: &dyn Fn(&TrialRecord) -> f64| {
        mean_of(scored(cases).filter(|trial| !trial.replayed).map(value))
    };
    Latency {
        first_token_ms: quantiles(&|trial| trial.time.to_first_token_ms),
        first_output_ms: quantiles(&first_output_ms),
        inter_token_ms: by_case(cases, &|trial| {
            let replies = trial.attempts.iter();
            replies.filter_map(inter_token_ms).collect()
        }),
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

/// Quantiles over the scored trials of each case.
fn by_case(cases: &Cases<'_>, values: &dyn Fn(&TrialRecord) -> Vec<f64>) -> Quantiles {
    let of_case = |trials: &Vec<&TrialRecord>| {
        let scored = trials.iter().filter(|trial| trial.outcome.is_scored());
        // What was replayed was not measured.
        let timed = scored.filter(|trial| !trial.replayed);
        timed.flat_map(|trial| values(trial)).collect()
    };
    Quantiles::of(cases.iter().map(of_case).collect())
}

fn first_output_ms(trial: &TrialRecord) -> Option<f64> {
    let mut standing = trial.attempts.iter().filter(|it| it.passed_over.is_none());
    let thought = standing.next()?.timing.reasoning_ms.unwrap_or(0.0);
    Some(trial.time.to_first_token_ms? + thought)
}

fn inter_token_ms(attempt: &AttemptRecord) -> Option<f64> {
    let gaps = attempt.usage.output_tokens.checked_sub(1)?;
    (gaps > 0 && attempt.timing.decode_ms > 0.0).then(|| attempt.timing.decode_ms / f64::from(gaps))
}

pub(super) fn mean_of(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, total) = values.fold((0_usize, 0.0), |(n, sum), value| (n + 1, sum + value));
    (count > 0).then(|| total / count as f64)
}

pub(super) fn speed(cases: &Cases<'_>) -> Speed {
    let timed = || scored(cases).filter(|trial| !trial.replayed);
    let attempts = || timed().flat_map(|trial| &trial.attempts);
    let summed = |pair: &dyn Fn(&AttemptRecord) -> Option<(f64, f64)>| {
        of_cases(cases, |trial| {
            let pairs = trial.attempts.iter().filter_map(pair);
            pairs.fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y))
        })
    };
    let decoded = summed(&|a| {
        let timed = a.usage.output_tokens >= 2 && a.timing.decode_ms > 0.0;
        timed.then(|| {
            (
                f64::from(a.usage.output_tokens - 1),
                a.timing.decode_ms / 1000.0,
            )
        })
    });
    let computed = summed(&|a| {
        let timed = a.usage.computed_tokens > 0 && a.timing.prefill_ms > 0.0;
        timed.then(|| {
            (
                f64::from(a.usage.computed_tokens),
                a.timing.prefill_ms / 1000.0,
            )
        })
    });
    let masked = attempts()
        .filter(|a| a.grammar.is_some() && a.timing.decode_ms > 0.0)
        .map(|a| (a.timing.mask_ms, a.timing.decode_ms));
    Speed {
        decode_tokens_per_second: decoded.map(|found| found.value),
        decode_low_tokens_per_second: decoded.and_then(|found| found.low),
        decode_high_tokens_per_second: decoded.and_then(|found| found.high),
        prefill_tokens_per_second: computed.map(|found| found.value),
        prefill_low_tokens_per_second: computed.and_then(|found| found.low),
        prefill_high_tokens_per_second: computed.and_then(|found| found.high),
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
    let per_success_ratio = of_cases(cases, |trial| {
        let tokens = trial.attempts.iter();
        let all = tokens.map(|a| f64::from(a.usage.prompt_tokens + a.usage.output_tokens));
        (all.sum(), f64::from(trial.outcome.is_success()))
    });
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
        per_success_low_tokens: per_success_ratio.and_then(|found| found.low),
        per_success_high_tokens: per_success_ratio.and_then(|found| found.high),
        output_per_success_tokens: per_success(output_tokens),
    }
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

    fn one_to(n: u32) -> Vec<Vec<f64>> {
        (1..=n).rev().map(|value| vec![f64::from(value)]).collect()
    }

    /// Nearest rank as in Langford 2006, "Quartiles in elementary statistics", and by hand.
    #[test]
    fn quantiles_by_hand() {
        let of_five = Quantiles::of(
            [15.0, 20.0, 35.0, 40.0, 50.0]
                .map(|value| vec![value])
                .to_vec(),
        );
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

    /// Ranks 8 and 19 of 26 as `scipy.stats.binom` gives them; five equal values a case change
    /// nothing.
    #[test]
    fn limits_of_the_median() {
        let single = Quantiles::of(one_to(26));
        assert_eq!((single.p50_low, single.p50_high), (Some(8.0), Some(19.0)));
        let repeated = (1..=26).map(|value| vec![f64::from(value); 5]).collect();
        let repeated = Quantiles::of(repeated);
        assert_eq!((repeated.n, repeated.p50_low), (130, Some(8.0)));
        assert_eq!(repeated.p50_high, Some(19.0));
        assert_eq!(Quantiles::of(one_to(5)).p50_low, None, "too few for 95 %");
        let many = Quantiles::of(one_to(100));
        assert_eq!((many.p95_low, many.p95_high), (Some(90.0), Some(100.0)));
    }

    proptest! {
        #[test]
        fn quantiles_are_monotone_and_observed(values in proptest::collection::vec(0.0_f64..1e6, 1..300)) {
            let cases = values.iter().map(|value| vec![*value]).collect();
            let quantiles = Quantiles::of(cases);
            let present: Vec<f64> = [quantiles.p50, quantiles.p90, quantiles.p95, quantiles.p99, quantiles.max]
                .into_iter().flatten().collect();
            prop_assert!(present.windows(2).all(|pair| pair[0] <= pair[1]));
            prop_assert!(present.iter().all(|quantile| values.contains(quantile)));
        }
    }
}
