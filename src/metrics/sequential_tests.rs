//! Looks by hand: what has been reached, at which level, and what comes next.

use super::*;
use crate::metrics::testing::{Run, key};
use crate::types::Constraint;
use crate::types::looks::{CaseName, Look};

/// Two models, 30 cases, looks after 10, 20 and 30 of them; letters as in `testing`.
fn run(baseline: &str, candidate: &str) -> Run {
    let mut run = Run::new();
    run.cell(&key("one", Constraint::Off), &format!("{baseline:.<30}"))
        .cell(&key("two", Constraint::Off), &format!("{candidate:.<30}"));
    let looks = [10, 20, 30].map(|cases| Look {
        cases,
        trials: 1,
        information: cases as f64 / 30.0,
    });
    run.header.looks = Some(LookPlan {
        order: (1..=30)
            .map(|case| CaseName {
                suite: "quick".to_owned(),
                case: format!("case-{case:02}"),
            })
            .collect(),
        looks: looks.to_vec(),
        alpha: 0.05,
    });
    run
}

fn summary(run: &Run) -> crate::metrics::Summary {
    summarise(&run.header, &run.trials, &SummaryOptions::default())
}

fn after(run: &Run) -> Next {
    next(&run.header, &run.trials)
}

#[test]
fn a_clear_difference_stops_at_the_second_look() {
    let first = run(&"F".repeat(10), &"P".repeat(10));
    let found = summary(&first).header.sequential.unwrap();
    assert_eq!((found.look, found.looks, found.complete), (1, 3, true));
    assert_eq!((found.planned_trials, found.available_trials), (20, 60));
    // p = 2 · 2^-10 = 0.00195, the limit of the first look 0.00021.
    assert!(found.limit < 0.0003, "{found:?}");
    assert_eq!(
        after(&first),
        Next::Look {
            look: 1,
            open: (1, 1)
        }
    );
    let second = run(&"F".repeat(20), &"P".repeat(20));
    assert_eq!(after(&second), Next::Decided);
    let summary = summary(&second);
    assert_eq!(summary.comparisons[0].verdict, Verdict::Better);
    assert!(summary.totals.iter().all(|row| row.decidable), "40 of 40");
    let confidence = summary.comparisons[0].confidence;
    assert!((0.98..0.99).contains(&confidence), "{confidence}");
}

#[test]
fn an_unfinished_look_decides_nothing_and_is_gone_on_with() {
    let broken = run(&"F".repeat(20), &"P".repeat(17));
    assert_eq!(
        after(&broken),
        Next::Look {
            look: 1,
            open: (1, 1)
        }
    );
    let summary = summary(&broken);
    assert!(!summary.header.sequential.as_ref().unwrap().complete);
    assert!(!summary.totals[1].decidable);
    assert_eq!(summary.comparisons[0].verdict, Verdict::NotEnoughData);
}

#[test]
fn no_difference_goes_to_the_end() {
    let second = run(&"PF".repeat(10), &"PF".repeat(10));
    assert!(matches!(after(&second), Next::Look { look: 2, .. }));
    let all = run(&"PF".repeat(15), &"PF".repeat(15));
    assert_eq!(after(&all), Next::AllRun);
}

#[test]
fn a_run_without_trials_starts_at_the_first_look() {
    let mut empty = run("", "");
    empty.trials.clear();
    assert!(matches!(after(&empty), Next::Look { look: 0, .. }));
    let mut alone = run(&"P".repeat(10), "");
    alone.header.cells.truncate(1);
    assert_eq!(after(&alone), Next::NothingToCompare);
}

#[test]
fn a_family_is_tested_at_the_level_left_for_it() {
    let found = run(&"F".repeat(20), &"P".repeat(20));
    let latest = crate::metrics::rows::latest(&found.trials);
    let levels = Levels::at(Reached::of(&found.header, &latest));
    let plan = [1.0 / 3.0, 2.0 / 3.0, 1.0];
    assert!((levels.limit(1) - limits(0.05, &plan)[1]).abs() < 1e-15);
    assert!((levels.limit(3) - limits(0.05 / 3.0, &plan)[1]).abs() < 1e-15);
    assert!((Levels::at(None).limit(2) - 0.025).abs() < 1e-15);
}
