//! Every format on fixture runs, and the files that are made from code.

use std::path::{Path, PathBuf};

use std::collections::HashMap;

use super::*;
use crate::metrics::testing::{Run, hybrid, key, repeated, repeated_pair, sample};
use crate::metrics::{SplitBy, SummaryOptions, summarise, summary_schema};
use crate::record::Private;
use crate::record::format::Header;
use crate::types::{Code, Constraint, Outcome, TrialRecord};

fn summary_of(run: &Run) -> Summary {
    summarise(&run.header, &run.trials, &SummaryOptions::default())
}

fn written(reporter: &dyn Reporter, summary: &Summary) -> String {
    let mut out = Vec::new();
    reporter.write(summary, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// A run as reports see it, without content.
pub(super) fn export_of(run: &Run) -> Export {
    let stored = crate::record::Run {
        directory: PathBuf::from("sample"),
        header: run.header.clone(),
        trials: run.trials.clone(),
        executions: Vec::new(),
        endings: Vec::new(),
        truncated: false,
    };
    let options = SummaryOptions::default();
    Export::of(&stored, HashMap::new(), &options, &Private::default())
}

pub(super) fn written_as(format: &str, run: &Run) -> String {
    let format: Format = format.parse().unwrap();
    let mut out = Vec::new();
    format
        .write(&export_of(run), Terminal::default(), &mut out)
        .unwrap();
    String::from_utf8(out).unwrap()
}

/// A run with all that can be odd: refused grammar, no success, too few values, cancelled trials.
pub(super) fn awkward() -> Run {
    let mut run = Run::new();
    run.cell(&key("tiny", Constraint::Off), "MMMM")
        .cell(&key("tiny", Constraint::Grammar), "PPFM")
        .cell(&key("phi|3*5", Constraint::Off), "PPHI")
        .cell(&key("gone", Constraint::Off), "IIII");
    run.trials[4].constraint_effective = Constraint::Off;
    run.trials[5].noisy = true;
    run.superseded(0, Outcome::of_code(Code::Network));
    run
}

#[test]
fn terminal() {
    insta::assert_snapshot!(
        "terminal",
        written(&Terminal::default(), &summary_of(&sample()))
    );
    let detailed = Terminal {
        detailed: true,
        ..Terminal::default()
    };
    insta::assert_snapshot!(
        "terminal_repeated",
        written(&detailed, &summary_of(&repeated()))
    );
    insta::assert_snapshot!(
        "terminal_awkward",
        written(&Terminal::default(), &summary_of(&awkward()))
    );
}

#[test]
fn terminal_split() {
    let run = sample();
    let options = SummaryOptions {
        by: Some(SplitBy::Difficulty),
        objective_ms: None,
        margin_points: Some(10.0),
    };
    let summary = summarise(&run.header, &run.trials, &options);
    insta::assert_snapshot!(written(&Terminal::default(), &summary));
}

#[test]
fn markdown() {
    insta::assert_snapshot!("markdown", written(&Markdown, &summary_of(&sample())));
    insta::assert_snapshot!(
        "markdown_awkward",
        written(&Markdown, &summary_of(&awkward()))
    );
}

#[test]
fn csv() {
    insta::assert_snapshot!("csv", written_as("csv", &sample()));
    insta::assert_snapshot!("csv_trials", written_as("csv:trials", &awkward()));
    insta::assert_snapshot!("csv_tools", written_as("csv:tools", &sample()));
}

#[test]
fn json() {
    insta::assert_snapshot!(written(&Json, &summary_of(&sample())));
}

#[test]
fn canonical_and_lines() {
    let canonical = written_as("canonical", &sample());
    assert!(!canonical.contains("_ms") && !canonical.contains("_at\""));
    let lines = written_as("jsonl", &sample());
    assert_eq!(lines.lines().count(), sample().trials.len());
}

#[test]
fn tables_fit_in_a_hundred_columns() {
    for run in [sample(), repeated(), awkward()] {
        let detailed = Terminal {
            detailed: true,
            ..Terminal::default()
        };
        for line in written(&detailed, &summary_of(&run)).lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }
}

#[test]
fn colour_changes_no_word() {
    let summary = summary_of(&sample());
    let coloured = written(
        &Terminal {
            color: true,
            ..Terminal::default()
        },
        &summary,
    );
    assert!(coloured.contains("\u{1b}[1m"));
    let plain = coloured.replace("\u{1b}[1m", "").replace("\u{1b}[0m", "");
    assert_eq!(plain, written(&Terminal::default(), &summary));
}

#[test]
fn every_heading_is_explained() {
    let summary = summary_of(&repeated());
    let rows = &summary.totals;
    let shown = [
        tables::quality(rows),
        tables::calls(rows),
        tables::repeats(rows).unwrap(),
        tables::speed(rows, &summary),
        tables::differences(&summary_of(&sample())).unwrap(),
        tables::against_expected(rows).unwrap(),
        tables::corrections(&summary_of(&sample()).totals).unwrap(),
        legs::legs(&summary_of(&hybrid()).totals).unwrap(),
    ];
    for column in shown.iter().flat_map(|table| &table.columns) {
        let heading = column.heading.replace("-\n", "").replace('\n', " ");
        let heading = heading
            .split(" [")
            .next()
            .unwrap()
            .trim_end_matches(" %")
            .replace(" p50/p95 ms", "");
        for part in heading.split("./ ") {
            assert!(
                explain_column(part).is_some()
                    || matches!(part, "compared" | "within" | "verdict on the first"),
                "{part}"
            );
        }
    }
}

#[test]
fn json_satisfies_its_schema() {
    let validator = jsonschema::validator_for(&summary_schema()).unwrap();
    for run in [sample(), repeated(), awkward(), hybrid(), Run::new()] {
        let value: serde_json::Value =
            serde_json::from_str(&written(&Json, &summary_of(&run))).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&value)
            .map(|e| e.to_string())
            .collect();
        assert!(errors.is_empty(), "{errors:?}");
        let back: Summary = serde_json::from_value(value).unwrap();
        assert_eq!(back, summary_of(&run));
    }
    assert!(!validator.is_valid(&serde_json::json!({"schema": "toolbench.summary/1"})));
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// A file that is made from code. When it is not current, the right content is put beside it.
fn assert_current(path: &Path, content: &str) {
    if std::fs::read_to_string(path).unwrap_or_default() != content {
        let beside = path.with_added_extension("new");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&beside, content).unwrap();
        panic!(
            "{} is not current: look at {} and move it over",
            path.display(),
            beside.display()
        );
    }
}

#[test]
fn the_published_schema_is_current() {
    let schema = serde_json::to_string_pretty(&summary_schema()).unwrap() + "\n";
    assert_current(&root().join("schemas/summary.schema.json"), &schema);
}

#[test]
fn the_fixture_run_is_current_and_reads_back() {
    let run = sample();
    let directory = root().join("fixtures/records/sample");
    let header = serde_json::to_string_pretty(&run.header).unwrap() + "\n";
    let lines: String = run
        .trials
        .iter()
        .map(|trial| serde_json::to_string(trial).unwrap() + "\n")
        .collect();
    assert_current(&directory.join("header.json"), &header);
    assert_current(&directory.join("trials.jsonl"), &lines);
    let read: Header = serde_json::from_str(&header).unwrap();
    let trials: Vec<TrialRecord> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        summarise(&read, &trials, &SummaryOptions::default()),
        summary_of(&run)
    );
}

