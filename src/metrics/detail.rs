//! What a page shows of a run beside its summary: rows by category, single times, what first went
//! wrong and what came of it, tools.
//!
//! Data in: header and trial lines as for the summary, and what the record holds of offered tools.
//! Data out: [`Detail`]. Invariants: pure; the same trials, groups and rules as the summary's, so that
//! its counts and quantiles are those of what stands here.

use std::collections::BTreeMap;

use super::rates::{Rate, success};
use super::rows::{Group, groups, latest};
use super::summary::SplitBy;
use super::tools::{OfferedTools, RowTools, ToolCounter};
use crate::record::format::Header;
use crate::types::violation::primary;
use crate::types::{CellKey, Code, TrialRecord};

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Detail {
    /// Success by category within each row without split, as `--by category` gives it.
    pub categories: Vec<CategorySuccess>,
    /// Times behind each row of the summary's `totals`, in their order.
    pub times: Vec<Times>,
    /// What first went wrong in trials, and what came of it: most frequent first.
    pub first_faults: Vec<FirstFault>,
    /// Scored trials.
    pub scored_trials: usize,
    /// Of these, right without any correction.
    pub right_at_once: usize,
    /// Tools of each row without split that has a trial.
    pub tools: Vec<(CellKey, RowTools)>,
}

/// Success in one category of one row without split.
#[derive(Clone, Debug, PartialEq)]
pub struct CategorySuccess {
    /// A cell of the row: its labels but for the suite are the row's.
    pub cell: CellKey,
    /// The category.
    pub category: String,
    /// Cases with a trial.
    pub cases: usize,
    /// As in a row of the summary.
    pub success: Rate,
}

/// Single times of scored trials that were measured, ascending.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Times {
    /// First request to the end of judging.
    pub task_ms: Vec<f64>,
    /// First request to the first valid call.
    pub valid_call_ms: Vec<f64>,
    /// First request to the first token.
    pub first_token_ms: Vec<f64>,
}

/// Scored trials that were not right at once, by what first went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstFault {
    /// Primary finding of the first reply that has one, else what a tool or the trial was given;
    /// absent where the record names none.
    pub code: Option<Code>,
    /// Trials.
    pub trials: usize,
    /// Of these, those that were sent a correction.
    pub corrected: usize,
    /// Of these, those that were right in the end.
    pub recovered: usize,
}

impl FirstFault {
    /// Trials that were wrong in the end.
    pub fn lost(&self) -> usize {
        self.trials - self.recovered
    }
}

/// See [`Detail`]. `by` splits `times` as the summary's totals are split.
pub fn detail(
    header: &Header,
    trials: &[TrialRecord],
    by: Option<SplitBy>,
    offered: &OfferedTools<'_>,
) -> Detail {
    let latest = latest(trials);
    let category = groups(header, &latest, Some(SplitBy::Category));
    let whole = groups(header, &latest, None);
    let mut counter = ToolCounter::new(header, offered);
    let scored = || latest.trials.iter().filter(|it| it.outcome.is_scored());
    Detail {
        categories: category.iter().filter_map(category_success).collect(),
        times: groups(header, &latest, by)
            .iter()
            .map(|group| times(group.cases.iter().flatten().copied()))
            .collect(),
        first_faults: first_faults(scored().copied()),
        scored_trials: scored().count(),
        right_at_once: scored().filter(|it| it.first_attempt_success).count(),
        tools: whole
            .iter()
            .filter_map(|group| {
                let tools = counter.row(group.cases.iter().flatten().copied());
                Some((first(group)?.cell.clone(), tools))
            })
            .collect(),
    }
}

fn first<'a>(group: &Group<'a>) -> Option<&'a TrialRecord> {
    group.cases.iter().flatten().copied().next()
}

fn category_success(group: &Group<'_>) -> Option<CategorySuccess> {
    let trial = first(group)?;
    Some(CategorySuccess {
        cell: trial.cell.clone(),
        category: trial.category.clone(),
        cases: group.cases.len(),
        success: success(&group.cases),
    })
}

fn times<'a>(trials: impl Iterator<Item = &'a TrialRecord>) -> Times {
    let mut times = Times::default();
    for trial in trials.filter(|trial| trial.outcome.is_scored() && !trial.replayed) {
        times.task_ms.push(trial.time.total_ms);
        times.valid_call_ms.extend(trial.time.to_valid_call_ms);
        times.first_token_ms.extend(trial.time.to_first_token_ms);
    }
    for values in [
        &mut times.task_ms,
        &mut times.valid_call_ms,
        &mut times.first_token_ms,
    ] {
        values.sort_by(f64::total_cmp);
    }
    times
}

