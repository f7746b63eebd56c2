//! Rates: success and calls; each with its interval and method.
//!
//! Data in: trials grouped by case. Data out: [`Rate`] and its siblings. Invariants: a rate is the
//! mean over cases of the case's own share, never pooled over trials or calls, so a case with many
//! calls weighs no more than one with few; only scored trials count unless a name says otherwise.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bootstrap::{self, Hits};
use super::interval::{Interval, wilson};
use crate::types::decoded::Reading;
use crate::types::outcome::{Counted, Outcome};
use crate::types::{AttemptRecord, Code, TrialRecord};

/// Trials of one row, grouped by case, each group in trial order and none empty.
pub type Cases<'a> = [Vec<&'a TrialRecord>];

/// A rate with its 95 % interval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rate {
    /// Mean over cases of hits / of; `null` when nothing counts.
    pub rate: Option<f64>,
    /// Lower 95 % limit.
    pub low: Option<f64>,
    /// Upper 95 % limit.
    pub high: Option<f64>,
    /// How the interval was found.
    pub method: IntervalMethod,
    /// What the interval's sample size is: cases, or trials with a single case.
    pub n: u64,
    /// Hits over all cases.
    pub hits: u64,
    /// Of how many over all cases (trials, attempts or calls, as the rate is defined).
    pub of: u64,
}

/// How an interval was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IntervalMethod {
    /// There is nothing to estimate.
    None,
    /// Wilson over cases, n = cases: one trial a case, or fewer than 5 cases' worth of successes or
    /// of failures, where a bootstrap would be too narrow.
    Wilson,
    /// Wilson over the trials of the only case: holds for this case alone.
    WilsonOneCase,
    /// Percentile bootstrap over cases, then trials; computed exactly where every trial is a yes or
    /// no and cases have up to 6 of them, else 4,000 draws with a fixed seed.
    Bootstrap,
}

impl IntervalMethod {
    /// As in JSON and CSV.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Wilson => "wilson",
            Self::WilsonOneCase => "wilson_one_case",
            Self::Bootstrap => "bootstrap",
        }
    }

    /// For footnotes.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::None => "no interval",
            Self::Wilson => "Wilson over cases",
            Self::WilsonOneCase => "Wilson over the trials of the only case",
            Self::Bootstrap => "bootstrap over cases, then trials",
        }
    }
}

/// Cases' worth of successes and of failures below which Wilson replaces the bootstrap: near 0 and
/// 1 the percentile bootstrap is far too narrow (with no failure seen it has no width at all). The
/// rest keeps a sum of shares that is 5 up to rounding on the side of 5.
const BOOTSTRAP_NEEDS: f64 = 5.0 - 1e-9;

impl Rate {
    /// `23 cases`: what the rate is of; of a single case its trials.
    pub fn size_in_words(&self) -> String {
        let unit = match self.method {
            IntervalMethod::WilsonOneCase => "trial",
            _ => "case",
        };
        let plural = if self.n == 1 { "" } else { "s" };
        format!("{} {unit}{plural}", self.n)
    }

    /// The mean of one value from 0 to 1 per case, such as an estimate from its trials. Wilson over
    /// cases: the variance of such a value is at most that of a yes or no with the same mean.
    pub fn of_values(values: &[f64]) -> Option<(f64, Interval)> {
        let total: f64 = values.iter().sum();
        let n = values.len() as f64;
        Some((total / n, wilson(total, n)?))
    }

