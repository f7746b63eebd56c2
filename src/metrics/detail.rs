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
    let standing = trial.attempts.iter().filter(|it| it.passed_over.is_none());
    standing
        .filter_map(|attempt| primary(&attempt.violations))
        .next()
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
