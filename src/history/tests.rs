//! Against what reports say of the same lines, and in whatever order runs are read.

use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::json;

use super::points::in_words;
use super::*;
use crate::metrics::testing::{Run as Sample, key};
use crate::metrics::{SummaryOptions, summarise};
use crate::record::outline::{OutlineHeader, OutlineTrial};
use crate::types::Constraint;

/// As it is read from a directory.
fn outline(sample: &Sample, name: &str, hour: usize) -> Outline {
    let header = serde_json::to_string(&sample.header).unwrap();
    let mut header: OutlineHeader = serde_json::from_str(&header).unwrap();
    name.clone_into(&mut header.run);
    let trials = sample.trials.iter().map(|trial| {
        let line = serde_json::to_string(trial).unwrap();
        let mut trial: OutlineTrial = serde_json::from_str(&line).unwrap();
        trial.started_at = format!("2026-01-02T{hour:02}:00:00Z");
        trial
    });
    Outline {
        directory: PathBuf::from(name),
        trials: trials.collect(),
        header,
    }
}

fn sample(script: &str) -> Sample {
    let mut sample = Sample::new();
    sample.cell(&key("alpha", Constraint::Off), script);
    sample
}

proptest! {
    #[test]
    fn a_point_says_what_the_report_says(letters in "[PRFMVITNUH]{1,40}", second in "[PRFMVITNU]{1,40}") {
        let mut run = sample(&letters);
        let shared: String = second.chars().take(letters.len()).collect();
        run.trial_of_cell(&key("alpha", Constraint::Off), 1, &shared);
        let history = history(vec![outline(&run, "one", 1)], &Filter::default());
        let point = &history.cells[0].points[0];
        let summary = summarise(&run.header, &run.trials, &SummaryOptions::default());
        let row = &summary.cells[0];
        prop_assert_eq!(&point.success, &row.success);
        prop_assert_eq!(&point.task_ms, &row.latency.task_ms);
        prop_assert_eq!(&point.valid_call_ms, &row.latency.valid_call_ms);
        prop_assert_eq!((point.cases, point.trials, point.scored_trials), (row.cases, row.trials, row.scored_trials));
        prop_assert_eq!(point.excluded_trials, row.excluded.trials);
        prop_assert_eq!(point.missing_trials, Some(0));
    }

    #[test]
    fn the_order_of_reading_does_not_matter(
        scripts in proptest::collection::vec("[PF]{6}", 1..8),
        turn in any::<usize>(),
    ) {
        let outlines = || -> Vec<Outline> {
            let all = scripts.iter().enumerate();
            all.map(|(at, script)| outline(&sample(script), &format!("run-{at}"), at)).collect()
        };
        let forward = history(outlines(), &Filter::default());
        let mut turned = outlines();
        turned.reverse();
        turned.rotate_left(turn % scripts.len());
        prop_assert_eq!(history(turned, &Filter::default()), forward);
    }

    /// Written without the code: a case is flaky where its letters differ, newly failing where it is a
    /// step from P to F.
    #[test]
    fn steps_and_wobbles_under_one_plan(scripts in proptest::collection::vec("[PF]{5}", 1..9)) {
        let all = scripts.iter().enumerate();
        let outlines = all.map(|(at, script)| outline(&sample(script), &format!("run-{at}"), at));
        let found = history(outlines.collect(), &Filter::default());
        let cell = &found.cells[0];
        for case in 0..5 {
            let name = format!("case-{:02}", case + 1);
            let letters: String = scripts.iter().map(|it| it.chars().nth(case).unwrap()).collect();
            let is_flaky = letters.contains('P') && letters.contains('F');
            let is_step = |from: char, to: char| {
                is_flaky && letters.trim_start_matches(from).trim_start_matches(to).is_empty()
                    && letters.starts_with(from)
            };
            prop_assert_eq!(cell.flaky.iter().any(|it| it.case == name), is_flaky, "{}", letters);
            prop_assert_eq!(cell.newly_failing.iter().any(|it| it.case == name), is_step('P', 'F'), "{}", letters);
            prop_assert_eq!(cell.newly_passing.iter().any(|it| it.case == name), is_step('F', 'P'), "{}", letters);
        }
    }
}

#[test]
fn another_engine_is_a_change_and_no_wobble() {
    let run = |engine: &str, script: &str, at: usize| {
        let mut run = sample(script);
        run.header.models[0].facts.engine_build = engine.to_owned();
        outline(&run, &format!("run-{at}"), at)
    };
    let found = |engines: [&str; 4]| {
        let scripts = ["PP", "PP", "PF", "PF"].iter().enumerate();
        let runs = scripts.map(|(at, script)| run(engines[at], script, at));
        history(runs.collect(), &Filter::default()).cells.remove(0)
    };
    let changed = found(["1", "1", "2", "2"]);
    assert_eq!(changed.flaky, []);
    assert_eq!(changed.newly_failing[0].case, "case-02");
    assert_eq!(in_words(&changed.newly_failing[0].changed), "engine 1 → 2");
    let same = found(["1"; 4]);
    assert_eq!(same.flaky[0].case, "case-02");
}

#[test]
fn cells_of_one_name_are_told_apart_by_what_differs() {
    let mut run = Sample::new();
    for tokens in ["96", "192"] {
        let mut key = key("alpha", Constraint::Off);
        key.settings
            .insert("max_tokens".to_owned(), tokens.to_owned());
        key.settings.insert("max_turns".to_owned(), "8".to_owned());
        run.cell(&key, "PF");
    }
    let found = history(vec![outline(&run, "one", 1)], &Filter::default());
    let settings: Vec<_> = found
        .cells
        .iter()
        .map(|cell| json!(cell.settings))
        .collect();
    assert_eq!(
        settings,
        [json!({"max_tokens": "96"}), json!({"max_tokens": "192"})]
    );
    let text = terminal(
        &found,
        Look {
            unicode: true,
            points: 3,
        },
    );
    assert!(text.contains("max_tokens 96"), "{text}");
}

#[test]
fn a_run_that_stops_once_decided_lacks_nothing() {
    let mut outline = outline(&sample("PF.."), "one", 1);
    let missing = |outline: &Outline| {
        let found = history(vec![outline.clone()], &Filter::default());
        found.cells[0].points[0].missing_trials
    };
    assert_eq!(missing(&outline), Some(2));
    outline.header.looks = Some(serde::de::IgnoredAny);
    assert_eq!(missing(&outline), None);
}