    /// The rate of per-case lists of (hits, of). Pairs with `of` = 0 and cases without pairs do not
    /// count.
    pub fn of_cases(cases: impl IntoIterator<Item = Vec<Hits>>) -> Self {
        let cases: Vec<Vec<Hits>> = cases
            .into_iter()
            .map(|pairs| {
                pairs
                    .into_iter()
                    .filter(|(_, of)| *of > 0)
                    .collect::<Vec<_>>()
            })
            .filter(|pairs| !pairs.is_empty())
            .collect();
        let hits: u64 = cases.iter().flatten().map(|pair| u64::from(pair.0)).sum();
        let of: u64 = cases.iter().flatten().map(|pair| u64::from(pair.1)).sum();
        let count = cases.len() as f64;
        let successes: f64 = cases.iter().map(|pairs| share(pairs)).sum();
        let (method, n, interval) = if cases.is_empty() {
            (IntervalMethod::None, 0, None)
        } else if let [trials] = &cases[..] {
            let n = trials.len() as u64;
            let method = if n == 1 {
                IntervalMethod::Wilson
            } else {
                IntervalMethod::WilsonOneCase
            };
            (method, n, wilson(successes * n as f64, n as f64))
        } else if cases.iter().all(|pairs| pairs.len() == 1)
            || successes.min(count - successes) < BOOTSTRAP_NEEDS
        {
            let interval = wilson(successes, count);
            (IntervalMethod::Wilson, cases.len() as u64, interval)
        } else {
            let interval = Some(bootstrap::mean_of_shares(&cases));
            (IntervalMethod::Bootstrap, cases.len() as u64, interval)
        };
        Self {
            rate: (!cases.is_empty()).then(|| successes / count),
            low: interval.map(|Interval { low, .. }| low),
            high: interval.map(|Interval { high, .. }| high),
            method,
            n,
            hits,
            of,
        }
    }
}

/// Hits / of over one case's trials.
pub(super) fn share(pairs: &[Hits]) -> f64 {
    let (hits, of) = pairs
        .iter()
        .fold((0_u32, 0_u32), |(h, o), (hits, of)| (h + hits, o + of));
    f64::from(hits) / f64::from(of)
}

/// The rate of a yes-or-no property among the trials for which it is asked (`Some`).
pub(super) fn trial_rate(
    cases: &Cases<'_>,
    property: impl Fn(&TrialRecord) -> Option<bool>,
) -> Rate {
    pair_rate(cases, |trial| {
        property(trial).map_or((0, 0), |holds| (u32::from(holds), 1))
    })
}

/// The rate of (hits, of) pairs, one per trial.
pub(super) fn pair_rate(cases: &Cases<'_>, pair: impl Fn(&TrialRecord) -> Hits) -> Rate {
    Rate::of_cases(
        cases
            .iter()
            .map(|trials| trials.iter().map(|trial| pair(trial)).collect()),
    )
}

/// Passed or recovered / scored.
pub(super) fn success(cases: &Cases<'_>) -> Rate {
    trial_rate(cases, scored_success)
}

/// `Some(success)` for a scored trial.
pub(super) fn scored_success(trial: &TrialRecord) -> Option<bool> {
    trial
        .outcome
        .is_scored()
        .then(|| trial.outcome.is_success())
}

/// Passed / scored.
pub(super) fn first_attempt(cases: &Cases<'_>) -> Rate {
    trial_rate(cases, |trial| {
        Some(scored_success(trial)? && trial.first_attempt_success)
    })
}

/// Successful only after corrections / scored.
pub(super) fn recovered(cases: &Cases<'_>) -> Rate {
    trial_rate(cases, |trial| {
        Some(scored_success(trial)? && !trial.first_attempt_success)
    })
}

/// Success where trials that the serving side spoiled are misses.
pub(super) fn as_deployed(cases: &Cases<'_>) -> Rate {
    trial_rate(cases, |trial| match trial.outcome.counted() {
        Counted::Success => Some(true),
        Counted::Failure
        | Counted::Excluded {
            deployed_miss: true,
        } => Some(false),
        Counted::Excluded { .. } | Counted::Undecidable => None,
    })
}

/// Success where a call that the server did not read counts as its text has it: the model's own part
/// of what the server lost. Nothing where no such call could be judged.
pub(super) fn as_written(cases: &Cases<'_>) -> Option<Rate> {
    let mut trials = cases.iter().flat_map(|trials| trials.iter());
    trials.any(|trial| trial.reread.is_some()).then(|| {
        trial_rate(cases, |trial| {
            let reread = trial.reread.map(|reread| reread.code.is_none());
            scored_success(trial).or(reread)
        })
    })
}

