//! Rows of several machines, incomplete records, texts of others: names and words of reports.

use super::tests::{export_of, written_as};
use super::*;
use crate::metrics::testing::{Run, key};
use crate::metrics::{SummaryOptions, summarise};
use crate::types::{CellKey, Code, Constraint, Violation};

fn summary_of(run: &Run) -> Summary {
    summarise(&run.header, &run.trials, &SummaryOptions::default())
}

fn on(model: &str, tier: &str) -> CellKey {
    CellKey {
        tier: tier.to_owned(),
        ..key(model, Constraint::Off)
    }
}

/// Two models on two machines; the larger one needs more memory.
fn two_tiers() -> Run {
    let mut run = Run::new();
    for (tier, memory) in [("small", 300 << 20), ("large", 900 << 20)] {
        let from = run.trials.len();
        run.cell(&on("good", tier), &"P".repeat(20))
            .cell(&on("bad", tier), &"F".repeat(20));
        for trial in &mut run.trials[from..] {
            for attempt in &mut trial.attempts {
                attempt.peak_memory_bytes = Some(memory);
            }
        }
    }
    run
}

#[test]
fn rows_of_two_machines_have_two_names() {
    let run = two_tiers();
    let names = names::Names::of(&summary_of(&run));
    let summary = summary_of(&run);
    let of = |name: &dyn Fn(&crate::metrics::Row) -> String| {
        let mut found: Vec<String> = summary.totals.iter().map(name).collect();
        found.sort();
        found.dedup();
        found
    };
    assert_eq!(of(&|row| names.row(row)).len(), 4);
    assert!(of(&|row| names.dotted(row)).contains(&"good · json · off · large".to_owned()));
    let junit = written_as("junit", &run);
    for tier in ["small", "large"] {
        let suite = format!("<testsuite name=\"good · json · off · {tier} · quick\"");
        assert_eq!(junit.matches(&suite).count(), 1, "{junit}");
    }
    let text = written_as("markdown", &run);
    for line in [
        "- order with json, off on small: 1. good, 2. bad",
        "- order with json, off on large: 1. good, 2. bad",
        "- small: recommended: good (json, off, small)",
        "- in the set: good (json, off, large): 100 [83.9–100] %",
        "| good | json | off | large |",
        "| json, off, small |",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    // One machine alone is named nowhere.
    let mut single = Run::new();
    single
        .cell(&key("good", Constraint::Off), "PPPP")
        .cell(&key("bad", Constraint::Off), "FFFF");
    assert!(!written_as("junit", &single).contains("· cpu-small"));
}

#[test]
fn memory_is_that_of_the_machine_of_the_row() {
    let summary = summary_of(&two_tiers());
    for row in &summary.totals {
        let expected = if row.tier == "small" { 300 } else { 900 };
        let found = tables::peak_memory_bytes(&summary, row);
        assert_eq!(found, Some(expected << 20), "{} {}", row.model, row.tier);
    }
    // Without a Pareto set too.
    let mut summary = summary;
    summary.pareto.clear();
    let small = summary.totals.iter().find(|row| row.tier == "small");
    let found = tables::peak_memory_bytes(&summary, small.unwrap());
    assert_eq!(found, Some(300 << 20));
}

/// Of more rows than are shown the best ones are shown, and times are as everywhere.
#[test]
fn the_set_begins_with_its_best_row() {
    let mut run = Run::new();
    for (number, letter) in "abcdefgh".chars().enumerate() {
        let successes = 4 + number;
        let script = "P".repeat(successes) + &"F".repeat(14 - successes);
        run.cell(&key(&letter.to_string(), Constraint::Off), &script);
    }
    for trial in &mut run.trials {
        trial.time.total_ms = 10_979.0;
    }
    let lines = pareto::lines(&summary_of(&run));
    let members: Vec<&String> = lines
        .iter()
        .filter(|it| it.starts_with("in the set"))
        .collect();
    assert!(
        members[0].starts_with("in the set: h (json, off)"),
        "{lines:?}"
    );
    assert!(members[0].contains("median task 11 s,"), "{lines:?}");
    let mut sorted = members.clone();
    sorted.sort_by_key(|line| std::cmp::Reverse(line.chars().nth(12)));
    assert_eq!(members, sorted);
}

/// What is missing is to be run; more cases of the same kind are not what is lacking.
#[test]
fn missing_cases_are_said_to_be_missing() {
    let mut run = Run::new();
    run.cell(
        &key("one", Constraint::Off),
        &("I".to_owned() + &"PF".repeat(12)),
    )
    .cell(&key("two", Constraint::Off), &("PF".repeat(12) + "I"));
    let summary = summary_of(&run);
    assert!(summary.totals.iter().all(|row| row.decidable));
    let [pair] = &summary.pareto[0].open[..] else {
        panic!("{:?}", summary.pareto);
    };
    assert_eq!((pair.dropped_cases, &pair.decide), (2, &None));
    let lines = pareto::lines(&summary).join("\n");
    assert!(
        lines.contains("2 cases have no scored trial on one side: `--resume` runs what is missing"),
        "{lines}"
    );
}

/// The exit status looks at cells too, so the report has to say which.
#[test]
fn undecidable_cells_of_decidable_rows_are_named() {
    let mut run = Run::new();
    for model in ["one", "two"] {
        run.cell(&key(model, Constraint::Off), &"P".repeat(60));
        let other = CellKey {
            suite: "many-tools".to_owned(),
            ..key(model, Constraint::Off)
        };
        run.cell(&other, "VV");
    }
    let summary = summary_of(&run);
    assert!(summary.totals.iter().all(|row| row.decidable));
    let note = "undecidable: many-tools of 2 rows: 2 of 2 trials are excluded, more than 5 %; no trial \
                could be scored";
    assert!(notes::undecidable_cells(&summary).contains(&note.to_owned()));
    run.trials.retain(|trial| trial.cell.model == "one");
    run.header.cells.retain(|cell| cell.key.model == "one");
    let found = notes::undecidable_cells(&summary_of(&run));
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("undecidable: one (json, off, many-tools): 2 of 2"));
    // What a whole row lacks is said of the row alone.
    let mut gone = Run::new();
    gone.cell(&key("gone", Constraint::Off), "II");
    assert_eq!(
        notes::undecidable_cells(&summary_of(&gone)),
        Vec::<String>::new()
    );
}

#[test]
fn a_text_of_others_is_no_formula() {
    let mut run = Run::new();
    run.cell(&key("=model", Constraint::Off), "FFFFF");
    let texts = ["=1+1", "+1", "-1", "@sum", "\tx"];
    for (trial, text) in run.trials.iter_mut().zip(texts) {
        let mut found = Violation::new(Code::WrongValue, text);
        found.tool = Some(text.to_owned());
        found.keyword = Some(text.to_owned());
        trial.violations = vec![found];
        trial.category = text.to_owned();
        trial.calls[0].call.name = text.to_owned();
    }
    for format in ["csv", "csv:trials", "csv:tools"] {
        let text = written_as(format, &run);
        let mut guarded = 0;
        let mut reader = ::csv::Reader::from_reader(text.as_bytes());
        for record in reader.records() {
            for field in &record.unwrap() {
                let is_number = field.parse::<f64>().is_ok();
                let risky = field.starts_with(['=', '+', '-', '@', '\t', '\r']);
                assert!(
                    is_number && !field.starts_with('+') || !risky,
                    "{format}: {field}"
                );
                guarded += usize::from(field.starts_with('\''));
            }
        }
        assert!(guarded > 0, "{format}");
    }
    assert!(export_of(&run).summary().totals[0].model.starts_with('='));
}
