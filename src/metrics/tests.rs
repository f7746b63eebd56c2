//! The summary as a whole.

use proptest::prelude::*;

use super::testing::{Run, key, repeated, sample};
use super::*;
use crate::types::{Constraint, Outcome};

fn summary_of(run: &Run) -> Summary {
    summarise(&run.header, &run.trials, &SummaryOptions::default())
}

#[test]
fn cells_and_totals_follow_the_plan() {
    let summary = summary_of(&sample());
    assert_eq!((summary.cells.len(), summary.totals.len()), (4, 4));
    assert_eq!(summary.cells[0].suite.as_deref(), Some("quick"));
    assert_eq!(summary.totals[0].suite, None);
    assert_eq!(summary.totals[2].model, "qwen2.5-coder:1.5b");
}

#[test]
fn the_latest_line_counts_and_the_others_are_shown() {
    let summary = summary_of(&sample());
    assert_eq!(summary.header.superseded_trials, 1);
    assert_eq!(summary.totals[0].superseded_trials, 1);
    assert_eq!(
        (summary.totals[0].trials, summary.totals[0].scored_trials),
        (24, 24)
    );
}

#[test]
fn several_suites_are_one_total_macro_over_cases() {
    let mut run = Run::new();
    let mut other = key("m", Constraint::Off);
    other.suite = "more".to_owned();
    run.cell(&key("m", Constraint::Off), "PP")
        .cell(&other, "FFFF");
    let summary = summary_of(&run);
    assert_eq!(
        summary.totals[0].cases, 6,
        "equal case names of two suites are two cases"
    );
    assert!((summary.totals[0].success.rate.unwrap() - 2.0 / 6.0).abs() < 1e-12);
    let split = summarise(
        &run.header,
        &run.trials,
        &SummaryOptions {
            by: Some(SplitBy::Suite),
            margin_points: None,
            objective_ms: None,
        },
    );
    assert_eq!(split.totals.len(), 2);
    assert_eq!(
        split.comparisons, summary.comparisons,
        "a split changes no comparison"
    );
}

#[test]
fn families_compare_one_thing_at_a_time() {
    let comparisons = summary_of(&sample()).comparisons;
    let families: Vec<Family> = comparisons.iter().map(|c| c.family).collect();
    assert_eq!(
        families,
        [
            Family::Model,
            Family::Model,
            Family::Constraint,
            Family::Constraint
        ]
    );
    assert!(comparisons.iter().all(|c| c.family_size == 1));
    let constraint = &comparisons[2];
    assert_eq!(constraint.baseline.constraint, Constraint::Off);
    assert_eq!(constraint.candidate.constraint, Constraint::Grammar);
}

#[test]
fn a_void_case_leaves_the_pair() {
    let summary = summary_of(&sample());
    let with_void = &summary.comparisons[0];
    assert_eq!(
        (
            with_void.cases,
            with_void.dropped.cases,
            with_void.dropped.by_candidate
        ),
        (23, 1, 1)
    );
    assert_eq!(with_void.verdict, Verdict::Better, "{with_void:?}");
}

#[test]
fn more_than_five_percent_dropped_is_not_enough_data() {
    let mut run = Run::new();
    run.cell(&key("a", Constraint::Off), "FFFFFFFFFFFFFFF")
        .cell(&key("b", Constraint::Off), "PPPPPPPPPPPPPPV");
    let comparison = &summary_of(&run).comparisons[0];
    assert_eq!(comparison.verdict, Verdict::NotEnoughData);
    assert!(comparison.reason.contains("5 %"), "{}", comparison.reason);
    assert_eq!(comparison.decide, None);
}

#[test]
fn refused_grammars_are_left_out_of_constraint_differences_only() {
    let mut run = Run::new();
    run.cell(&key("a", Constraint::Off), "PFPFPFPFPF")
        .cell(&key("a", Constraint::Grammar), "PPPPPPPPPP");
    for trial in &mut run.trials[10..13] {
        trial.constraint_effective = Constraint::Off;
    }
    let comparison = &summary_of(&run).comparisons[0];
    assert_eq!(
        (
            comparison.cases,
            comparison.dropped.grammar_refused,
            comparison.dropped.cases
        ),
        (7, 3, 0)
    );
}

#[test]
fn a_changed_case_is_no_pair() {
    let mut run = Run::new();
    run.cell(&key("a", Constraint::Off), "PPPP")
        .cell(&key("b", Constraint::Off), "PPPP");
    run.trials[5].case_hash = testing::hash("changed");
    let dropped = &summary_of(&run).comparisons[0].dropped;
    assert_eq!(
        (dropped.cases, dropped.by_baseline, dropped.by_candidate),
        (2, 1, 1)
    );
}