/// What first went wrong in a trial that was not right at once.
pub fn first_fault(trial: &TrialRecord) -> Option<Code> {
    let mut standing = trial.attempts.iter().filter(|it| it.passed_over.is_none());
    standing
        .find_map(|attempt| primary(&attempt.violations))
        .map(|found| found.code)
        .or_else(|| trial.outcome.code())
        .or_else(|| trial.calls.iter().find_map(|call| call.code))
        .filter(|_| !trial.first_attempt_success)
}

fn first_faults<'a>(trials: impl Iterator<Item = &'a TrialRecord>) -> Vec<FirstFault> {
    let mut found: BTreeMap<Option<Code>, FirstFault> = BTreeMap::new();
    for trial in trials.filter(|trial| !trial.first_attempt_success) {
        let code = first_fault(trial);
        let fault = found.entry(code).or_insert(FirstFault {
            code,
            trials: 0,
            corrected: 0,
            recovered: 0,
        });
        fault.trials += 1;
        fault.corrected += usize::from(trial.corrections > 0);
        fault.recovered += usize::from(trial.outcome.is_success());
    }
    let mut faults: Vec<FirstFault> = found.into_values().collect();
    faults.sort_by_key(|fault| std::cmp::Reverse(fault.trials));
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::testing::{Run, key, repeated, sample};
    use crate::metrics::{SummaryOptions, summarise};
    use crate::types::Constraint;

    fn of(run: &Run, by: Option<SplitBy>) -> Detail {
        detail(&run.header, &run.trials, by, &|_| None)
    }

    #[test]
    fn details_add_up_to_the_summary() {
        for run in [sample(), repeated()] {
            for by in [None, Some(SplitBy::Category)] {
                let options = SummaryOptions {
                    by,
                    ..SummaryOptions::default()
                };
                let summary = summarise(&run.header, &run.trials, &options);
                let detail = of(&run, by);
                assert_eq!(detail.times.len(), summary.totals.len());
                for (times, row) in detail.times.iter().zip(&summary.totals) {
                    let found = &row.latency;
                    assert_eq!(times.task_ms.len(), found.task_ms.n);
                    assert_eq!(times.task_ms.last().copied(), found.task_ms.max);
                    assert_eq!(times.valid_call_ms.len(), found.valid_call_ms.n);
                    assert_eq!(times.first_token_ms.len(), found.first_token_ms.n);
                }
            }
            let summary = summarise(&run.header, &run.trials, &SummaryOptions::default());
            let detail = of(&run, None);
            let scored: usize = summary.totals.iter().map(|row| row.scored_trials).sum();
            let failed: usize = summary.failures.iter().map(|it| it.trials).sum();
            let faults = &detail.first_faults;
            let sum = |part: fn(&FirstFault) -> usize| faults.iter().map(part).sum::<usize>();
            assert_eq!(detail.scored_trials, scored);
            assert_eq!(detail.right_at_once + sum(|it| it.trials), scored);
            assert_eq!(sum(FirstFault::lost), failed);
        }
    }

    #[test]
    fn categories_are_those_of_the_split_summary() {
        let run = sample();
        let options = SummaryOptions {
            by: Some(SplitBy::Category),
            ..SummaryOptions::default()
        };
        let summary = summarise(&run.header, &run.trials, &options);
        let found = of(&run, None).categories;
        assert_eq!(found.len(), summary.totals.len());
        for (one, row) in found.iter().zip(&summary.totals) {
            assert_eq!(Some(&one.category), row.category.as_ref());
            assert_eq!((&one.success, one.cases), (&row.success, row.cases));
        }
    }

    #[test]
    fn what_first_went_wrong_by_hand() {
        let mut run = Run::new();
        run.cell(&key("one", Constraint::Off), "PRRFMVN");
        let faults = of(&run, None).first_faults;
        let shown: Vec<_> = faults
            .iter()
            .map(|it| {
                (
                    it.code.unwrap(),
                    it.trials,
                    it.corrected,
                    it.recovered,
                    it.lost(),
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                (Code::MalformedJson, 3, 3, 2, 1),
                (Code::WrongValue, 1, 0, 0, 1)
            ]
        );
    }
}
