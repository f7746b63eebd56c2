//! To call or not to call: precision, recall, F1, and abstention, which is read with them.
//!
//! Data in: trials by case. Data out: shares with 95 % intervals. Invariants: every case weighs 1,
//! shared among its scored trials; intervals are Wilson's on the weight that each share rests on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::interval::{Interval, wilson};
use super::rates::{Cases, Rate, trial_rate};
use crate::types::TrialRecord;

/// To call or not to call, over scored trials; every case weighs 1, shared among its trials. A call
/// counts as made when any attempt of the trial that stands attempted one, however broken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Trigger {
    /// Called rightly / called.
    pub precision: Option<f64>,
    /// Lower 95 % limit: Wilson, n = cases' worth of calling.
    pub precision_low: Option<f64>,
    /// Upper 95 % limit.
    pub precision_high: Option<f64>,
    /// Called rightly / cases that need a call.
    pub recall: Option<f64>,
    /// Lower 95 % limit: Wilson, n = cases that need a call.
    pub recall_low: Option<f64>,
    /// Upper 95 % limit.
    pub recall_high: Option<f64>,
    /// Harmonic mean of the two.
    pub f1: Option<f64>,
    /// Lower 95 % limit: Wilson on called rightly / cases that need a call or were called in, J,
    /// carried over by F1 = 2 J / (1 + J).
    pub f1_low: Option<f64>,
    /// Upper 95 % limit.
    pub f1_high: Option<f64>,
    /// Cases that need a call.
    pub call_cases: usize,
    /// Cases that need none. Without any, precision is 1 by construction and says nothing.
    pub no_call_cases: usize,
}

/// See [`Trigger`].
pub(super) fn trigger(cases: &Cases<'_>) -> Trigger {
    let (mut right, mut wrong) = (0.0, 0.0);
    let (mut call_cases, mut no_call_cases) = (0_usize, 0_usize);
    for trials in cases {
        let scored: Vec<_> = trials
            .iter()
            .filter(|trial| trial.outcome.is_scored())
            .collect();
        let Some(first) = scored.first() else {
            continue;
        };
        let called = scored.iter().filter(|t| attempted_any_call(t)).count();
        let part = called as f64 / scored.len() as f64;
        if first.abstention {
            no_call_cases += 1;
            wrong += part;
        } else {
            call_cases += 1;
            right += part;
        }
    }
    scores(right, wrong, call_cases, no_call_cases)
}

/// The scores of a table: weight of cases called in rightly and wrongly, cases of both kinds.
pub fn scores(right: f64, wrong: f64, call_cases: usize, no_call_cases: usize) -> Trigger {
    let needed = call_cases as f64;
    let precision = (right + wrong > 0.0).then(|| right / (right + wrong));
    let recall = (call_cases > 0).then(|| right / needed);
    let f1 = precision.zip(recall).map(|(precision, recall)| {
        if precision + recall > 0.0 {
            2.0 * precision * recall / (precision + recall)
        } else {
            0.0
        }
    });
    let of_precision = wilson(right, right + wrong);
    let of_recall = wilson(right, needed);
    let of_f1 = f1.and_then(|_| wilson(right, needed + wrong));
    let low = |interval: Option<Interval>| interval.map(|found| found.low);
    let high = |interval: Option<Interval>| interval.map(|found| found.high);
    let as_f1 = |joint: f64| 2.0 * joint / (1.0 + joint);
    Trigger {
        precision,
        precision_low: low(of_precision),
        precision_high: high(of_precision),
        recall,
        recall_low: low(of_recall),
        recall_high: high(of_recall),
        f1,
        f1_low: low(of_f1).map(as_f1),
        f1_high: high(of_f1).map(as_f1),
        call_cases,
        no_call_cases,
    }
}

/// No-call cases: successful, or ended in an answer without any call attempted. A reply that is
/// merely broken is no abstention.
pub(super) fn abstention(cases: &Cases<'_>) -> Rate {
    trial_rate(cases, |trial| {
        let asked = trial.outcome.is_scored() && trial.abstention;
        asked.then(|| {
            trial.outcome.is_success() || (!attempted_any_call(trial) && trial.answer.is_some())
        })
    })
}

fn attempted_any_call(trial: &TrialRecord) -> bool {
    let mut attempts = trial.attempts.iter();
    !trial.calls.is_empty() || attempts.any(|it| it.attempted_call && it.passed_over.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: 8 of 10 called rightly, 2 of 5 wrongly. J = 8/12; Wilson's limits from
    /// `statsmodels.stats.proportion.proportion_confint(8, 12, method="wilson")`.
    #[test]
    fn intervals_by_hand() {
        let found = scores(8.0, 2.0, 10, 5);
        let near = |found: Option<f64>, wanted: f64| {
            assert!((found.unwrap() - wanted).abs() < 1e-9, "{found:?} {wanted}");
        };
        near(found.f1, 0.8);
        near(found.precision_low, PRECISION.0);
        near(found.precision_high, PRECISION.1);
        near(found.recall_low, PRECISION.0);
        let carried = |joint: f64| 2.0 * joint / (1.0 + joint);
        near(found.f1_low, carried(JOINT.0));
        near(found.f1_high, carried(JOINT.1));
    }
    const PRECISION: (f64, f64) = (0.490_162_471_537, 0.943_317_848_546);
    const JOINT: (f64, f64) = (0.390_622_088_873, 0.861_879_909_909);

    #[test]
    fn nothing_called_and_nothing_needed() {
        let silent = scores(0.0, 0.0, 4, 2);
        assert_eq!(
            (silent.precision, silent.precision_low, silent.f1),
            (None, None, None)
        );
        assert_eq!((silent.recall, silent.f1_low), (Some(0.0), None));
        let idle = scores(0.0, 1.0, 0, 2);
        assert_eq!(
            (idle.precision, idle.recall, idle.f1),
            (Some(0.0), None, None)
        );
    }
}