#[test]
fn repeats_are_estimated_without_bias() {
    let row = summary_of(&repeated()).totals.remove(0);
    assert_eq!((row.cases, row.trials), (12, 60));
    let repeats = row.repeats.unwrap();
    assert_eq!((repeats.k, repeats.flaky_cases), (5, 4));
    // 7 of 12 cases pass five times, 11 of 12 … by hand: cases 6, 9 and 12 never pass.
    assert!((repeats.pass_hat_k - 5.0 / 12.0).abs() < 1e-12);
    assert!((repeats.pass_at_k - 9.0 / 12.0).abs() < 1e-12);
}

#[test]
fn many_flaky_cases_are_resampled() {
    let summary = summary_of(&super::testing::repeated_pair());
    let found = &summary.comparisons[0];
    assert_eq!(found.method, verdict::DifferenceMethod::PairedBootstrap);
    assert_eq!(found.p_method, verdict::TestMethod::SignFlip);
    assert!(found.detectable.as_ref().unwrap().spread.is_some());
    let method = summary.totals[0].success.method;
    assert_eq!(method, rates::IntervalMethod::Bootstrap);
}

#[test]
fn speed_and_tokens_by_hand() {
    let mut run = Run::new();
    run.cell(&key("smollm2", Constraint::Off), "PR");
    let row = summary_of(&run).totals.remove(0);
    // Three attempts of 321 tokens for two successes.
    assert!((row.tokens.per_success_tokens.unwrap() - 963.0 / 2.0).abs() < 1e-9);
    // 20 tokens in 100 ms, then twice 20 in 106.25 ms.
    assert!((row.speed.decode_tokens_per_second.unwrap() - 60_000.0 / 312.5).abs() < 1e-9);
    assert_eq!(row.corrections.corrected_trials, 1);
    assert_eq!(row.corrections.overhead_ms, Some(212.5));
    assert_eq!(row.corrections.overhead_tokens, Some(321.0));
    assert_eq!(row.corrections.mean, Some(0.5));
    assert_eq!(row.latency.valid_call_ms.p50, Some(200.0));
    assert_eq!(
        row.latency.valid_call_ms.p95, None,
        "two values have no tail"
    );
}

#[test]
fn the_advice_follows_the_verdicts() {
    insta::assert_snapshot!(summary_of(&sample()).advice);
    let mut run = Run::new();
    run.cell(&key("phi3.5", Constraint::Off), "PPFPPPFPPP")
        .cell(&key("gemma2", Constraint::Off), "PPFPFPFPPP");
    insta::assert_snapshot!(summary_of(&run).advice);
    let mut run = Run::new();
    run.cell(&key("phi3.5", Constraint::Off), "PPF.");
    insta::assert_snapshot!(summary_of(&run).advice);
}

#[test]
fn a_resumed_run_has_the_same_canonical_summary() {
    let whole = sample();
    let mut resumed = sample();
    resumed.header.created_at = "2027-01-01T00:00:00Z".to_owned();
    resumed.trials.reverse();
    for trial in &mut resumed.trials {
        trial.started_at = "2027-01-01T00:00:01Z".to_owned();
        trial.time.total_ms *= 3.0;
        trial.noisy = true;
        trial.attempts[0].wall_ms *= 2.0;
        trial.attempts[0].usage.cached_tokens = 0;
        trial.attempts[0].peak_memory_bytes = None;
    }
    // Reversing puts the superseded line last; drop it and add a cancelled one in front instead.
    resumed
        .trials
        .retain(|trial| !matches!(trial.outcome, Outcome::Infra { .. }));
    resumed.superseded(7, Outcome::of_code(crate::types::Code::Cancelled));
    assert_eq!(
        canonical_summary(&whole.header, &whole.trials),
        canonical_summary(&resumed.header, &resumed.trials)
    );
}

#[test]
fn the_canonical_summary_holds_no_clock_reading() {
    let run = sample();
    let text = canonical_summary(&run.header, &run.trials).to_string();
    for part in ["_ms\"", "_at\"", "_bytes\"", "per_second", "2026-01"] {
        assert!(!text.contains(part), "{part}");
    }
}

proptest! {
    #[test]
    fn order_of_completion_changes_nothing(seed in any::<u64>()) {
        let run = sample();
        let mut trials = run.trials.clone();
        // The superseded line must stay before its successor, so it stays first.
        let mut state = seed;
        for index in (5..trials.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let other = 5 + (state >> 33) as usize % (index - 4);
            trials.swap(index, other);
        }
        let shuffled = summarise(&run.header, &trials, &SummaryOptions::default());
        prop_assert_eq!(shuffled, summary_of(&run));
    }

    #[test]
    fn a_model_compared_with_its_twin_shows_no_change(script in "[PFRN]{1,60}") {
        let mut run = Run::new();
        run.cell(&key("one", Constraint::Off), &script).cell(&key("two", Constraint::Off), &script);
        let comparison = summary_of(&run).comparisons.remove(0);
        prop_assert_eq!(comparison.difference, Some(0.0));
        prop_assert_eq!(comparison.p_holm, Some(1.0));
        prop_assert!(matches!(comparison.verdict, Verdict::Tied | Verdict::NotEnoughData));
    }
}