/// From attempted to valid, on first attempts of turns (before any correction of that turn); in a
/// hybrid on those that stand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CallRates {
    /// First attempts whose calls are all read without a finding, name an offered tool and satisfy
    /// its schema / first attempts in which a call was attempted.
    pub valid_call: Rate,
    /// First attempts that the steering reading reads as calls without a finding / first attempts
    /// in which a call was attempted.
    pub parsed: Rate,
    /// The same with the lenient reading, which repairs; never steers unless asked to.
    pub parsed_leniently: Rate,
    /// Calls that name an offered tool / calls read, on first attempts.
    pub offered_tool: Rate,
    /// Calls that satisfy their tool's schema / calls that name an offered tool, on first attempts.
    pub schema_valid: Rate,
}

/// See [`CallRates`]. `steers_leniently` says which reading steered a trial.
pub(super) fn calls(
    cases: &Cases<'_>,
    steers_leniently: impl Fn(&TrialRecord) -> bool,
) -> CallRates {
    let steering = |trial: &TrialRecord| {
        if steers_leniently(trial) {
            Which::Lenient
        } else {
            Which::Strict
        }
    };
    let attempts_with_calls = |trial: &TrialRecord, holds: &dyn Fn(&AttemptRecord) -> bool| {
        count_pairs(
            first_attempts(trial)
                .filter(|attempt| attempt.attempted_call)
                .map(|attempt| (u32::from(holds(attempt)), 1)),
        )
    };
    CallRates {
        valid_call: pair_rate(cases, |trial| {
            let which = steering(trial);
            attempts_with_calls(trial, &|attempt| is_valid(attempt, which))
        }),
        parsed: pair_rate(cases, |trial| {
            let which = steering(trial);
            attempts_with_calls(trial, &|attempt| reads_calls(which.of(attempt)))
        }),
        parsed_leniently: pair_rate(cases, |trial| {
            attempts_with_calls(trial, &|attempt| reads_calls(&attempt.lenient))
        }),
        offered_tool: pair_rate(cases, |trial| {
            let which = steering(trial);
            count_pairs(first_attempts(trial).map(|attempt| {
                let read = which.of(attempt).calls.len() as u32;
                (read - unknown_tools(attempt, read), read)
            }))
        }),
        schema_valid: pair_rate(cases, |trial| {
            let which = steering(trial);
            count_pairs(first_attempts(trial).map(|attempt| {
                let read = which.of(attempt).calls.len() as u32;
                let offered = read - unknown_tools(attempt, read);
                (attempt.valid_calls.min(offered), offered)
            }))
        }),
    }
}

#[derive(Clone, Copy)]
enum Which {
    Strict,
    Lenient,
}

impl Which {
    fn of(self, attempt: &AttemptRecord) -> &Reading {
        match self {
            Self::Strict => &attempt.strict,
            Self::Lenient => &attempt.lenient,
        }
    }
}

fn first_attempts(trial: &TrialRecord) -> impl Iterator<Item = &AttemptRecord> {
    let scored = trial.outcome.is_scored();
    trial
        .attempts
        .iter()
        .filter(move |attempt| scored && attempt.attempt == 1 && attempt.passed_over.is_none())
}

fn count_pairs(pairs: impl Iterator<Item = Hits>) -> Hits {
    pairs.fold((0, 0), |(hits, of), (more_hits, more_of)| {
        (hits + more_hits, of + more_of)
    })
}

fn reads_calls(reading: &Reading) -> bool {
    !reading.calls.is_empty() && reading.violations.is_empty()
}

fn is_valid(attempt: &AttemptRecord, which: Which) -> bool {
    let reading = which.of(attempt);
    reads_calls(reading) && attempt.valid_calls as usize == reading.calls.len()
}

/// Calls that name no offered tool, each counted once.
fn unknown_tools(attempt: &AttemptRecord, read: u32) -> u32 {
    let mut calls: Vec<_> = attempt
        .violations
        .iter()
        .filter(|violation| violation.code == Code::UnknownTool)
        .map(|violation| violation.call)
        .collect();
    calls.sort_unstable();
    calls.dedup();
    (calls.len() as u32).min(read)
}

/// Whether corrections ran out in this outcome.
pub(super) fn is_exhausted(outcome: Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Limit {
            code: Code::CorrectionsExhausted,
            ..
        }
    )
}

#[cfg(test)]
#[path = "rates_tests.rs"]
mod tests;
