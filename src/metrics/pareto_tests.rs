//! Dominance by hand: what leaves a row out, and what does not.

use super::*;
use crate::metrics::testing::{Run, key};
use crate::metrics::{SummaryOptions, summarise};
use crate::types::Constraint;

fn sets(run: &Run) -> Vec<ParetoSet> {
    summarise(&run.header, &run.trials, &SummaryOptions::default()).pareto
}

/// Sets time and memory of every trial of a model: `jitter` alternates around the time.
fn measured(run: &mut Run, model: &str, task_ms: f64, memory: Option<u64>) {
    for (index, trial) in run.trials.iter_mut().enumerate() {
        if trial.cell.model == model {
            trial.time.total_ms = task_ms * (1.0 + 0.001 * (index % 7) as f64);
            for attempt in &mut trial.attempts {
                attempt.peak_memory_bytes = memory;
            }
        }
    }
}

/// 40 cases: `good` passes all, `bad` none, `half` every other one, `twin` the same as `half`.
fn field() -> Run {
    let mut run = Run::new();
    let half = "PF".repeat(20);
    run.cell(&key("good", Constraint::Off), &"P".repeat(40))
        .cell(&key("bad", Constraint::Off), &"F".repeat(40))
        .cell(&key("half", Constraint::Off), &half);
    for model in ["good", "bad", "half"] {
        measured(&mut run, model, 100.0, Some(1_000_000));
    }
    run
}

fn names(set: &ParetoSet) -> Vec<&str> {
    let members = set.rows.iter().filter(|row| row.in_set);
    members.map(|row| row.side.model.as_str()).collect()
}

#[test]
fn better_at_equal_cost_dominates_and_wins() {
    let found = sets(&field());
    let [set] = &found[..] else {
        panic!("{found:?}")
    };
    assert_eq!(names(set), ["good"]);
    assert_eq!(set.winner, Some(0));
    let bad = &set.rows[1];
    assert_eq!(bad.dominated_by.len(), 2, "by good and by half");
    let by = &bad.dominated_by[0];
    assert_eq!(by.by, 0);
    assert_eq!(by.dimensions.success, Standing::Better);
    assert_eq!(by.dimensions.time, Standing::Tied);
    assert_eq!(by.dimensions.memory, Standing::Tied);
    assert!(set.open.is_empty() && set.groups.is_empty());
}

#[test]
fn faster_or_smaller_stays_in_the_set() {
    let mut run = field();
    measured(&mut run, "bad", 50.0, Some(1_000_000));
    measured(&mut run, "half", 100.0, Some(900_000));
    let found = sets(&run);
    assert_eq!(names(&found[0]), ["good", "bad", "half"]);
    assert_eq!(found[0].winner, Some(0), "it succeeds more often than all");
    // 4 % less memory is a tie.
    measured(&mut run, "half", 100.0, Some(960_001));
    assert_eq!(names(&sets(&run)[0]), ["good", "bad"]);
}

#[test]
fn what_the_data_cannot_tell_leaves_no_row_out() {
    let mut run = Run::new();
    run.cell(&key("one", Constraint::Off), &"PPFPPFPFPF".repeat(2))
        .cell(&key("two", Constraint::Off), &"PPPPPFPFPF".repeat(2));
    measured(&mut run, "one", 100.0, Some(1_000_000));
    measured(&mut run, "two", 200.0, Some(2_000_000));
    let found = sets(&run);
    // Faster and smaller, but perhaps less often right.
    assert_eq!(names(&found[0]), ["one", "two"]);
    assert_eq!(found[0].winner, None);
    let [open] = &found[0].open[..] else {
        panic!("{:?}", found[0].open)
    };
    assert_eq!(open.dimensions.success, Standing::NotEnoughData);
    assert_eq!(open.dimensions.time, Standing::Worse);
    let ratio = open.dimensions.time_ratio.as_ref().unwrap();
    assert_eq!((ratio.cases, ratio.confidence), (20, 0.95));
    assert!(
        ratio.low.unwrap() > 1.9 && ratio.high.unwrap() < 2.1,
        "{ratio:?}"
    );
    let decide = open.decide.as_ref().unwrap();
    assert!(decide.more_cases > 0 && decide.more_minutes.unwrap() > 0.0);
}