/// The second implementation, in Python and from the definitions, finds the same numbers, and finds
/// a wrong one.
#[test]
fn recomputed_numbers_agree() {
    if std::process::Command::new("python3")
        .arg("--version")
        .output()
        .is_err()
    {
        return; // Not every machine that builds has Python; CI has.
    }
    for (run, by) in [
        (sample(), None),
        (repeated(), None),
        (repeated_pair(), None),
        (awkward(), None),
        (sample(), Some(SplitBy::Category)),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let put =
            |name: &str, text: String| std::fs::write(directory.path().join(name), text).unwrap();
        let lines = run
            .trials
            .iter()
            .map(|t| serde_json::to_string(t).unwrap() + "\n");
        put("header.json", serde_json::to_string(&run.header).unwrap());
        put("trials.jsonl", lines.collect());
        let options = SummaryOptions {
            by,
            margin_points: None,
            objective_ms: None,
        };
        let mut summary = summarise(&run.header, &run.trials, &options);
        let check = |summary: &Summary| {
            put("summary.json", written(&Json, summary));
            std::process::Command::new("python3")
                .arg(root().join("scripts/recompute.py"))
                .arg(directory.path())
                .arg("--summary")
                .arg(directory.path().join("summary.json"))
                .output()
                .unwrap()
        };
        let agreed = check(&summary);
        assert!(
            agreed.status.success(),
            "{}",
            String::from_utf8_lossy(&agreed.stdout)
        );
        summary.totals[0].tokens.output_tokens += 1;
        summary.cells[0].success.low = summary.cells[0].success.low.map(|low| low + 1e-6);
        assert_eq!(check(&summary).status.code(), Some(1));
    }
}
