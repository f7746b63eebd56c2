//! Corrections: how often they help, how many it takes, what they cost.
//!
//! Data in: trials of a row. Data out: rates by the number of corrections allowed, and costs.
//! Invariants: success after at most r corrections rises with r, from first-attempt success to
//! success; recovery is among trials that needed a correction, never among all.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::latency::{mean_of, scored};
use super::rates::{Cases, Rate, is_exhausted, trial_rate};
use super::ratio::of_cases;
use crate::types::{AttemptRecord, Outcome, TrialRecord};

/// Corrections and what they cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Corrections {
    /// Corrections sent per scored trial.
    pub mean: Option<f64>,
    /// Replies per scored trial, corrected ones included; in a hybrid those that stand.
    pub attempts_mean: Option<f64>,
    /// Lower 95 % limit (see [`super::ratio`]).
    pub attempts_mean_low: Option<f64>,
    /// Upper 95 % limit.
    pub attempts_mean_high: Option<f64>,
    /// Replies per turn of scored trials: 1 without any correction.
    pub attempts_per_turn: Option<f64>,
    /// Scored trials with at least one correction.
    pub corrected_trials: usize,
    /// Successful / corrected trials: mean over cases.
    pub recovery: Rate,
    /// Scored trials that used up every correction.
    pub exhausted_trials: usize,
    /// These / scored trials: mean over cases.
    pub exhausted: Rate,
    /// The same by the number of corrections allowed, from 0 to the most that any trial was sent.
    pub within: Vec<WithinCorrections>,
    /// Mean time of attempts after a correction, per corrected trial.
    pub overhead_ms: Option<f64>,
    /// Lower 95 % limit.
    pub overhead_low_ms: Option<f64>,
    /// Upper 95 % limit.
    pub overhead_high_ms: Option<f64>,
    /// Mean prompt + generated tokens of attempts after a correction, per corrected trial.
    pub overhead_tokens: Option<f64>,
    /// Lower 95 % limit.
    pub overhead_low_tokens: Option<f64>,
    /// Upper 95 % limit.
    pub overhead_high_tokens: Option<f64>,
}

/// What at most so many corrections achieve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WithinCorrections {
    /// Corrections allowed in a trial.
    pub corrections: u32,
    /// Right after at most so many / scored trials: mean over cases.
    pub success: Rate,
    /// Right after one to so many / trials with at least one correction: mean over cases.
    pub recovery: Rate,
}

/// See [`Corrections`].
pub(super) fn corrections(cases: &Cases<'_>) -> Corrections {
    let corrected = || scored(cases).filter(|trial| trial.corrections > 0);
    let most = scored(cases).map(|trial| trial.corrections).max();
    let attempts = |trial: &TrialRecord| standing(trial).count() as f64;
    let turns = |trial: &TrialRecord| {
        let first = standing(trial).filter(|attempt| attempt.attempt == 1);
        first.count() as f64
    };
    let attempts_mean = of_cases(cases, |trial| (attempts(trial), 1.0));
    let per_corrected = |value: &dyn Fn(&TrialRecord) -> f64| {
        // Only cases with a corrected trial say anything of its cost.
        let corrected: Vec<Vec<&TrialRecord>> = cases
            .iter()
            .map(|trials| {
                let kept = trials.iter().filter(|trial| trial.corrections > 0);
                kept.copied().collect()
            })
            .collect();
        of_cases(&corrected, |trial| (value(trial), 1.0))
    };
    let replayed = cases.iter().flatten().any(|trial| trial.replayed);
    let overhead_ms = per_corrected(&|trial| trial.time.correction_ms).filter(|_| !replayed);
    let overhead_tokens = per_corrected(&correction_tokens);
    let all_turns: f64 = scored(cases).map(turns).sum();
    Corrections {
        mean: mean_of(scored(cases).map(|trial| f64::from(trial.corrections))),
        attempts_mean: attempts_mean.map(|found| found.value),
        attempts_mean_low: attempts_mean.and_then(|found| found.low),
        attempts_mean_high: attempts_mean.and_then(|found| found.high),
        attempts_per_turn: (all_turns > 0.0)
            .then(|| scored(cases).map(attempts).sum::<f64>() / all_turns),
        corrected_trials: corrected().count(),
        recovery: recovery(cases, u32::MAX),
        exhausted_trials: scored(cases).filter(|t| is_exhausted(t.outcome)).count(),
        exhausted: trial_rate(cases, |trial| {
            let scored = trial.outcome.is_scored();
            scored.then(|| is_exhausted(trial.outcome))
        }),
        within: (0..=most.unwrap_or(0))
            .map(|corrections| WithinCorrections {
                corrections,
                success: trial_rate(cases, |trial| {
                    let scored = trial.outcome.is_scored();
                    scored.then(|| needed(trial).is_some_and(|needed| needed <= corrections))
                }),
                recovery: recovery(cases, corrections),
            })
            .collect(),
        overhead_ms: overhead_ms.map(|found| found.value),
        overhead_low_ms: overhead_ms.and_then(|found| found.low),
        overhead_high_ms: overhead_ms.and_then(|found| found.high),
        overhead_tokens: overhead_tokens.map(|found| found.value),
        overhead_low_tokens: overhead_tokens.and_then(|found| found.low),
        overhead_high_tokens: overhead_tokens.and_then(|found| found.high),
    }
}

