//! Whether a stage is passed: from the summary of its run.

use serde::Serialize;

use super::file::Stage;
use crate::metrics::Summary;
use crate::metrics::floor::{FloorStatus, SAME, floor_status};
use crate::metrics::interval::wilson;
use crate::metrics::rates::Rate;
use crate::metrics::summary::Row;

/// Most cases that a stage is told to have.
const MOST_CASES: u32 = 100_000;

/// One row of a stage against its floor.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RowVerdict {
    /// Model, dialect, constraint, variant.
    pub name: String,
    /// Success of all suites of the stage together.
    pub success: Rate,
    /// Cases with a trial on record.
    pub cases: usize,
    /// Trials on record.
    pub trials: usize,
    /// Of these, not in the denominator.
    pub excluded_trials: usize,
    /// How it stands to the floor.
    pub status: FloorStatus,
    /// In one sentence.
    pub reason: String,
}

/// A stage's run against its floor.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judged {
    /// Of all rows: the worst.
    pub status: FloorStatus,
    /// Each row.
    pub rows: Vec<RowVerdict>,
    /// Why nothing may be concluded from the run, or parts of it; empty when all is well.
    pub trouble: Vec<String>,
}

/// Judges a stage. `failed` names suites and models that could not be run.
pub fn judge(stage: &Stage, summary: &Summary, failed: &[String]) -> Judged {
    let mut trouble: Vec<String> = failed.to_vec();
    trouble.extend(
        summary
            .ended_early
            .iter()
            .map(|end| format!("{} trials were not run: {}", end.trials_left, end.reason)),
    );
    let troubled = |rows: &[Row]| -> Vec<String> {
        let undecidable = rows.iter().filter(|row| !row.decidable);
        undecidable
            .map(|row| format!("{}: {}", name(row), row.undecidable.join("; ")))
            .collect()
    };
    // A suite may be in trouble where all suites together are not.
    let of_suites = troubled(&summary.cells);
    if of_suites.is_empty() {
        trouble.extend(troubled(&summary.totals));
    } else {
        trouble.extend(of_suites);
    }
    let rows: Vec<RowVerdict> = summary
        .totals
        .iter()
        .map(|row| verdict(stage, row))
        .collect();
    let any = |status| rows.iter().any(|row: &RowVerdict| row.status == status);
    let status = if rows.is_empty() || !trouble.is_empty() {
        FloorStatus::Undecided
    } else if any(FloorStatus::Missed) {
        FloorStatus::Missed
    } else if any(FloorStatus::Undecided) {
        FloorStatus::Undecided
    } else {
        FloorStatus::Met
    };
    Judged {
        status,
        rows,
        trouble,
    }
}

fn name(row: &Row) -> String {
    let variant = match row.variant.as_str() {
        "default" => String::new(),
        other => format!(", {other}"),
    };
    let suite = row
        .suite
        .as_ref()
        .map_or(String::new(), |suite| format!(", {suite}"));
    format!(
        "{} ({}, {}{variant}{suite})",
        row.model, row.dialect, row.constraint
    )
}

fn verdict(stage: &Stage, row: &Row) -> RowVerdict {
    let floor = stage.floor / 100.0;
    let status = floor_status(
        row.success.rate,
        row.success.low,
        floor,
        stage.point_estimate,
    );
    RowVerdict {
        name: name(row),
        success: row.success.clone(),
        cases: row.cases,
        trials: row.trials,
        excluded_trials: row.excluded.trials,
        status,
        reason: reason(stage, row, status),
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn reason(stage: &Stage, row: &Row, status: FloorStatus) -> String {
    let success = &row.success;
    let (Some(rate), Some(low), Some(high)) = (success.rate, success.low, success.high) else {
        return "no trial counts, so there is no rate".to_owned();
    };
    let found = format!(
        "success {} [{:.1}–{:.1}] over {} cases",
        percent(rate),
        low * 100.0,
        high * 100.0,
        row.cases
    );
    let floor = stage.floor;
    match status {
        FloorStatus::Met if stage.point_estimate => {
            format!("{found}: the rate reaches the floor of {floor} %")
        }
        FloorStatus::Met => format!("{found}: the lower limit reaches the floor of {floor} %"),
        FloorStatus::Missed => format!("{found}: the rate is under the floor of {floor} %"),
        FloorStatus::Undecided => {
            let needed = cases_needed(rate, floor / 100.0).map_or_else(String::new, |cases| {
                format!("; if the rate stays, about {cases} cases like these would decide it")
            });
            format!(
                "{found}: the rate reaches the floor of {floor} %, its lower limit does not{needed}"
            )
        }
    }
}

/// Fewest cases with one trial each at which this rate's lower limit reaches the floor (Wilson over
/// cases); `None` where no number would.
fn cases_needed(rate: f64, floor: f64) -> Option<u32> {
    let reaches = |cases: u32| {
        let n = f64::from(cases);
        wilson(rate * n, n).is_some_and(|interval| interval.low >= floor - SAME)
    };
    if rate <= floor || !reaches(MOST_CASES) {
        return None;
    }
    let (mut too_few, mut enough) = (0, MOST_CASES);
    while enough - too_few > 1 {
        let middle = too_few + (enough - too_few) / 2;
        if reaches(middle) {
            enough = middle;
        } else {
            too_few = middle;
        }
    }
    Some(enough)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 27 of 27 successes: Wilson's lower limit is 27 / (27 + 1.96²) = 0.8755; 36 of 36 give 0.9036,
    /// 35 of 35 0.9011 and 34 of 34 0.8985.
    #[test]
    fn the_cases_that_would_decide_are_the_fewest() {
        assert_eq!(cases_needed(1.0, 0.9), Some(35));
        assert_eq!(cases_needed(0.7, 0.7), None);
        assert_eq!(cases_needed(0.5, 0.7), None);
    }
}
