//! Rates by hand: which trial, attempt or call enters which denominator.

use super::*;
use crate::metrics::testing::{Run, hash, key};
use crate::metrics::{Row, SummaryOptions, summarise};
use crate::types::{Constraint, ToolCall, Violation};

fn row_of(script: &str) -> Row {
    let mut run = Run::new();
    run.cell(&key("m", Constraint::Off), script);
    only_row(&run)
}

fn only_row(run: &Run) -> Row {
    let summary = summarise(&run.header, &run.trials, &SummaryOptions::default());
    assert_eq!(summary.totals.len(), 1);
    summary.totals.into_iter().next().unwrap()
}

fn value(rate: &Rate) -> f64 {
    rate.rate.unwrap()
}

#[test]
fn excluded_trials_leave_the_denominator_and_only_void_is_a_deployed_miss() {
    let row = row_of("PPRFMVIT");
    assert_eq!((row.success.hits, row.success.of), (3, 5));
    assert_eq!((row.first_attempt.hits, row.recovered.hits), (2, 1));
    assert!(
        (value(&row.success) - value(&row.first_attempt) - value(&row.recovered)).abs() < 1e-12
    );
    assert_eq!((row.as_deployed.hits, row.as_deployed.of), (3, 6));
    let excluded = &row.excluded;
    assert_eq!(
        (
            excluded.infra,
            excluded.serving,
            excluded.tool,
            excluded.harness,
            excluded.trials
        ),
        (1, 1, 1, 0, 3)
    );
    assert!(!row.decidable, "3 of 8 excluded is more than 5 %");
    assert_eq!(
        row.failures[0].code, "malformed_json",
        "the underlying code, stage order on ties"
    );
}

#[test]
fn five_percent_excluded_is_the_limit() {
    assert!(row_of("PPPPPPPPPPPPPPPPPPPI").decidable, "1 of 20");
    assert!(!row_of("PPPPPPPPPPPPPPPPPPI").decidable, "1 of 19");
}

#[test]
fn cancelled_and_missing_trials_make_a_row_undecidable() {
    assert!(row_of("PPPPH").undecidable[0].contains("cancelled"));
    assert!(row_of("PPPP.").undecidable[0].contains("1 of 5 planned"));
    let nothing = row_of("IIII");
    assert_eq!(
        (nothing.success.rate, nothing.success.method),
        (None, IntervalMethod::None)
    );
}

#[test]
fn call_rates_use_first_attempts_that_attempted_a_call() {
    let row = row_of("PPRFMN");
    // First attempts with a call attempted: P P R F M; R's and M's are unreadable.
    assert_eq!((row.calls.valid_call.hits, row.calls.valid_call.of), (3, 5));
    assert_eq!((row.calls.parsed.hits, row.calls.parsed.of), (3, 5));
    assert_eq!(
        (
            row.calls.parsed_leniently.hits,
            row.calls.parsed_leniently.of
        ),
        (5, 5)
    );
    assert_eq!(
        (row.calls.schema_valid.hits, row.calls.schema_valid.of),
        (3, 3)
    );
}

#[test]
fn an_unknown_tool_is_no_schema_error_and_parallel_calls_count_as_calls() {
    let mut run = Run::new();
    run.cell(&key("m", Constraint::Off), "PF");
    let attempt = &mut run.trials[1].attempts[0];
    attempt.strict.calls = vec![ToolCall::new("a", serde_json::json!({})); 3];
    attempt.valid_calls = 1;
    let mut unknown = Violation::new(Code::UnknownTool, "no such tool");
    unknown.call = Some(2);
    attempt.violations = vec![unknown.clone(), unknown];
    let calls = only_row(&run).calls;
    assert_eq!((calls.offered_tool.hits, calls.offered_tool.of), (3, 4));
    assert_eq!((calls.schema_valid.hits, calls.schema_valid.of), (2, 3));
    assert_eq!((calls.valid_call.hits, calls.valid_call.of), (1, 2));
    // Macro over the two cases: (1/1 + 2/3) / 2, not 3/4.
    assert!((value(&calls.offered_tool) - 5.0 / 6.0).abs() < 1e-12);
}