/// Among trials with a correction, those right after at most `most` of them.
fn recovery(cases: &Cases<'_>, most: u32) -> Rate {
    trial_rate(cases, |trial| {
        let asked = trial.outcome.is_scored() && trial.corrections > 0;
        asked.then(|| needed(trial).is_some_and(|needed| (1..=most).contains(&needed)))
    })
}

/// Corrections that a successful trial needed.
fn needed(trial: &TrialRecord) -> Option<u32> {
    match trial.outcome {
        Outcome::Passed => Some(0),
        Outcome::Recovered { corrections } => Some(corrections),
        _ => None,
    }
}

/// Attempts that no other leg of a hybrid took over.
fn standing(trial: &TrialRecord) -> impl Iterator<Item = &AttemptRecord> {
    let attempts = trial.attempts.iter();
    attempts.filter(|attempt| attempt.passed_over.is_none())
}

fn correction_tokens(trial: &TrialRecord) -> f64 {
    trial
        .attempts
        .iter()
        .filter(|attempt| attempt.attempt > 1)
        .map(|a| f64::from(a.usage.prompt_tokens) + f64::from(a.usage.output_tokens))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::testing::{Run, key};
    use crate::metrics::{SummaryOptions, summarise};
    use crate::types::Constraint;

    #[test]
    fn rates_by_the_number_of_corrections() {
        let mut run = Run::new();
        run.cell(&key("m", Constraint::Off), "PPRRMFV");
        run.trials[3].outcome = Outcome::Recovered { corrections: 2 };
        run.trials[3].corrections = 2;
        let again = run.trials[3].attempts[1].clone();
        run.trials[3].attempts.push(again);
        let summary = summarise(&run.header, &run.trials, &SummaryOptions::default());
        let found = &summary.totals[0].corrections;
        let parts = |rate: &Rate| (rate.hits, rate.of);
        let success: Vec<_> = found.within.iter().map(|w| parts(&w.success)).collect();
        assert_eq!(success, [(2, 6), (3, 6), (4, 6)]);
        let recovery: Vec<_> = found.within.iter().map(|w| parts(&w.recovery)).collect();
        assert_eq!(recovery, [(0, 3), (1, 3), (2, 3)]);
        assert_eq!(parts(&found.recovery), (2, 3));
        assert_eq!(parts(&found.exhausted), (1, 6));
        assert_eq!(found.within[0].success, summary.totals[0].first_attempt);
        assert_eq!(found.within[2].success, summary.totals[0].success);
        // Attempts: 1 + 1 + 2 + 3 + 2 + 1 in six scored trials of one turn each.
        assert_eq!(found.attempts_mean, Some(10.0 / 6.0));
        assert_eq!(found.attempts_per_turn, Some(10.0 / 6.0));
    }
}