#[test]
fn twins_of_many_cases_are_one_group() {
    let mut run = Run::new();
    let script = "PF".repeat(100);
    run.cell(&key("one", Constraint::Off), &script)
        .cell(&key("two", Constraint::Off), &script);
    measured(&mut run, "one", 100.0, Some(1_000_000));
    measured(&mut run, "two", 101.0, Some(1_010_000));
    let found = sets(&run);
    assert_eq!(
        found[0].groups,
        [ParetoGroup {
            rows: vec![0, 1],
            relation: Relation::Tied
        }]
    );
    assert!(found[0].open.is_empty());
}

/// A model that another machine serves has no memory here: it dominates no local one, and none it.
#[test]
fn memory_that_is_not_measured_is_neither_a_tie_nor_zero() {
    let mut run = Run::new();
    let mut remote = key("cloud", Constraint::Off);
    remote.tier = "remote".to_owned();
    run.cell(&remote, &"P".repeat(40))
        .cell(&key("bad", Constraint::Off), &"F".repeat(40));
    measured(&mut run, "cloud", 10.0, None);
    measured(&mut run, "bad", 100.0, Some(1_000_000));
    let found = sets(&run);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].tier, "cpu-small");
    assert_eq!(names(&found[0]), ["cloud", "bad"]);
    assert_eq!(found[0].rows[0].peak_memory_bytes, None);
    // Of two remote ones memory does not count.
    for trial in &mut run.trials {
        trial.cell.tier = "remote".to_owned();
    }
    for cell in &mut run.header.cells {
        cell.key.tier = "remote".to_owned();
    }
    let found = sets(&run);
    assert_eq!(names(&found[0]), ["cloud"]);
    let by = &found[0].rows[1].dominated_by[0].dimensions;
    assert_eq!(by.memory, Standing::NeitherMeasured);
}

#[test]
fn rows_that_differ_in_two_things_are_compared_too() {
    let mut run = Run::new();
    run.cell(&key("one", Constraint::Off), &"P".repeat(40))
        .cell(&key("one", Constraint::Grammar), &"P".repeat(40))
        .cell(&key("two", Constraint::Off), &"F".repeat(40))
        .cell(&key("two", Constraint::Grammar), &"F".repeat(40));
    for model in ["one", "two"] {
        measured(&mut run, model, 100.0, Some(1_000_000));
    }
    let found = sets(&run);
    let last = &found[0].rows[3];
    let by: Vec<usize> = last.dominated_by.iter().map(|found| found.by).collect();
    assert_eq!(by, [0, 1]);
    // Neither of the first is better than the other: no winner.
    assert_eq!(found[0].winner, None);
}

#[test]
fn undecidable_rows_are_named_and_a_single_row_has_no_set() {
    let mut run = field();
    run.cell(&key("gone", Constraint::Off), &"I".repeat(40));
    let found = sets(&run);
    assert_eq!(found[0].rows.len(), 3);
    assert_eq!(found[0].undecidable[0].side.model, "gone");
    let mut single = Run::new();
    single.cell(&key("one", Constraint::Off), "PPP");
    assert_eq!(sets(&single), []);
}

#[test]
fn limits_of_a_ratio_mirror() {
    let ratio = TimeRatio {
        cases: 10,
        median: 0.5,
        low: Some(0.4),
        high: Some(0.8),
        confidence: 0.95,
    };
    assert_eq!(ratio.standing(), Standing::Better);
    let other = ratio.mirrored();
    assert_eq!(other.standing(), Standing::Worse);
    assert_eq!((other.low, other.high), (Some(1.25), Some(2.5)));
    for (low, high, standing) in [
        (0.95, 1.05, Standing::Tied),
        (0.92, 0.99, Standing::Tied),
        (0.85, 0.99, Standing::Better),
        (0.85, 1.02, Standing::NotEnoughData),
        (1.01, 1.2, Standing::Worse),
    ] {
        assert_eq!(standing_of(low, high), standing, "{low} {high}");
    }
}