#[test]
fn a_lenient_run_judges_the_lenient_reading() {
    let mut run = Run::new();
    let mut lenient = key("m", Constraint::Off);
    lenient
        .settings
        .insert("leniency".to_owned(), "lenient".to_owned());
    run.cell(&lenient, "RR");
    assert_eq!(only_row(&run).calls.parsed.hits, 2);
}

#[test]
fn abstention_and_trigger_stand_together() {
    let row = row_of("PPPPNNU");
    assert_eq!((row.abstention.hits, row.abstention.of), (2, 3));
    let trigger = &row.trigger;
    assert_eq!((trigger.call_cases, trigger.no_call_cases), (4, 3));
    assert!((trigger.precision.unwrap() - 0.8).abs() < 1e-12);
    assert!((trigger.recall.unwrap() - 1.0).abs() < 1e-12);
    assert!((trigger.f1.unwrap() - 8.0 / 9.0).abs() < 1e-12);
    assert_eq!(row_of("PP").abstention.rate, None);
}

#[test]
fn broken_output_is_no_abstention() {
    let mut run = Run::new();
    run.cell(&key("m", Constraint::Off), "N");
    let trial = &mut run.trials[0];
    trial.outcome = Outcome::of_code(Code::EmptyOutput);
    trial.answer = None;
    assert_eq!(only_row(&run).abstention.hits, 0);
}

#[test]
fn one_trial_a_case_is_wilson_over_cases() {
    let rate = Rate::of_cases((0..30).map(|case| vec![(u32::from(case < 25), 1)]));
    assert_eq!((rate.method, rate.n), (IntervalMethod::Wilson, 30));
    assert!((rate.low.unwrap() - 0.664_356_494_936).abs() < 1e-9);
    assert!((rate.high.unwrap() - 0.926_634_576_282).abs() < 1e-9);
}

#[test]
fn a_flaky_trial_never_narrows_the_interval_to_nothing() {
    let all_right = Rate::of_cases(vec![vec![(1, 1); 5]; 10]);
    let mut pairs = vec![vec![(1, 1); 5]; 10];
    pairs[0][0] = (0, 1);
    let one_miss = Rate::of_cases(pairs);
    for rate in [&all_right, &one_miss] {
        assert_eq!((rate.method, rate.n), (IntervalMethod::Wilson, 10));
        assert!(rate.low.unwrap() < 0.75, "{rate:?}");
    }
}

#[test]
fn enough_of_both_kinds_is_bootstrapped() {
    let rate = Rate::of_cases((0..20).map(|case| vec![(u32::from(case % 2 == 0), 1), (1, 1)]));
    assert_eq!(
        (rate.method, rate.n, rate.of),
        (IntervalMethod::Bootstrap, 20, 40)
    );
    assert!(rate.low < rate.rate && rate.rate < rate.high);
}

#[test]
fn a_single_case_speaks_of_its_trials() {
    let rate = Rate::of_cases([vec![(1, 1); 10]]);
    assert_eq!((rate.method, rate.n), (IntervalMethod::WilsonOneCase, 10));
}

#[test]
fn grammar_use_is_counted() {
    let mut run = Run::new();
    run.cell(&key("m", Constraint::Grammar), "PPM");
    run.trials[1].constraint_effective = Constraint::Off;
    let grammar = only_row(&run).grammar.unwrap();
    assert_eq!((grammar.asked_trials, grammar.effective_trials), (3, 2));
    assert_eq!((grammar.attempts, grammar.unparseable_attempts), (3, 2));
    assert_eq!(row_of("P").grammar, None);
    assert_eq!(hash("a"), hash("a"));
}
