//! Executed calls against those a case asks for: tool, arguments, the set as a whole, end state.
//!
//! Data in: the counts that the judge left on each trial. Data out: rates. Invariants: only scored
//! trials with counts are in a denominator; a trial of a record without counts is in none, so such
//! a rate is `null` and never 0.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bootstrap::Hits;
use super::rates::{Cases, Rate, pair_rate};
use crate::types::TrialRecord;
use crate::types::trial::CallCounts;

/// How the calls of judged trials stood to those expected. Calls to free tools, and calls that were
/// put right later, count only where they answer an expected one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExpectedCalls {
    /// Expected calls to which a call of the same tool was made / expected calls, in trials that
    /// made a call. (Whether to call at all is `trigger`.)
    pub tool_selection: Rate,
    /// Expected calls that a made call answers, arguments included / expected calls to which a call
    /// of the same tool was made.
    pub arguments: Rate,
    /// 2 · matched / (expected + made), matched by the largest bipartite matching; trials that
    /// expect a call.
    pub call_set_f1: Rate,
    /// Rounds whose stated end state holds / rounds that state one.
    pub end_state: Rate,
    /// Calls that no expectation asks for / calls made.
    pub extra_calls: Rate,
}

/// See [`ExpectedCalls`].
pub(super) fn expected_calls(cases: &Cases<'_>) -> ExpectedCalls {
    let rate = |pair: fn(&CallCounts) -> Hits| {
        pair_rate(cases, |trial| counts(trial).map_or((0, 0), pair))
    };
    ExpectedCalls {
        tool_selection: rate(|found| match found.made {
            0 => (0, 0),
            _ => (found.right_tool, found.expected),
        }),
        arguments: rate(|found| (found.matched, found.right_tool)),
        call_set_f1: rate(|found| match found.expected {
            0 => (0, 0),
            expected => (2 * found.matched, expected + found.made),
        }),
        end_state: rate(|found| (found.states_met, found.states)),
        extra_calls: rate(|found| (found.extra, found.made)),
    }
}

fn counts(trial: &TrialRecord) -> Option<&CallCounts> {
    trial
        .call_counts
        .as_ref()
        .filter(|_| trial.outcome.is_scored())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::testing::{Run, key};
    use crate::metrics::{Row, SummaryOptions, summarise};
    use crate::types::Constraint;

    fn row(run: &Run) -> Row {
        let mut summary = summarise(&run.header, &run.trials, &SummaryOptions::default());
        summary.totals.remove(0)
    }

    #[test]
    fn counts_by_hand() {
        let mut run = Run::new();
        run.cell(&key("m", Constraint::Off), "PFFPV");
        let counts = |expected, made, right_tool, matched, extra| CallCounts {
            expected,
            made,
            right_tool,
            matched,
            extra,
            ..CallCounts::default()
        };
        let found = [
            // All right.
            counts(2, 2, 2, 2, 0),
            // The right tools, one argument wrong, one call too many.
            counts(2, 3, 2, 1, 1),
            // No call at all.
            counts(1, 0, 0, 0, 0),
            // Nothing expected, nothing made.
            counts(0, 0, 0, 0, 0),
            // Not scored.
            counts(1, 1, 1, 1, 0),
        ];
        for (trial, counts) in run.trials.iter_mut().zip(found) {
            trial.call_counts = Some(counts);
        }
        run.trials[0].call_counts.as_mut().unwrap().states = 2;
        run.trials[0].call_counts.as_mut().unwrap().states_met = 1;
        let rates = row(&run).against_expected;
        let parts = |rate: &Rate| (rate.hits, rate.of, rate.n);
        assert_eq!(parts(&rates.tool_selection), (4, 4, 2));
        assert_eq!(parts(&rates.arguments), (3, 4, 2));
        // 4/4, 2/5, 0/1: mean 7/15.
        assert_eq!(parts(&rates.call_set_f1), (6, 10, 3));
        assert!((rates.call_set_f1.rate.unwrap() - 7.0 / 15.0).abs() < 1e-12);
        assert_eq!(parts(&rates.end_state), (1, 2, 1));
        assert_eq!(parts(&rates.extra_calls), (1, 5, 2));
    }

    #[test]
    fn a_record_without_counts_has_no_rates() {
        let mut run = Run::new();
        run.cell(&key("m", Constraint::Off), "PF");
        for trial in &mut run.trials {
            trial.call_counts = None;
        }
        let rates = row(&run).against_expected;
        assert_eq!(
            (rates.tool_selection.rate, rates.end_state.rate),
            (None, None)
        );
        assert_eq!((rates.arguments.rate, rates.call_set_f1.rate), (None, None));
        assert_eq!(rates.extra_calls.n, 0);
    }
}
